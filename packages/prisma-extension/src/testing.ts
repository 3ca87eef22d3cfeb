/**
 * The test kit: `drain`, `waitFor` and `advance`.
 * @module @pgpubsub/prisma-extension/testing
 */

import { type Change, type PubSub, PubSubError } from '@pgpubsub/core'
import type { AdvanceOptions, Drained, DrainOptions, WaitForOptions } from '@pgpubsub/core/testing'
import * as engine from '@pgpubsub/core/testing'
import { engineOf, PubSubClient } from './pubsub-client.js'

export type { AdvanceOptions, Drained, DrainOptions, Failed, WaitForOptions } from '@pgpubsub/core/testing'

/** A Prisma Client with the extension. */
export interface ExtendedClient {
  readonly $pubsub: PubSubClient
}

/**
 * Handles what is ready, what handlers write meanwhile included, until nothing is: what workers have in hand is waited for,
 * what waits for a retry is not.
 * @example
 * await prisma.media.create({ data })
 * await drain(prisma)
 * @throws PGPUBSUB_HANDLER_FAILED when an attempt has failed, unless `failures` is `'return'`; PGPUBSUB_TIMEOUT after `timeoutMs`,
 * 10,000 by default; PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED
 */
export async function drain(prisma: ExtendedClient, options?: DrainOptions): Promise<Drained> {
  return engine.drain(engineIn('drain', prisma), options)
}

/**
 * Waits for a change that a listener of this client handles from now on, by a worker, `process()` or `drain()`. So call it before
 * the write.
 * @param predicate which one it is to be @default the first
 * @param options.timeoutMs milliseconds after which it is given up @default 5000
 * @returns the change, once its handler has succeeded and that is committed
 * @example
 * const scanned = waitFor<PostSave<typeof prisma.media>>(prisma, 'scan-media', ({ new: media }) => media.title === 'cat')
 * await prisma.media.create({ data: { title: 'cat', url } })
 * await scanned
 * @throws PGPUBSUB_TIMEOUT, whose cause is the last failure; PGPUBSUB_UNKNOWN_LISTENER, and what the predicate throws
 */
export async function waitFor<C = Change<Record<string, unknown>>>(
  prisma: ExtendedClient,
  listener: string,
  predicate?: (change: C) => boolean,
  options?: WaitForOptions,
): Promise<C> {
  return engine.waitFor(engineIn('waitFor', prisma), listener, predicate, options)
}

/**
 * Lets time pass for what waits for its retry: it is due by so many milliseconds earlier. The clock itself, and timers, go on as they
 * are.
 * @returns how many are due now; workers handle them, or `drain()`
 * @example
 * await advance(prisma, 60_000)
 * await drain(prisma)
 * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED
 */
export async function advance(prisma: ExtendedClient, milliseconds: number, options?: AdvanceOptions): Promise<number> {
  return engine.advance(engineIn('advance', prisma), milliseconds, options)
}

/** @throws PGPUBSUB_INVALID_OPTION */
function engineIn(call: string, prisma: ExtendedClient): PubSub {
  if (prisma?.$pubsub instanceof PubSubClient) return engineOf(prisma.$pubsub)
  throw new PubSubError(
    'PGPUBSUB_INVALID_OPTION',
    `${call} takes the client of Prisma with the extension, which has $pubsub, as its first argument.`,
  )
}
