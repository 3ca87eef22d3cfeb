/** Before a worker is started again: 500 ms doubled with each failure, at most 30 s, spread over the upper half. */
export function restartBackoff(failures: number): number {
  const delay = Math.min(500 * 2 ** (failures - 1), 30_000)
  return Math.round(delay * (0.5 + Math.random() / 2))
}
