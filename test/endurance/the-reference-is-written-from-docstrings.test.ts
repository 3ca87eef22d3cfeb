import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('the reference has a page for what is public, and no link that leads nowhere', { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pgpubsub-reference-'))
  try {
    // a warning, as of a link to what is not public, is an error there
    await promisify(execFile)('npm', ['run', 'docs', '--', '--out', folder], { cwd: root })
    const page = (name: string) => readFile(join(folder, '@pgpubsub', name), 'utf8')
    const index = await page('prisma-extension/README.md')
    for (const name of ['pubsub', 'pubsubAdapter', 'PubSubClient', 'Worker', 'RetryAt'])
      expect(index).toContain(`[${name}](`)
    expect(await page('prisma-extension/interfaces/Worker.md')).toContain('graceMs')
    expect(await page('core/README.md')).toContain('[PubSub](')
    expect(await page('prisma-extension/testing/README.md')).toContain('[drain](')
  } finally {
    await rm(folder, { recursive: true })
  }
})
