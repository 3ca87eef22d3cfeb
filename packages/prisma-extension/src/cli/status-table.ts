import type { ListenerStatus } from '@pgpubsub/core'
import Table from 'cli-table3'

const head = ['listener', 'ready', 'running', 'retries', 'dead', 'lag', 'rate']

/** For people: a line for each listener. */
export function statusTable(listeners: readonly ListenerStatus[]): string {
  if (listeners.length === 0) return 'No listener is installed.'
  const colored = process.stdout.isTTY && !process.env.NO_COLOR
  const table = new Table({
    head,
    colAligns: ['left', ...head.slice(1).map(() => 'right' as const)],
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
    style: colored ? { head: ['bold'], border: ['gray'] } : { head: [], border: [] },
  })
  table.push(...listeners.map((status) => Object.values(cells(status))))
  return table.toString()
}

/** Where nothing can be redrawn: a line for each listener, to be searched and cut. */
export function statusLines(listeners: readonly ListenerStatus[], at: Date): string {
  const time = `${at.toISOString().slice(0, 19)}Z`
  const line = ({ listener, ...figures }: ReturnType<typeof cells>) =>
    [time, ...Object.entries(figures).map(([name, figure]) => `${name}=${figure}`), listener].join(' ')
  return listeners.map((status) => `${line(cells(status))}\n`).join('')
}

const cells = ({ listener, paused, estimated, ready, running, scheduled, dead, oldestAgeMs, rate }: ListenerStatus) => {
  const count = (number: number) => `${estimated && number > 10_000 ? '~' : ''}${number}`
  return {
    // names come from anywhere, and may be meant for the terminal
    listener: `${listener.replaceAll(/\p{Cc}/gu, ' ')}${paused ? ' (paused)' : ''}`,
    ready: count(ready),
    running: count(running),
    retries: count(scheduled),
    dead: count(dead),
    lag: oldestAgeMs === null ? '-' : duration(oldestAgeMs / 1000),
    rate: `${rate.toFixed(rate < 10 ? 1 : 0)}/s`,
  }
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)}s`
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)]
  return hours > 0 ? `${hours}h${minutes}m` : `${minutes}m${Math.floor(seconds % 60)}s`
}
