import { expect, test } from './support/test.ts'

test('an insert through Prisma reaches the handler after commit, typed, and nothing is stored afterwards', async ({
  database,
}) => {
  const prisma = database.prisma()
  const titles: (string | null)[] = []
  const operations: string[] = []
  prisma.media.onPostSave('scan-media', ({ operation, old, new: media }) => {
    if (!old) titles.push(media.title)
    operations.push(operation)
  })
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()

  await prisma.media.create({ data: { url: 'file:///a', title: 'first' } })
  await database.drained()

  expect(titles).toEqual(['first'])
  expect(operations).toEqual(['insert'])
})
