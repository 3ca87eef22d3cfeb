import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { cut, endConnection } from '../cut.js'
import type { Events } from '../events.js'
import { identifier, literal } from '../quote.js'
import { reconnectBackoff } from './backoff.js'
import { ask, lost } from './listen-connection.js'
import { Signal } from './signal.js'
import { currentWriters, type Writers } from './writers.js'

/*
 * How sleeping workers are woken without a NOTIFY for every change.
 *
 *   worker: claim finds nothing ─► take the listener's advisory lock, shared ("asleep") ─► look who is writing
 *              ▲                                                                             │
 *              │        some were: wait until they have ended, claim ◄───────────────────────┤
 *              │                                                                             │ none is left
 *              └───── NOTIFY, retry due, slow poll ◄── wait ◄── claim finds nothing ◄────────┘
 *
 *   writer: begin the insert ─► try the same lock exclusively ─► had it: nobody sleeps, free it. Not had: NOTIFY at commit
 *
 * A writer that tried before the worker had the lock has begun its insert before, so it holds a write lock on the
 * notification table until it ends, and becomes visible before it lets go of it. So either the worker sees it writing, or
 * its claim sees the row. Writers that come later find the lock taken, and notify.
 */

/** A listener that has declared itself asleep. */
export interface Asleep {
  /** Who was writing when it fell asleep. */
  readonly writers: Writers
  /** Which of them still are. */
  stillWriting(writers: Writers): Promise<Writers>
  /** What there is of the listener, also what this worker was not told of while it fell asleep. */
  look(above: bigint): Promise<Stored>
  /** Takes the declaration back. */
  wakeUp(): Promise<void>
}

/** What a listener has stored. */
export interface Stored {
  /** Whether a notification is ready whose id is above the one asked for, whether it can be taken or not. */
  readonly ready: boolean
  /** Milliseconds until a retry is due or a lease lapses, below zero where one is; null where nothing waits. */
  readonly untilRetry: number | null
}

export interface WakeLineOptions {
  readonly schema: string
  /** A new, unconnected client for the LISTEN connection; null where there is to be none. */
  readonly createClient: (() => pg.Client) | null
  readonly events: Events
}

// With a pause that grows, about a third of a second. Whoever holds the lock for longer is no writer in its instant, and makes all
// writers notify.
const lockAttempts = 50

// The look depends on the lock, so that it cannot come before it.
const lockAndLook = (schema: string, writers: string) => /* sql */ `
  with asleep as materialized (select pg_try_advisory_lock_shared(${schema}.asleep_key($1)) as locked)
  select a.locked, array(select w.virtualtransaction from (${writers}) w where a.locked) as writers
  from asleep a
`

const storedAbove = (schema: string) => /* sql */ `
  select exists (
    select from ${schema}.notification n where n.listener = $1 and not n.waiting and n.id > $2
  ) as ready, (
    select (extract(epoch from n.run_at - clock_timestamp()) * 1000::numeric)::float8
    from ${schema}.notification n
    where n.listener = $1 and n.run_at is not null
    order by n.run_at limit 1
  ) as until_retry
`

const wakeSleepers = (schema: string, channel: string) => /* sql */ `
  select case when pg_try_advisory_lock(${schema}.asleep_key($1))
    then pg_advisory_unlock(${schema}.asleep_key($1))::text else pg_notify(${literal(channel)}, $1)::text end
`

/** The LISTEN connection of a worker, shared by its listeners. It comes back by itself for as long as it takes. */
export class WakeLine {
  readonly #options: WakeLineOptions
  readonly #sleepers = new Map<string, Signal>()
  readonly #receivers = new Map<string, (payload: string) => void>()
  readonly #ending = new Signal()
  readonly #sql: Record<'writers' | 'lockAndLook' | 'unlock' | 'storedAbove' | 'wakeSleepers', string>
  #client: pg.Client | null = null
  #connecting: pg.Client | null = null
  #running: Promise<void> | null = null
  #stopped = false

