/** What the command line tells its caller at the end. */
export const exitCodes = { stopped: 0, failure: 1, usage: 2, unknown: 3 } as const

const mistakes = new Set([
  'PGPUBSUB_INVALID_MODULE',
  'PGPUBSUB_INVALID_OPTION',
  'PGPUBSUB_NO_LISTENERS',
  'PGPUBSUB_UNKNOWN_LISTENER',
])

/** Running it again does not help against a mistake of the user's. */
export function exitCodeOf(error: unknown, failure: number = exitCodes.failure): number {
  // by its code, not its class: the module may have loaded another copy of the engine
  return mistakes.has((error as { code?: string } | null)?.code ?? '') ? exitCodes.usage : failure
}
