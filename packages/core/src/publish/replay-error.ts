import { PubSubError } from '../errors.js'
import type { ReplayKey, ReplayProgress } from './replay-options.js'

/** A `replay()` that failed on its way. What was stored before stays stored. */
export class ReplayError extends PubSubError {
  /** How many rows were stored. */
  readonly stored: number
  /** Pass it as `after` to go on; null: nothing was done yet. */
  readonly last: ReplayKey | null

  constructor(listener: string, { stored, last }: Pick<ReplayProgress, 'stored' | 'last'>, cause: unknown) {
    super(
      'PGPUBSUB_REPLAY_FAILED',
      `The replay for listener "${listener}" failed after ${stored} rows, which stay stored; its cause says why. Pass the error's last as after to go on.`,
      { cause },
    )
    this.stored = stored
    this.last = last
  }
}
