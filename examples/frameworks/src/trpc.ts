import { initTRPC } from '@trpc/server'
import { type CreateHTTPContextOptions, createHTTPServer } from '@trpc/server/adapters/standalone'
import { z } from 'zod'
import { prisma } from './client.ts'
import { storeMedia } from './store-media.ts'
import { tellAddress } from './tell-address.ts'

const t = initTRPC.context<{ user: string }>().create()

const withUser = t.middleware(({ ctx, next }) => prisma.$pubsub.withContext({ user: ctx.user }, () => next()))

const upload = z.object({ url: z.string(), fails: z.boolean().default(false) })

const router = t.router({
  webhooks: t.procedure.input(upload).mutation(async ({ input }) => (await storeMedia(input)).id),
  media: t.procedure
    .use(withUser)
    .input(upload)
    .mutation(async ({ input }) => (await storeMedia(input)).id),
})

const server = createHTTPServer({
  router,
  createContext: ({ req }: CreateHTTPContextOptions) => ({ user: String(req.headers['x-user'] ?? 'anonymous') }),
})
server.listen(0, '127.0.0.1', () => tellAddress(server))
