import { type Counter, type Histogram, metrics } from '@opentelemetry/api'
import type { HandlerCall, Instrumentation } from '../instrumentation.js'
import { attributeNames, attributesOf, metricNames, scopeName } from './names.js'

type Engine = Parameters<Instrumentation['observe']>[0]

interface Instruments {
  readonly handled: Counter
  readonly failed: Counter
  readonly dead: Counter
  readonly discarded: Counter
  readonly lag: Histogram
  readonly claim: Histogram
  readonly duration: Histogram
}

/** What is counted and measured, by listener. */
export class Meters {
  #made: Instruments | undefined

  /** Made when first needed: an SDK that is set up after they were made would not be told. */
  get #instruments(): Instruments {
    this.#made ??= instruments()
    return this.#made
  }

  observe(engine: Engine): void {
    engine.on('handled', ({ listener }) => this.#instruments.handled.add(1, of(listener)))
    engine.on('discarded', ({ listener }) => this.#instruments.discarded.add(1, of(listener)))
    engine.on('failed', ({ listener, dead }) => {
      this.#instruments.failed.add(1, of(listener))
      if (dead) this.#instruments.dead.add(1, of(listener))
    })
    engine.on('claimed', ({ listener, milliseconds }) =>
      this.#instruments.claim.record(milliseconds / 1000, of(listener)),
    )
  }

  /** A later attempt has waited because it was to wait: that is no lag. */
  begun({ listener, notifications }: HandlerCall): void {
    const now = Date.now()
    for (const { attempts, createdAt } of notifications) {
      if (attempts > 0) continue
      this.#instruments.lag.record(Math.max(0, now - createdAt.getTime()) / 1000, of(listener))
    }
  }

  ended({ listener }: HandlerCall, milliseconds: number, errorType: string | null): void {
    const error = errorType === null ? {} : { [attributeNames.errorType]: errorType }
    this.#instruments.duration.record(milliseconds / 1000, { ...attributesOf(listener), ...error })
  }
}

const of = (listener: string) => ({ [attributeNames.listener]: listener })

// in seconds, as the conventions have it, and for what may wait, up to a day
const short = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const long = [...short, 300, 1_800, 7_200, 28_800, 86_400]

function instruments(): Instruments {
  const meter = metrics.getMeter(scopeName)
  const count = (name: string, description: string) => meter.createCounter(name, { unit: '{change}', description })
  const seconds = (name: string, description: string, explicitBucketBoundaries: number[]) =>
    meter.createHistogram(name, { unit: 's', description, advice: { explicitBucketBoundaries } })
  return {
    handled: count(metricNames.handled, 'Changes whose handler has succeeded.'),
    failed: count(metricNames.failed, 'Attempts that have failed.'),
    dead: count(metricNames.dead, 'Changes that became dead letters.'),
    discarded: count(metricNames.discarded, 'Changes that their handler has thrown away.'),
    lag: seconds(metricNames.lag, 'From the write of a change to the beginning of its first attempt.', long),
    claim: seconds(metricNames.claim, 'How long it takes a worker to claim a batch.', short),
    duration: seconds(metricNames.duration, 'Duration of processing operation.', short),
  }
}
