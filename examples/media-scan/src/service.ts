/** The web service: stores what is uploaded, each request with its user as context. It knows nothing of scans. */
import multipart from '@fastify/multipart'
import Fastify from 'fastify'
import { disconnect, prisma } from './client.ts'
import { port } from './settings.ts'
import { storeUploads } from './store-uploads.ts'
import { untilStopped } from './until-stopped.ts'

const service = Fastify()
await service.register(multipart, { limits: { parts: 100_000 } })

// Every change that a request causes is stored with its user, whichever way it is written below.
service.addHook('preHandler', ({ headers }, _reply, next) => {
  prisma.$pubsub.withContext({ user: headers['x-user'] ?? 'anonymous' }, next).catch(next)
})

service.get('/media', () => prisma.media.findMany({ include: { owner: true } }))

service.post('/media', async (request) => {
  const [file] = await storeUploads(request)
  return prisma.media.create({ data: file })
})

service.post<{ Params: { email: string } }>('/users/:email/media', async (request) => {
  const files = await storeUploads(request)
  return prisma.user.create({ data: { email: request.params.email, media: { create: files } } })
})

service.post('/imports', async (request) => {
  const files = await storeUploads(request)
  return prisma.media.createMany({ data: files })
})

service.post('/raw', async (request) => {
  const [{ url, title }] = await storeUploads(request)
  return prisma.$executeRaw`insert into media (url, title) values (${url}, ${title})`
})

service.post<{ Params: { email: string } }>('/gifts/:email', async (request) => {
  const [file] = await storeUploads(request)
  return prisma.$transaction(async (tx) => {
    const media = await tx.media.create({ data: file })
    const owner = await tx.user.findUnique({ where: { email: request.params.email } })
    // rolls back: the gift was never there, and nobody hears of it
    if (!owner) throw Object.assign(new Error('There is no such user.'), { statusCode: 404 })
    return tx.media.update({ where: { id: media.id }, data: { ownerId: owner.id } })
  })
})

await prisma.$connect()
console.log(await service.listen({ host: '127.0.0.1', port: Number(port) }))
await untilStopped()
await service.close()
await disconnect()
