/* The process behind import.ts: `import-once.mjs time|size SPECIFIER…` tells how many milliseconds importing them takes, or how many bytes of code that is. */
import { Session } from 'node:inspector'

const [asked, ...specifiers] = process.argv.slice(2)

const sizes = new Map()
if (asked === 'size') {
  const session = new Session()
  session.connect()
  session.on('Debugger.scriptParsed', ({ params: { url, length } }) => {
    if (/^(file:|\/)/.test(url) && url !== import.meta.url) sizes.set(url, length)
  })
  session.post('Debugger.enable')
}

const begun = performance.now()
for (const specifier of specifiers) await import(specifier)
const milliseconds = performance.now() - begun

const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0)
console.log(asked === 'size' ? bytes : milliseconds)
