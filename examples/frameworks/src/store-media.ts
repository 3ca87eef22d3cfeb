import { setTimeout as pass } from 'node:timers/promises'
import { prisma } from './client.ts'

export interface Upload {
  readonly url: string
  /** The request fails when it has written. */
  readonly fails?: boolean
}

/** What a request does: writes of several kinds, and waiting between them. It knows neither the user nor the framework. */
export async function storeMedia({ url, fails = false }: Upload) {
  const { id } = await prisma.media.create({ data: { url } })
  await anotherService()
  await prisma.$transaction(async (tx) => {
    await tx.media.update({ where: { id }, data: { title: 'in a transaction' } })
    await anotherService()
    await tx.$executeRaw`update media set title = 'in its raw SQL' where id = ${id}`
  })
  if (fails) throw new Error('This request fails.')
  const [media] = await prisma.$transaction([
    prisma.media.update({ where: { id }, data: { title: 'in a batch' } }),
    prisma.media.findMany({ take: 1 }),
  ])
  return media
}

const anotherService = () => pass(Math.random() * 20)
