import { once } from 'node:events'

/** Returns when this process is to stop: by SIGTERM, by Ctrl-C, or because the process that forked it has ended. */
export async function untilStopped(): Promise<void> {
  await Promise.race(['SIGTERM', 'SIGINT', 'disconnect'].map((event) => once(process, event)))
  // an open channel to that process would keep this one alive
  if (process.connected) process.disconnect()
}
