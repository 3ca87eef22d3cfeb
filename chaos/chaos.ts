import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { sinceEpoch } from './clock.ts'
import { gatherEvidence } from './evidence.ts'
import { plan } from './plan.ts'
import { Random } from './random.ts'
import { type Report, reportOf } from './report.ts'
import { comeToRest, expectNothingLeft, expectWakeUps } from './rest.ts'
import { recordsOf, type Scene, setScene, strike } from './scene.ts'
import { Troublemaker } from './trouble.ts'
import { violationsOf } from './verify.ts'

export interface ChaosOptions {
  /** How long there is trouble. */
  readonly minutes: number
  readonly seed: number
  readonly workers: number
  /** Keep the records of all processes in any case. */
  readonly keep: boolean
  readonly progress: (line: string) => void
}

/** Writes, works and makes trouble for a while, lets it come to rest, and checks what was promised. */
export async function chaos(options: ChaosOptions): Promise<Report> {
  const { seed, workers } = options
  const say = timed(options.progress)
  const epoch = sinceEpoch()
  const scene = await setScene(workers, seed)
  const troublemaker = new Troublemaker(scene, seed)
  await Promise.all([...scene.workers, scene.writers].map((child) => child.start()))
  await makeTrouble(scene, troublemaker, options, say)
  await stopWriters(scene, say)
  const drainMs = await comeToRest(scene, say)
  const slowestWakeUpMs = await expectWakeUps(scene, new Random(seed), say)
  await stopWorkers(scene, say)
  await expectNothingLeft(scene)
  const evidence = await gatherEvidence(scene.admin, await recordsOf(scene), troublemaker)
  const violations = [...scene.violations, ...violationsOf(evidence)]
  await strike(scene)
  const kept = options.keep || violations.length > 0
  if (!kept) await rm(scene.folder, { recursive: true })
  const { counts } = troublemaker
  const folder = kept ? scene.folder : null
  return reportOf({ ...options, evidence, violations, counts, drainMs, slowestWakeUpMs, epoch, folder })
}

type Say = (line: string) => void

function timed(progress: Say): Say {
  const begun = Date.now()
  return (line) => progress(`${((Date.now() - begun) / 1000).toFixed(0).padStart(4)} s  ${line}`)
}

async function makeTrouble(scene: Scene, troublemaker: Troublemaker, { minutes, seed }: ChaosOptions, say: Say) {
  const end = Date.now() + minutes * 60_000
  for (const { afterMs, trouble } of plan(seed, scene.workers.length)) {
    if (Date.now() + afterMs > end) break
    await sleep(afterMs)
    say(JSON.stringify(trouble))
    await troublemaker.make(trouble)
  }
  await sleep(Math.max(0, end - Date.now()))
  await troublemaker.undone()
}

async function stopWriters({ writers, violations }: Scene, say: Say): Promise<void> {
  say('the trouble is over; writers stop')
  if (!(await writers.terminate())) violations.push('the writers were told to stop, and did not')
}

async function stopWorkers({ workers, violations }: Scene, say: Say): Promise<void> {
  say('workers stop')
  await Promise.all(
    workers.map(async (worker) => {
      if (!(await worker.terminate())) violations.push(`${worker.name} was told to stop at the end, and did not`)
    }),
  )
}
