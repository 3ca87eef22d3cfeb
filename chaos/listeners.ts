import type { MediaClient } from '../bench/media-client.ts'
import type { Handle } from './handling.ts'

/** What a listener promises, as far as it decides what is checked. */
interface ListenerKind {
  /** Changes of one row are handled one after another. */
  readonly ordered: boolean
  /** Its handler writes in the transaction that deletes the notification. */
  readonly transactional: boolean
  /** Its claim lapses when the worker cannot renew it in time. */
  readonly leased: boolean
}

const plain: ListenerKind = { ordered: true, transactional: false, leased: false }

const kinds = {
  'by-row': plain,
  unordered: { ...plain, ordered: false },
  transactional: { ...plain, transactional: true },
  leased: { ...plain, leased: true },
  batched: plain,
  'batched-leased': { ...plain, leased: true },
} satisfies { [name: string]: ListenerKind }

export const listenerNames = Object.keys(kinds)

export const kindOf = (name: string): ListenerKind => kinds[name as keyof typeof kinds]

const patience = { backoff: { firstMs: 20, mostMs: 400 }, timeoutMs: 2_500 }

/** Declares them on the client: one for each way in which a worker holds and hands over its changes. */
export function declareListeners({ media }: MediaClient, handle: Handle): void {
  media.onPostChange({ name: 'by-row', ...patience }, (change) => handle('by-row', [change]))
  media.onPostChange({ name: 'unordered', order: 'none', ...patience }, (change) => handle('unordered', [change]))
  media.onPostChange({ name: 'transactional', transactional: true, ...patience }, (change) =>
    handle('transactional', [change], change.tx),
  )
  media.onPostChange({ name: 'leased', lease: { seconds: 2 }, ...patience }, (change) => handle('leased', [change]))
  media.onPostChange({ name: 'batched', batch: { size: 50, maxWaitMs: 20 }, ...patience }, (changes) =>
    handle('batched', changes),
  )
  media.onPostChange(
    { name: 'batched-leased', batch: { size: 50, maxWaitMs: 20 }, lease: { seconds: 2 }, ...patience },
    (changes) => handle('batched-leased', changes),
  )
}
