import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Child } from './child.ts'
import { now } from './clock.ts'
import type { Hurt } from './excuses.ts'
import type { Ending, Trouble, Victims } from './plan.ts'
import { Random } from './random.ts'
import type { Route } from './route.ts'
import type { Scene } from './scene.ts'

/** How long a worker that is told to stop waits for what it has begun, at least: its grace period and a while. */
const settlingUs = 4_000_000

const endings = { fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' } as const satisfies Record<Ending, string>

/** Makes trouble, one after another; what has to be undone later is undone beside what follows. */
export class Troublemaker {
  readonly hurts: Hurt[] = []
  /** When the incarnations of workers that were killed were gone. */
  readonly killedAt = new Map<string, number>()
  readonly counts = { kills: 0, terminations: 0, freezes: 0, cuts: 0, restarts: 0 }
  readonly #scene: Scene
  readonly #random: Random
  readonly #undoing = new Set<Promise<unknown>>()
  /** Resolves when the worker, or the writers, run again. */
  readonly #back = new Map<Child, Promise<unknown>>()

  constructor(scene: Scene, seed: number) {
    this.#scene = scene
    this.#random = new Random(seed)
  }

  async make(trouble: Trouble): Promise<void> {
    const { server, workers, routes, writers, writersRoute, pubsub } = this.#scene
    const worker = workers['worker' in trouble ? trouble.worker : 0] as Child
    const route = routes['worker' in trouble ? trouble.worker : 0] as Route
    switch (trouble.kind) {
      case 'kill':
        return this.#kill(worker, trouble.backAfterMs)
      case 'terminate':
        return this.#terminate(worker, trouble.backAfterMs)
      case 'freeze':
        this.counts.freezes++
        worker.freeze()
        return this.#delay(worker, trouble.ms, () => worker.thaw())
      case 'stall':
        route.hold()
        return this.#delay(worker, trouble.ms, () => route.release())
      case 'end-backends':
        return this.#endBackends(trouble.victims, worker, route)
      case 'cut':
        return this.#hurting([worker], async () => {
          this.counts.cuts += route.cut(trouble.share, this.#random)
        })
      case 'cut-writers':
        this.counts.cuts += writersRoute.cut(trouble.share, this.#random)
        return
      case 'kill-writers':
        await this.#running(writers)
        await writers.kill()
        return this.#bringBack(writers, trouble.backAfterMs)
      case 'restart-server':
        this.counts.restarts++
        return this.#hurting(workers, async () => {
          await server.end(endings[trouble.ending])
          await server.start()
        })
      case 'pause':
        await insist(() => pubsub.pause(trouble.listener))
        return this.#later(trouble.ms, () => insist(() => pubsub.resume(trouble.listener)))
      case 'retry-dead':
        return insist(() => pubsub.deadLetters.retry('all')).then(() => {})
      case 'hold-transaction':
        return this.#holdTransaction(trouble.ms)
    }
  }

  /** Waits until all is undone: everything runs, nothing is paused or held up. */
  async undone(): Promise<void> {
    while (this.#undoing.size > 0) await Promise.all(this.#undoing)
  }

  async #kill(worker: Child, backAfterMs: number): Promise<void> {
    await this.#running(worker)
    this.counts.kills++
    await this.#hurting([worker], async () => {
      this.killedAt.set(nameOf(worker), await worker.kill())
    })
    this.#bringBack(worker, backAfterMs)
  }

  async #terminate(worker: Child, backAfterMs: number): Promise<void> {
    await this.#running(worker)
    this.counts.terminations++
    const name = nameOf(worker)
    const told = now()
    this.#bringBack(worker, backAfterMs, async () => {
      const stopped = await worker.terminate()
      // it gives up on a server that does not answer
      const from = told + settlingUs
      if (now() > from) this.hurts.push({ process: name, from, to: now(), delay: false })
      if (stopped) return
      this.killedAt.set(name, now())
      this.#scene.violations.push(`${name} was told to stop, and did not`)
    })
  }

  #running(child: Child): Promise<unknown> {
    return this.#back.get(child) ?? Promise.resolve()
  }

  #bringBack(child: Child, afterMs: number, first: () => Promise<void> = async () => {}): void {
    const back = (async () => {
      await first()
      await sleep(afterMs)
      await child.start()
    })()
    this.#back.set(child, back)
    this.#remember(back)
  }

  async #endBackends(victims: Victims, worker: Child, route: Route): Promise<void> {
    const { workers, writersRoute } = this.#scene
    const ports = victims === 'writers' ? writersRoute.ports() : route.ports()
    const which = {
      batches: `application_name <> 'pgpubsub listen' and client_port = any ($1)`,
      listen: `application_name = 'pgpubsub listen' and client_port = any ($1)`,
      writers: `client_port = any ($1)`,
      all: `application_name <> 'chaos' and $1::int[] is not null`,
    }[victims]
    const end = async () => {
      const { rowCount } = await insist(() =>
        this.#scene.admin.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and backend_type = 'client backend' and ${which}`,
          [ports],
        ),
      )
      this.counts.cuts += rowCount ?? 0
    }
    if (victims === 'listen' || victims === 'writers') return end()
    return this.#hurting(victims === 'all' ? workers : [worker], end)
  }

  /** Does what costs the workers their connections, and notes when. */
  async #hurting(workers: readonly Child[], work: () => Promise<void>): Promise<void> {
    const from = now()
    const names = workers.map(nameOf)
    await work()
    const to = now()
    for (const process of names) this.hurts.push({ process, from, to, delay: false })
  }

  async #delay(worker: Child, ms: number, undo: () => void): Promise<void> {
    const from = now()
    const process = nameOf(worker)
    this.#later(ms, async () => {
      undo()
      this.hurts.push({ process, from, to: now(), delay: true })
    })
  }

  async #holdTransaction(ms: number): Promise<void> {
    const client = new pg.Client({ connectionString: this.#scene.databaseUrl, application_name: 'holder' })
    client.on('error', () => {}) // it may be ended like any other
    try {
      await client.connect()
      await client.query('begin isolation level repeatable read; select pg_current_xact_id()')
    } catch {
      // the server was just going away
    }
    this.#later(ms, () => client.end().catch(() => {}))
  }

  #later(ms: number, undo: () => Promise<void>): void {
    this.#remember(sleep(ms).then(undo))
  }

  #remember(undoing: Promise<unknown>): void {
    this.#undoing.add(undoing)
    undoing.finally(() => this.#undoing.delete(undoing))
  }
}

const nameOf = (worker: Child) => `${worker.name}#${worker.incarnation}`

/** For what an operator asks of a server that may be away just now. */
async function insist<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask()
    } catch (error) {
      if (attempt === 300) throw error
      await sleep(100)
    }
  }
}
