import { readFile, writeFile } from 'node:fs/promises'
import { engineDump } from './support/catalogue.ts'
import { expect, test } from './support/test.ts'

const file = new URL('./engine-schema.txt', import.meta.url)

test('the installed engine is the one in engine-schema.txt (UPDATE_SCHEMA=1 rewrites it)', async ({ database }) => {
  await database.core().install()
  const dump = await engineDump(database)
  if (process.env.UPDATE_SCHEMA === '1') await writeFile(file, dump)

  expect(dump).toBe(await readFile(file, 'utf8'))
})
