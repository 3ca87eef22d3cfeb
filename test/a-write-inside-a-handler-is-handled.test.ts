import { noPoll } from './support/items.ts'
import { expect, test } from './support/test.ts'

test('a write that a handler makes on its own model is handled, without waiting for the slow poll', async ({
  database,
}) => {
  const prisma = database.prisma(noPoll)
  const titles: (string | null)[] = []
  prisma.media.onPostSave('count-up', async ({ new: media }) => {
    titles.push(media.title)
    const next = Number(media.title) + 1
    if (next <= 5) await prisma.media.update({ where: { id: media.id }, data: { title: String(next) } })
  })
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  await prisma.media.create({ data: { url: 'file:///x', title: '1' } })
  await database.drained()
  expect(titles).toEqual(['1', '2', '3', '4', '5'])
})

test('a write that a handler makes on another model is handled, also by a listener that sleeps', async ({
  database,
}) => {
  const prisma = database.prisma(noPoll)
  const labels: string[] = []
  prisma.media.onPostInsert('tag-it', async ({ new: media }) => {
    await prisma.tag.create({ data: { label: `of ${media.title}`, mediaId: media.id } })
  })
  prisma.tag.onPostInsert('note-tag', ({ new: tag }) => {
    labels.push(tag.label)
  })
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  for (const title of ['a', 'b', 'c']) await prisma.media.create({ data: { url: 'file:///x', title } })
  await database.drained()
  expect(labels.sort()).toEqual(['of a', 'of b', 'of c'])
})

test('a handler that writes and then fails has written: its change is handled, and the attempt repeated', async ({
  database,
}) => {
  const prisma = database.prisma({ ...noPoll, defaults: { backoff: () => 10 } })
  const labels: string[] = []
  prisma.media.onPostInsert('tag-it', async ({ new: media, attempt }) => {
    await prisma.tag.create({ data: { label: `attempt ${attempt}`, mediaId: media.id } })
    if (attempt === 1) throw new Error('after the write')
  })
  prisma.tag.onPostInsert('note-tag', ({ new: tag }) => {
    labels.push(tag.label)
  })
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  await prisma.media.create({ data: { url: 'file:///x' } })
  await database.drained()
  expect(labels.sort()).toEqual(['attempt 1', 'attempt 2'])
})
