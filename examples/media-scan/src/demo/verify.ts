import type { Scan } from '../scan-log.ts'
import type { DemoFile, Way } from './uploads.ts'

/** A row of `media`, as the service shows it. */
export interface MediaRow {
  readonly id: number
  readonly title: string | null
  readonly status: string
  readonly virus: string | null
  readonly scannedAt: string | null
}

/** What is in the database, and, independent of it, what the workers have written down. */
export interface Evidence {
  readonly rows: readonly MediaRow[]
  readonly scans: readonly Scan[]
}

/** Everything that is not as promised: each committed file handled exactly once, rightly, and nothing else ever. */
export function findMistakes(ways: readonly Way[], { rows, scans }: Evidence): string[] {
  const rowsOf = byTitle(rows)
  const scansOf = byTitle(scans)
  const expected = new Set(ways.flatMap(({ files }) => files.map(({ name }) => name)))
  const strangers = [...rowsOf.keys(), ...scansOf.keys()].filter((title) => !expected.has(title))
  return [
    ...strangers.map((title) => `${title} was never uploaded`),
    ...ways.flatMap((way) =>
      way.files.flatMap((file) => mistakesOf(way, file, rowsOf.get(file.name) ?? [], scansOf.get(file.name) ?? [])),
    ),
  ]
}

function mistakesOf(
  way: Way,
  { name, infected }: DemoFile,
  rows: readonly MediaRow[],
  scans: readonly Scan[],
): string[] {
  const [row] = rows
  const [scan] = scans
  const wanted = way.commits ? 1 : 0
  const mistakes: string[] = []
  if (rows.length !== wanted) mistakes.push(`${name} has ${rows.length} rows, not ${wanted}`)
  if (scans.length !== wanted) mistakes.push(`${name} was handled ${scans.length} times, not ${wanted}`)
  if (!row || !scan || !way.commits) return mistakes
  const virus = infected ? 'EICAR' : null
  const status = infected ? 'Infected' : 'Clean'
  if (scan.id !== row.id) mistakes.push(`${name} has the id ${row.id}, and was handled as ${scan.id}`)
  if (scan.virus !== virus) mistakes.push(`${name} was scanned as ${scan.virus}, not ${virus}`)
  if (row.status !== status || row.virus !== virus || !row.scannedAt)
    mistakes.push(`${name} is ${row.status}, not ${status}`)
  if (scan.context.user !== way.user) mistakes.push(`${name} was handled for ${scan.context.user}, not ${way.user}`)
  return mistakes
}

function byTitle<T extends { readonly title: string | null }>(items: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const title = item.title ?? 'something untitled'
    groups.set(title, [...(groups.get(title) ?? []), item])
  }
  return groups
}
