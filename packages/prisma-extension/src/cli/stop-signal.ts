import { constants } from 'node:os'

const signals = ['SIGTERM', 'SIGINT'] as const

/**
 * Resolves at the first SIGTERM or SIGINT; a second one ends the process at once.
 *
 * One Ctrl-C may come twice: the terminal sends it to the whole process group, and `npm`, which is in it, forwards it. So
 * a signal right after the first is the same one.
 * @param beforeEnd called before a second signal ends the process
 */
export function stopSignal(beforeEnd: () => void = () => {}): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstAt: number | undefined
    const receive = (signal: (typeof signals)[number]) => {
      if (firstAt !== undefined && performance.now() - firstAt > 500) {
        beforeEnd()
        process.exit(128 + constants.signals[signal])
      }
      firstAt ??= performance.now()
      resolve(signal)
    }
    for (const signal of signals) process.on(signal, receive)
  })
}
