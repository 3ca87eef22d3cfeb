const first = 1_000
const most = 3_600_000

/**
 * Exponential backoff with jitter: 1 s doubled with each attempt, at most 1 h, each spread over ± 25 % so that what
 * failed together does not come back together.
 */
export function exponentialBackoff(attempt: number): number {
  const delay = Math.min(first * 2 ** (attempt - 1), most)
  return delay * (0.75 + Math.random() / 2)
}

/** For reconnecting: 50 ms doubled, at most 5 s, spread over the upper half. */
export function reconnectBackoff(failures: number): number {
  const delay = Math.min(50 * 2 ** (failures - 1), 5_000)
  return delay * (0.5 + Math.random() / 2)
}
