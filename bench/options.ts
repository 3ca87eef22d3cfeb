import { parseArgs } from 'node:util'
import type { Benchmark } from './benchmark.ts'

export interface BenchOptions {
  readonly chosen: readonly Benchmark[]
  readonly quick: boolean
  readonly json: boolean
  readonly save: boolean
  readonly scale: number
  readonly rounds: number
  readonly help: boolean
}

/** @throws an error that says what to do, where the arguments make no sense. */
export function readOptions(args: readonly string[], benchmarks: readonly Benchmark[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      scale: { type: 'string', default: '1' },
      rounds: { type: 'string', default: '3' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const scale = Number(values.scale)
  if (!(scale > 0)) throw new Error(`--scale must be a number above 0; it is ${values.scale}.`)
  const rounds = Number(values.rounds)
  if (!(Number.isInteger(rounds) && rounds > 0))
    throw new Error(`--rounds must be a whole number above 0; it is ${values.rounds}.`)
  if (values.save && (values.quick || scale !== 1))
    throw new Error('Only figures of the full size are kept: leave out --quick and --scale, or --save.')
  return { ...values, chosen: chosenFrom(benchmarks, values.only), scale, rounds }
}

function chosenFrom(benchmarks: readonly Benchmark[], names: readonly string[]): readonly Benchmark[] {
  const known = benchmarks.map(({ name }) => name)
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`No benchmark is named "${unknown}". There are ${known.join(', ')}.`)
  return names.length === 0 ? benchmarks : benchmarks.filter(({ name }) => names.includes(name))
}

export function usage(benchmarks: readonly Benchmark[]): string {
  const width = Math.max(...benchmarks.map(({ name }) => name.length))
  return `Measures the engine beside a peer or a floor, on the same server in the same run.

usage: npm run bench -- [--quick] [--json] [--save] [--only NAME]… [--scale FACTOR] [--rounds N]

  --quick         small sizes, in three minutes instead of twenty-five
  --json          one JSON line for each figure, instead of a table
  --save          puts the figures into bench/results/latest.json, in place of those of the same benchmarks; of the
                  last three runs of one commit the median is kept
  --only NAME     only this benchmark; may be repeated
  --scale FACTOR  sizes multiplied by this
  --rounds N      how often both sides are measured; 3 without it

DATABASE_URL names a server to measure on; without it one is started.

${benchmarks.map(({ name, about }) => `  ${name.padEnd(width)}  ${about}`).join('\n')}`
}