  constructor(options: WakeLineOptions) {
    this.#options = options
    const schema = identifier(options.schema)
    const writers = currentWriters(options.schema)
    this.#sql = {
      writers,
      lockAndLook: lockAndLook(schema, writers),
      unlock: `select pg_advisory_unlock_shared(${schema}.asleep_key($1))`,
      storedAbove: storedAbove(schema),
      wakeSleepers: wakeSleepers(schema, options.schema),
    }
  }

  /** Sets `signal` whenever the listener is woken, and whenever the connection was lost or is back. */
  wakes(listener: string, signal: Signal): void {
    this.#sleepers.set(listener, signal)
  }

  /** Calls `receive` with whatever is sent on that NOTIFY channel. To be called before the start. */
  receives(channel: string, receive: (payload: string) => void): void {
    this.#receivers.set(channel, receive)
  }

  /** Connects, and waits for the first connection. @throws when the server cannot be reached. */
  async start(): Promise<void> {
    const { createClient } = this.#options
    if (!createClient) return
    const client = await this.#connect(createClient)
    this.#running = this.#keepConnected(client, createClient)
  }

  /** It takes a second at most, also where the server does not answer. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#ending.set()
    if (this.#connecting) cut(this.#connecting)
    if (this.#client) await endConnection(this.#client)
    await this.#running
  }

  /** Null where the connection is down: then there is nothing to sleep on but the slow poll. */
  async fallAsleep(listener: string): Promise<Asleep | null> {
    const client = this.#client
    if (!client) return null
    const writers = await this.#lockAndLook(client, listener)
    if (!writers) return null
    return {
      writers,
      stillWriting: async (before) => {
        const rows = await ask(client, this.#sql.writers)
        const now = new Set(rows.map((row) => row.virtualtransaction))
        return new Set([...before].filter((writer) => now.has(writer)))
      },
      look: async (above) => {
        const [answer] = await ask(client, this.#sql.storedAbove, [listener, above])
        return { ready: answer.ready, untilRetry: answer.until_retry === null ? null : Number(answer.until_retry) }
      },
      // the lock of a lost connection is gone with it
      wakeUp: async () => {
        if (client === this.#client) await ask(client, this.#sql.unlock, [listener])
      },
    }
  }

  /** A writer may hold the lock for the instant of its try; sleeping without the lock would miss the next one's row. */
  async #lockAndLook(client: pg.Client, listener: string): Promise<Writers | null> {
    for (let attempt = 1; attempt <= lockAttempts; attempt++) {
      const [answer] = await ask(client, this.#sql.lockAndLook, [listener])
      if (answer.locked) return new Set(answer.writers)
      await sleep(Math.floor(attempt / 4))
    }
    return null
  }

  /** There is more than this worker takes: wake those of the listener's other workers that sleep. */
  async wakeOthers(listener: string): Promise<void> {
    if (this.#client) await ask(this.#client, this.#sql.wakeSleepers, [listener])
  }

  async #connect(createClient: () => pg.Client): Promise<pg.Client> {
    const client = createClient()
    client.on('error', () => {}) // reported by `end`, which follows
    this.#connecting = client
    try {
      await client.connect()
      // anyone may NOTIFY anything here: only the name of a listener of ours has an effect
      client.on('notification', ({ channel, payload = '' }) => this.#told(channel, payload))
      const channels = [this.#options.schema, ...this.#receivers.keys()]
      const listen = channels.map((channel) => `listen ${identifier(channel)}`).join('; ')
      await client.query(`set enable_seqscan = off; set enable_bitmapscan = off; ${listen}`)
    } catch (error) {
      await endConnection(client)
      throw error
    } finally {
      this.#connecting = null
    }
    return client
  }

  #told(channel: string, payload: string): void {
    const receive = this.#receivers.get(channel)
    if (receive) receive(payload)
    else this.#sleepers.get(payload)?.set()
  }

  async #keepConnected(first: pg.Client, createClient: () => pg.Client): Promise<void> {
    const { events } = this.#options
    let client: pg.Client | null = first
    for (let failures = 0; !this.#stopped; ) {
      if (client) {
        failures = 0
        this.#client = client
        this.#wakeAll()
        const error = await lost(client)
        this.#client = null
        this.#wakeAll()
        if (this.#stopped) return
        events.emit('connectionLost', { error })
      }
      await this.#ending.wait(reconnectBackoff(++failures))
      client = await this.#reconnect(createClient)
    }
    if (client) await endConnection(client)
  }

  async #reconnect(createClient: () => pg.Client): Promise<pg.Client | null> {
    if (this.#stopped) return null
    try {
      const client = await this.#connect(createClient)
      this.#options.events.emit('connectionRestored', {})
      return client
    } catch (error) {
      if (!this.#stopped) this.#options.events.emit('error', { error })
      return null
    }
  }

  #wakeAll(): void {
    for (const signal of this.#sleepers.values()) signal.set()
  }
}
