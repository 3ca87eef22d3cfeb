import type { DeadLetter } from '@pgpubsub/core'
import Table from 'cli-table3'

/** One object a line, with everything that a dead letter has. */
export function deadLetterLines(letters: readonly DeadLetter[]): string {
  return letters.map((letter) => `${JSON.stringify(letter, jsonValue)}\n`).join('')
}

// what JSON has no word for
function jsonValue(_name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value
}

/** For people: one line each, with the first line of its error. */
export function deadLetterTable(letters: readonly DeadLetter[], limit: number): string {
  if (letters.length === 0) return 'No dead letters.\n'
  const table = new Table({
    head: ['id', 'listener', 'operation', 'attempts', 'died', 'error'],
    colAligns: ['right', 'left', 'left', 'right', 'left', 'left'],
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
    style:
      process.stdout.isTTY && !process.env.NO_COLOR ? { head: ['bold'], border: ['gray'] } : { head: [], border: [] },
  })
  table.push(...letters.map(line))
  const more = letters.length < limit ? '' : `There may be more: --before ${letters.at(-1)?.id} shows the next.\n`
  return `${table.toString()}\n${more}`
}

const line = ({ id, listener, operation, attempts, diedAt, error }: DeadLetter): string[] => [
  String(id),
  printable(listener),
  operation,
  String(attempts),
  `${diedAt.toISOString().slice(0, 19)}Z`,
  printable(error?.split('\n')[0] ?? '').slice(0, 100),
]

// an error's text comes from anywhere, and may be meant for the terminal
const printable = (text: string) => text.replaceAll(/\p{Cc}/gu, ' ')
