import { hasColors, type LogFormat } from './log.js'

/** What a supervisor tells the worker that it starts, beside the command's own arguments. */
export interface Assignment {
  /** The worker's number, from 1. */
  readonly worker: number
  /** Whether it is to install first. */
  readonly install: boolean
  /** The worker itself sees no terminal. */
  readonly logFormat: LogFormat
}

const variable = 'PGPUBSUB_ASSIGNMENT'

/** The environment of a worker. */
export const assign = (assignment: Assignment): NodeJS.ProcessEnv => ({
  ...process.env,
  ...(hasColors(1) && { FORCE_COLOR: '1' }),
  [variable]: JSON.stringify(assignment),
})

/** What this process was told, where it is a supervisor's worker. Its number stays in the environment, for the module. */
export function takeAssignment(): Assignment | undefined {
  const text = process.env[variable]
  // not for the processes that a handler starts
  delete process.env[variable]
  if (text === undefined || !process.send) return undefined
  const assignment: Assignment = JSON.parse(text)
  process.env.PGPUBSUB_WORKER = String(assignment.worker)
  return assignment
}

/** What a worker sends when it has started. */
export const listeningMessage = 'pgpubsub: listening'

/** Tells the supervisor that this worker has started. One that is gone already is told of by `disconnect`. */
export function reportListening(): void {
  process.send?.(listeningMessage, () => {})
}

/**
 * Resolves when this worker is told to stop, or has lost its supervisor. A Ctrl-C comes from the terminal and from the
 * supervisor, so that a signal means the same however often it comes: it is the supervisor that kills who is to end at once.
 */
export function stopOfWorker(): Promise<NodeJS.Signals | 'disconnect'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, resolve)
    process.once('disconnect', () => {
      // nobody reads any more what is written
      for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
      resolve('disconnect')
    })
  })
}
