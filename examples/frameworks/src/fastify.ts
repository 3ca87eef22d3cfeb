import Fastify from 'fastify'
import { prisma } from './client.ts'
import { storeMedia, type Upload } from './store-media.ts'
import { tellAddress } from './tell-address.ts'

const app = Fastify()

app.post<{ Body: Upload }>('/webhooks', ({ body }) => storeMedia(body))

app.register(async (routes) => {
  // preHandler: the body has been read by then
  routes.addHook('preHandler', ({ headers }, _reply, done) => {
    prisma.$pubsub.withContext({ user: headers['x-user'] ?? 'anonymous' }, done).catch(done)
  })

  routes.post<{ Body: Upload }>('/media', ({ body }) => storeMedia(body))
})

await app.listen({ host: '127.0.0.1', port: 0 })
tellAddress(app.server)
