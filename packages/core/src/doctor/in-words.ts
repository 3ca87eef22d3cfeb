/** 90 → "90 s", 600 → "10 min", 90000 → "25 h". */
export function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`
}

const units = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const

/** As `pg_size_pretty` counts: 1 kB is 1024 bytes. */
export function size(bytes: number): string {
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${power > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power]}`
}

/** 1234567 → "1,234,567". */
export const number = (value: number): string => Math.round(value).toLocaleString('en-US')

/** Of at most that many: a larger number was not counted to its end. */
export const atMost = (count: number, limit: number): string =>
  count > limit ? `more than ${number(limit)}` : number(count)
