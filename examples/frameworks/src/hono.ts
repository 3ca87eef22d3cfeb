import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { prisma } from './client.ts'
import { storeMedia } from './store-media.ts'
import { tellAddress } from './tell-address.ts'

const app = new Hono()

app.post('/webhooks', async (c) => c.json(await storeMedia(await c.req.json())))

app.use((c, next) => prisma.$pubsub.withContext({ user: c.req.header('x-user') ?? 'anonymous' }, next))

app.post('/media', async (c) => c.json(await storeMedia(await c.req.json())))

const server = createServer(getRequestListener(app.fetch))
server.listen(0, '127.0.0.1', () => tellAddress(server))
