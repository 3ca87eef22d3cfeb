import { listenerNames } from './listeners.ts'
import { Random } from './random.ts'

/** How a server ends: it breaks off what is running, does not even tidy up, or its postmaster is killed. */
export type Ending = 'fast' | 'immediate' | 'kill'

/** Whose connections are cut. */
export type Victims = 'batches' | 'listen' | 'writers' | 'all'

/** Something that goes wrong, or that an operator does. `worker` counts from 0. */
export type Trouble =
  | { readonly kind: 'kill'; readonly worker: number; readonly backAfterMs: number }
  | { readonly kind: 'terminate'; readonly worker: number; readonly backAfterMs: number }
  | { readonly kind: 'freeze'; readonly worker: number; readonly ms: number }
  | { readonly kind: 'stall'; readonly worker: number; readonly ms: number }
  | { readonly kind: 'end-backends'; readonly worker: number; readonly victims: Victims }
  | { readonly kind: 'cut'; readonly worker: number; readonly share: number }
  | { readonly kind: 'cut-writers'; readonly share: number }
  | { readonly kind: 'kill-writers'; readonly backAfterMs: number }
  | { readonly kind: 'restart-server'; readonly ending: Ending }
  | { readonly kind: 'pause'; readonly listener: string; readonly ms: number }
  | { readonly kind: 'retry-dead' }
  | { readonly kind: 'hold-transaction'; readonly ms: number }

export interface PlannedTrouble {
  /** Milliseconds after the trouble before. */
  readonly afterMs: number
  readonly trouble: Trouble
}

/** What goes wrong, in which order and after which pauses: the same for the same seed, for as long as it is asked. */
export function* plan(seed: number, workers: number): Generator<PlannedTrouble, never> {
  const random = new Random(seed)
  for (;;) yield { afterMs: random.int(300, 3_000), trouble: nextTrouble(random, workers) }
}

function nextTrouble(random: Random, workers: number): Trouble {
  const worker = random.int(0, workers - 1)
  const make = random.weighted<() => Trouble>([
    [18, () => ({ kind: 'kill', worker, backAfterMs: random.int(0, 2_000) })],
    [9, () => ({ kind: 'terminate', worker, backAfterMs: random.int(0, 2_000) })],
    [9, () => ({ kind: 'freeze', worker, ms: random.int(200, 5_000) })],
    [5, () => ({ kind: 'stall', worker, ms: random.int(100, 3_000) })],
    [16, () => ({ kind: 'end-backends', worker, victims: random.pick(['batches', 'listen', 'writers', 'all']) })],
    [14, () => ({ kind: 'cut', worker, share: random.pick([0.3, 0.7, 1]) })],
    [5, () => ({ kind: 'cut-writers', share: random.pick([0.2, 0.5, 1]) })],
    [3, () => ({ kind: 'kill-writers', backAfterMs: random.int(0, 500) })],
    [9, () => ({ kind: 'restart-server', ending: random.pick(['fast', 'immediate', 'kill']) })],
    [6, () => ({ kind: 'pause', listener: random.pick(listenerNames), ms: random.int(200, 4_000) })],
    [4, () => ({ kind: 'retry-dead' })],
    [2, () => ({ kind: 'hold-transaction', ms: random.int(1_000, 6_000) })],
  ])
  return make()
}
