/** What `work` comes to, or, when the signal aborts first, what `instead` gives. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal, instead: () => T): Promise<T> {
  if (signal.aborted) {
    work.catch(() => {}) // nobody waits for it
    return instead()
  }
  let giveUp: () => void = () => {}
  const aborted = new Promise<void>((resolve) => {
    giveUp = resolve
  }).then(instead)
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
