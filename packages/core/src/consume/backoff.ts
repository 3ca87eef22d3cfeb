import type { Backoff, BackoffSettings } from '../listener.js'

/**
 * The function behind backoff settings. By default 1 s doubled with each attempt, at most 1 h, each spread over ± 25 % so
 * that what failed together does not come back together.
 */
export function backoffFrom(settings: BackoffSettings = {}): Backoff {
  const { firstMs = 1_000, jitter = 0.25 } = settings
  const mostMs = settings.type === 'fixed' ? firstMs : (settings.mostMs ?? Math.max(firstMs, 3_600_000))
  return (attempt) => {
    const delay = Math.min(firstMs * 2 ** (attempt - 1), mostMs)
    return delay * (1 - jitter + 2 * jitter * Math.random())
  }
}

/** For reconnecting: 50 ms doubled, at most 5 s, spread over the upper half. */
export function reconnectBackoff(failures: number): number {
  const delay = Math.min(50 * 2 ** (failures - 1), 5_000)
  return delay * (0.5 + Math.random() / 2)
}
