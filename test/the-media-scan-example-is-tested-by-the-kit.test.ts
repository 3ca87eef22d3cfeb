import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { advance, drain, waitFor } from '@pgpubsub/prisma-extension/testing'
import { eicar } from '../examples/media-scan/src/find-virus.ts'
import { expect, type TestDatabase, test } from './support/test.ts'

/** The example's own client and listeners, in this process: no service, no worker. */
async function example(database: TestDatabase, folder: string) {
  Object.assign(process.env, { DATABASE_URL: database.url, SCAN_LOG: join(folder, 'scan.jsonl') })
  const { disconnect, prisma } = await import('../examples/media-scan/src/client.ts')
  await import('../examples/media-scan/src/listeners.ts')
  database.closeLater(disconnect)
  return prisma
}

test('uploads are scanned once, and again when their file could not be read', async ({ database }) => {
  const folder = await mkdtemp(join(tmpdir(), 'media-scan-kit-'))
  database.closeLater(() => rm(folder, { recursive: true }))
  const prisma = await example(database, folder)
  await prisma.$pubsub.install()
  const create = (title: string) =>
    prisma.media.create({ data: { title, url: pathToFileURL(join(folder, title)).href } })
  const scanned = async (title: string) => prisma.media.findFirstOrThrow({ where: { title } })

  await writeFile(join(folder, 'cat.jpg'), 'a cat')
  await writeFile(join(folder, 'dog.jpg'), `a dog ${eicar}`)
  const cat = waitFor(prisma, 'scan-media', ({ new: media }) => media?.title === 'cat.jpg')
  await prisma.$pubsub.withContext({ user: 'ada' }, () => create('cat.jpg'))
  await create('dog.jpg')
  // the scan updates the row, and does not wake itself by that
  expect(await drain(prisma)).toEqual({ processed: 2, failures: [] })
  expect((await cat).context).toEqual({ user: 'ada' })
  expect(await scanned('cat.jpg')).toMatchObject({ status: 'Clean', virus: null, scannedAt: expect.any(Date) })
  expect(await scanned('dog.jpg')).toMatchObject({ status: 'Infected', virus: expect.stringContaining('EICAR') })

  await create('late.jpg')
  await expect(drain(prisma)).rejects.toThrow('ENOENT')
  await writeFile(join(folder, 'late.jpg'), 'late')
  expect(await advance(prisma, 2_000)).toBe(1)
  await drain(prisma)
  expect(await scanned('late.jpg')).toMatchObject({ status: 'Clean' })
  expect((await readFile(join(folder, 'scan.jsonl'), 'utf8')).trim().split('\n')).toHaveLength(3)
})
