import { styleText } from 'node:util'
import type { Finding } from '@pgpubsub/core'

const colors = { problem: 'red', warning: 'yellow', info: 'cyan' } as const

/** For people: each finding as a paragraph, the worst first, and how many there are. */
export function findingText(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'Nothing found: all is well.\n'
  return `${findings.map(paragraph).join('\n')}\n${sum(findings)}\n`
}

function paragraph({ severity, code, subject, message, remedy }: Finding): string {
  const head = process.stdout.isTTY && !process.env.NO_COLOR ? styleText(colors[severity], severity) : severity
  return `${head}  ${printable(subject)}  (${code})\n  ${printable(message)}\n  → ${printable(remedy)}\n`
}

function sum(findings: readonly Finding[]): string {
  const count = (severity: Finding['severity']) => findings.filter((finding) => finding.severity === severity).length
  const several = (number: number, word: string) => `${number} ${word}${number === 1 ? '' : 's'}`
  return `${several(count('problem'), 'problem')}, ${several(count('warning'), 'warning')}, ${count('info')} info`
}

// names, queries and errors come from anywhere, and may be meant for the terminal
const printable = (text: string) => text.replaceAll(/\p{Cc}/gu, ' ')
