/** The value below which the share `quantile` of the values lies, 0.5 for the median. */
export function quantileOf(values: readonly number[], quantile: number): number {
  if (values.length === 0) throw new Error('Nothing was measured.')
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * quantile
  const below = sorted[Math.floor(at)] as number
  const above = sorted[Math.ceil(at)] as number
  return below + (above - below) * (at - Math.floor(at))
}

export const medianOf = (values: readonly number[]) => quantileOf(values, 0.5)

/** `count` things done in `milliseconds`, per second. */
export const perSecond = (count: number, milliseconds: number) => (count * 1000) / milliseconds

export const rounded = (value: number, digits = 0) => Number(value.toFixed(digits))
