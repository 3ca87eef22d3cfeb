import { setTimeout as sleep } from 'node:timers/promises'
import { pollIntervalMs } from './poll.ts'
import type { Random } from './random.ts'
import type { Scene } from './scene.ts'

/** Longer than a worker takes to reconnect, and shorter than the slow poll: what is then still there, nobody knows of. */
const strandedMs = pollIntervalMs / 2

/**
 * Waits until everything is handled, dead letters too. What nobody begins with for a while is stranded.
 * @returns milliseconds
 */
export async function comeToRest(scene: Scene, say: (line: string) => void): Promise<number> {
  scene.calm = true
  for (const worker of scene.workers) worker.send('calm')
  const begun = Date.now()
  let last = ''
  let movedAt = begun
  for (let look = 0; ; look++) {
    await scene.pubsub.deadLetters.retry('all')
    const { rows } = await scene.admin.query(`select count(*)::int as stored, coalesce(max(attempts), 0) as attempts,
      (select count(*)::int from pgpubsub.dead_letter) as dead from pgpubsub.notification`)
    const [{ stored, dead }] = rows
    if (stored === 0 && dead === 0) return Date.now() - begun
    if (look % 50 === 0) say(`${stored} to be handled, ${dead} dead`)
    const state = JSON.stringify(rows)
    if (state !== last) movedAt = Date.now()
    last = state
    if (Date.now() - movedAt > strandedMs) {
      scene.violations.push(
        `stranded: nobody handles the ${stored} notifications that are left: ${await sample(scene)}`,
      )
      if (Date.now() - movedAt > pollIntervalMs + 20_000) return Date.now() - begun
    }
    await sleep(20)
  }
}

async function sample({ admin }: Scene): Promise<string> {
  const { rows } =
    await admin.query(`select n.id, n.listener, n.waiting, n.run_at, n.attempts, n.last_error, now() as now
    from pgpubsub.notification n order by n.id limit 3`)
  return JSON.stringify(rows)
}

/**
 * Writes while the workers sleep, are just waking up or falling asleep: each write must be handled without the slow poll.
 * @returns milliseconds that the slowest round took
 */
export async function expectWakeUps(scene: Scene, random: Random, say: (line: string) => void): Promise<number> {
  say('drained; do sleeping workers wake up?')
  let slowest = 0
  for (let round = 0; round < 60; round++) {
    await sleep(random.int(0, 60))
    const begun = performance.now()
    await Promise.all([1, 2, 3].map(() => heldWrite(scene, random.int(0, 25))))
    await untilEmpty(scene)
    slowest = Math.max(slowest, performance.now() - begun)
  }
  if (slowest > strandedMs) scene.violations.push(`a sleeping worker was not woken: ${slowest.toFixed(0)} ms`)
  return slowest
}

/** A change that is stored some time before it commits: whoever looks in between does not see it. */
async function heldWrite({ admin }: Scene, ms: number): Promise<void> {
  const client = await admin.connect()
  await client.query(`begin; insert into media (url) values ('wake up')`)
  await sleep(ms)
  await client.query('commit')
  client.release()
}

async function untilEmpty({ admin, violations }: Scene): Promise<void> {
  const begun = performance.now()
  for (;;) {
    const { rows } = await admin.query('select exists (select from pgpubsub.notification) as stored')
    if (!rows[0].stored) return
    if (performance.now() - begun > pollIntervalMs * 2) {
      violations.push('a write was not handled at all')
      return
    }
    await sleep(2)
  }
}

/** With all processes gone, nothing of them is left at the server. */
export async function expectNothingLeft({ admin, violations }: Scene): Promise<void> {
  const left = `select application_name, state, query from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and application_name not in ('chaos', 'bench')`
  const locks = `select mode from pg_locks where locktype = 'advisory'`
  for (let attempt = 1; ; attempt++) {
    const found = [...(await admin.query(left)).rows, ...(await admin.query(locks)).rows]
    if (found.length === 0) return
    if (attempt === 50) {
      violations.push(`left at the server: ${JSON.stringify(found)}`)
      return
    }
    await sleep(100)
  }
}
