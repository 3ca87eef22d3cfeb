import express from 'express'
import { prisma } from './client.ts'
import { storeMedia } from './store-media.ts'
import { tellAddress } from './tell-address.ts'

const app = express()
app.use(express.json())

app.post('/webhooks', async ({ body }, response) => {
  response.json(await storeMedia(body))
})

// behind what reads the body: that goes on in no request's execution
app.use(({ headers }, _response, next) => {
  prisma.$pubsub.withContext({ user: headers['x-user'] ?? 'anonymous' }, next).catch(next)
})

app.post('/media', async ({ body }, response) => {
  response.json(await storeMedia(body))
})

const server = app.listen(0, '127.0.0.1', () => tellAddress(server))
