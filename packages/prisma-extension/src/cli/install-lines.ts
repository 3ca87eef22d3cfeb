import type { InstallReport } from '@pgpubsub/core'

const done = { create: 'created', replace: 'replaced', drop: 'dropped' }
export const toDo = { create: 'create', replace: 'replace', drop: 'drop' }

/** What was done, or is to be done, in a line each. */
export const installLines = ({ engine, created, replaced, dropped }: InstallReport, words = done): string[] =>
  [
    ...(engine.from === engine.to ? [] : [`engine: version ${engine.from} -> ${engine.to}`]),
    ...created.map((trigger) => `${words.create} ${trigger}`),
    ...replaced.map((trigger) => `${words.replace} ${trigger}`),
    ...dropped.map((trigger) => `${words.drop} ${trigger}`),
  ].map(printable)

// names come from anywhere, and may be meant for the terminal
const printable = (text: string) => text.replaceAll(/\p{Cc}/gu, ' ')
