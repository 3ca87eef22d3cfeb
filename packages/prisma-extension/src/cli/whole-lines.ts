import type { Readable } from 'node:stream'

/** Passes a stream on line by line, each with `prefix` before it, so that several can be written to one place. */
export function wholeLines(from: Readable, prefix: () => string, write: (lines: string) => void): void {
  let begun = ''
  from.setEncoding('utf8')
  from.on('data', (text: string) => {
    const end = text.lastIndexOf('\n') + 1
    if (end > 0) write(prefixed(begun + text.slice(0, end), prefix()))
    begun = end > 0 ? text.slice(end) : begun + text
  })
  from.on('end', () => {
    if (begun !== '') write(prefixed(`${begun}\n`, prefix()))
  })
}

const prefixed = (lines: string, prefix: string) => (prefix === '' ? lines : lines.replaceAll(/^(?=.|\n)/gm, prefix))
