import { Option } from '@commander-js/extra-typings'
import { type Logger, pino } from 'pino'
import { PinoPretty } from 'pino-pretty'

const levels = ['debug', 'info', 'warn', 'error', 'silent'] as const
const formats = ['pretty', 'json'] as const

export interface LogOptions {
  logLevel: (typeof levels)[number]
  logFormat: (typeof formats)[number]
}

export const logLevelOption = () =>
  new Option('--log-level <level>', 'how much to log; debug logs each handled change')
    .choices(levels)
    .default(levels[1])

export const logFormatOption = () =>
  new Option('--log-format <format>', 'how to log: pretty for people, json (one object a line) for machines')
    .choices(formats)
    .default(process.stdout.isTTY ? formats[0] : formats[1], 'pretty on a terminal, else json')

/** A logger on file descriptor `to`. It writes at once: nothing is lost when the process ends. */
export function createLog({ logLevel, logFormat }: LogOptions, to: 1 | 2): Logger {
  if (logFormat === 'json') return pino({ level: logLevel }, pino.destination({ dest: to, sync: true }))
  const ignore = 'pid,hostname'
  return pino({ level: logLevel }, PinoPretty({ destination: to, sync: true, ignore, colorize: isTerminal(to) }))
}

function isTerminal(to: 1 | 2): boolean {
  return Boolean((to === 1 ? process.stdout : process.stderr).isTTY) && !process.env.NO_COLOR
}
