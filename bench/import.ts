import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Benchmark, Figure, Stage } from './benchmark.ts'
import { compare } from './compare.ts'
import { medianOf, rounded } from './statistics.ts'

/** What every generated client imports. */
const client = ['@prisma/client/runtime/client']
/** What a program needs beside it to reach PostgreSQL, with our extension or without. */
const withAdapter = [...client, '@prisma/adapter-pg']
const extension = '@pgpubsub/prisma-extension'
const extensionOfNothing = new URL('./floors/extension-of-nothing.mjs', import.meta.url).href

const alone = `Prisma's client alone`
const program = fileURLToPath(new URL('./import-once.mjs', import.meta.url))

/** Time and size of importing the extension, each time in a new process. */
export const importing: Benchmark = {
  name: 'import',
  about: `importing the extension with the client: time, and size of the code; against ${alone}`,
  async run(stage) {
    const withoutAdapter = { beside: client, against: alone }
    const besideAdapter = { beside: withAdapter, against: `Prisma's client and its adapter for PostgreSQL` }
    return [
      { ...(await timeFigure(stage, 'import', { ...withoutAdapter, imported: extension })), goal: 1.1 },
      await timeFigure(stage, 'import-floor', { ...withoutAdapter, imported: extensionOfNothing }),
      await timeFigure(stage, 'import-beside-adapter', { ...besideAdapter, imported: extension }),
      await sizeFigure(),
    ]
  },
}

interface Import {
  readonly imported: string
  readonly beside: string[]
  readonly against: string
}

async function timeFigure(stage: Stage, name: string, { imported, beside, against }: Import): Promise<Figure> {
  const runs = stage.size(9, 3)
  const times = async (specifiers: string[]) => {
    const measured: number[] = []
    for (let run = 0; run < runs; run++) measured.push(await importOnce('time', specifiers))
    return medianOf(measured)
  }
  const sides = { ours: () => times([...beside, imported]), theirs: () => times(beside) }
  const { ours, ratio } = await compare(stage, sides, 'ms')
  return { name, value: rounded(ours), unit: 'ms', against, ratio: rounded(ratio, 3) }
}

async function sizeFigure(): Promise<Figure> {
  const [ours, theirs] = [await importOnce('size', [...client, extension]), await importOnce('size', client)]
  const ratio = rounded(ours / theirs, 3)
  return { name: 'import-size', value: rounded(ours / 1024), unit: 'kB', against: alone, ratio, goal: 1.1 }
}

async function importOnce(asked: 'time' | 'size', specifiers: string[]): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, asked, ...specifiers])
  return Number(stdout)
}
