import type { ReplayProgress } from '@pgpubsub/core'

/** Where the progress of a replay is shown: on standard error. */
interface Progress {
  readonly show: (progress: ReplayProgress) => void
  readonly end: () => void
}

/** A bar on a terminal; elsewhere lines. */
export async function replayProgress(): Promise<Progress> {
  return process.stderr.isTTY ? bar() : lines()
}

async function bar(): Promise<Progress> {
  const { default: progress } = await import('cli-progress')
  const known = '[{bar}] {percentage}% | {value} of about {total} | {eta_formatted} left'
  let drawn: InstanceType<typeof progress.SingleBar> | undefined
  const show = ({ stored, estimated }: ReplayProgress) => {
    if (!drawn) {
      // the signals are the command's
      const settings = { format: estimated === null ? '{value} rows' : known, gracefulExit: false }
      drawn = new progress.SingleBar(settings, progress.Presets.shades_classic)
      drawn.start(estimated ?? 0, 0)
    }
    // the catalogue may know of fewer rows than there are
    if (estimated !== null && stored > estimated) drawn.setTotal(stored)
    drawn.update(stored)
  }
  return { show, end: () => drawn?.stop() }
}

const betweenLinesMs = 2_000

function lines(): Progress {
  let shownAt = Number.NEGATIVE_INFINITY
  const show = ({ stored, estimated }: ReplayProgress) => {
    if (performance.now() - shownAt < betweenLinesMs) return
    shownAt = performance.now()
    process.stderr.write(`${stored} rows${estimated === null ? '' : ` of about ${Math.max(stored, estimated)}`}\n`)
  }
  return { show, end: () => {} }
}
