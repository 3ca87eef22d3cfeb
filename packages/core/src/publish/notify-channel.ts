import { createHash } from 'node:crypto'

/** The NOTIFY channel that carries the broadcasts for one listener. PostgreSQL's names have at most 63 bytes. */
export function notifyChannel(schema: string, listener: string): string {
  const name = `${schema} broadcast ${listener}`
  if (Buffer.byteLength(name) <= 63) return name
  return `pgpubsub broadcast ${createHash('sha256').update(name).digest('hex').slice(0, 16)}`
}
