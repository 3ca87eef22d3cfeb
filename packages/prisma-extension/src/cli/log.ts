import { Option } from '@commander-js/extra-typings'
import { type Logger, pino } from 'pino'
import { PinoPretty } from 'pino-pretty'

const levels = ['debug', 'info', 'warn', 'error', 'silent'] as const
const formats = ['pretty', 'json'] as const

export type LogFormat = (typeof formats)[number]

export interface LogOptions {
  logLevel: (typeof levels)[number]
  logFormat: LogFormat
  /** The number of this worker, where a supervisor has several. */
  worker?: number | undefined
}

export const logLevelOption = () =>
  new Option('--log-level <level>', 'how much to log; debug logs each handled change')
    .choices(levels)
    .default(levels[1])

export const logFormatOption = () =>
  new Option('--log-format <format>', 'how to log: pretty for people, json (one object a line) for machines')
    .choices(formats)
    .default(process.stdout.isTTY ? formats[0] : formats[1], 'pretty on a terminal, else json')

/**
 * Where a supervisor reads the log of its worker. Standard output is the handlers', who may write to it asynchronously: a
 * line of the log could come in the middle of theirs.
 */
export const workerLogTo = 4

/** A logger on file descriptor `to`. It writes at once: nothing is lost when the process ends. */
export function createLog({ worker, ...options }: LogOptions, to: 1 | 2): Logger {
  const colorize = hasColors(to)
  if (worker === undefined) return createLogger(options, to, colorize)
  return createLogger(options, to === 1 ? workerLogTo : to, colorize).child({ worker })
}

function createLogger({ logLevel, logFormat }: LogOptions, destination: number, colorize: boolean): Logger {
  if (logFormat === 'json') return pino({ level: logLevel }, pino.destination({ dest: destination, sync: true }))
  // the supervisor says before each line which worker's it is
  const ignore = 'pid,hostname,worker'
  return pino({ level: logLevel }, PinoPretty({ destination, sync: true, ignore, colorize }))
}

/** Whether what is written there is seen on a terminal; FORCE_COLOR says so where it goes by way of another process. */
export function hasColors(to: 1 | 2): boolean {
  const isTerminal = Boolean((to === 1 ? process.stdout : process.stderr).isTTY)
  return (isTerminal || Boolean(Number(process.env.FORCE_COLOR))) && !process.env.NO_COLOR
}
