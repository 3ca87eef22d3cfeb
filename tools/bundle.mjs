#!/usr/bin/env node
// Writes the JavaScript of the packages from their sources, beside the declarations of tsc: a file for each entry point, one
// with what they share, and chunks with what is imported when it is first needed. What is as it was is not written again.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

await bundle('core', ['index', 'opentelemetry/open-telemetry', 'testing/index'])
await bundle('prisma-extension', ['index', 'opentelemetry', 'testing', 'cli/main'])

async function bundle(name, entries) {
  const folder = join(root, 'packages', name)
  const bundled = await rolldown({
    cwd: folder,
    input: Object.fromEntries(entries.map((entry) => [entry, `./src/${entry}.ts`])),
    external: /^(?!\.|\/|\w:)/, // what is named by no path
    platform: 'node',
    tsconfig: join(folder, 'tsconfig.json'),
    transform: { target: 'node20' },
    experimental: { attachDebugInfo: 'none' },
  })
  const { output } = await bundled.generate({
    dir: join(folder, 'dist'),
    chunkFileNames: 'chunks/[name].js',
    // left to itself, what is imported at once would become a file for each set of chunks that need it as well
    codeSplitting: { groups: [{ name: 'start', tags: ['$initial'], test: /src\/(?!cli|testing|opentelemetry)/ }] },
    comments: false,
    minifyInternalExports: false,
    sourcemap: true,
    sourcemapExcludeSources: true, // they are published
  })
  await bundled.close()
  replaceJavaScript(join(folder, 'dist'), new Map(output.map((file) => [file.fileName, file.code ?? file.source])))
}

/** Declarations are left alone. */
function replaceJavaScript(folder, files) {
  for (const path of readdirSync(folder, { recursive: true })) {
    if (/\.js(\.map)?$/.test(path) && !files.has(path.replaceAll('\\', '/'))) rmSync(join(folder, path))
  }
  for (const [path, text] of files) {
    const file = join(folder, path)
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
}
