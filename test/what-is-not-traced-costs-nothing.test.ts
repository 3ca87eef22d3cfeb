import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { inSpan, setUpTelemetry, spansOf } from './support/telemetry.ts'
import { expect, test, vi } from './support/test.ts'

setUpTelemetry()

test('without the option no trace is stored and no span made, also where OpenTelemetry is set up', async ({
  database,
}) => {
  const prisma = database.prisma()
  const handled = vi.fn()
  prisma.media.onPostSave('scan', ({ context }) => handled(context))
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  await inSpan('request', () => prisma.media.create({ data: { url: 'file:///a' } }))
  await vi.waitFor(() => expect(handled).toHaveBeenCalledWith({}))
  await database.drained()
  expect(spansOf('process scan')).toEqual([])
})

/** The files that importing a package loads, in a process of its own. */
async function loadedBy(specifier: string): Promise<string[]> {
  const program = `
    import { Session } from 'node:inspector'
    const files = []
    const session = new Session()
    session.connect()
    session.on('Debugger.scriptParsed', ({ params }) => files.push(params.url))
    session.post('Debugger.enable')
    await import(${JSON.stringify(specifier)})
    process.stdout.write(JSON.stringify(files))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    maxBuffer: 2 ** 26,
  })
  return JSON.parse(stdout)
}

test.for(['@pgpubsub/core', '@pgpubsub/prisma-extension'])(
  'importing %s loads nothing of OpenTelemetry',
  async (name) => {
    const ofOpenTelemetry = (files: string[]) => files.filter((file) => /opentelemetry/.test(file))
    expect(ofOpenTelemetry(await loadedBy(`${name}/opentelemetry`))).not.toEqual([])
    expect(ofOpenTelemetry(await loadedBy(name))).toEqual([])
  },
)
