import { checkOptionNames } from '../check.js'
import { PubSubError } from '../errors.js'

/** From when on something is worth a finding. */
export interface DoctorOptions {
  /** Role whose rights are examined: the one that runs workers. @default the role of the connection */
  role?: string
  /** Seconds for which a transaction may be open. @default 300 */
  transactionSeconds?: number
  /** Seconds for which a notification may be ready without being handled. @default 300 */
  waitingSeconds?: number
  /** Dead rows that a table of the engine may have. @default 100000 */
  deadRows?: number
  /** Seconds for which a table with that many dead rows may go without vacuum. @default 600 */
  vacuumSeconds?: number
  /** Bytes from which on a table or its indexes are examined for empty space. @default 268435456 (256 MB) */
  tableBytes?: number
  /** Bytes of WAL that a replication slot may retain while nobody reads it. @default 1073741824 (1 GB) */
  retainedWalBytes?: number
  /** Transactions by which a replication slot in use, or a standby, may lag behind. @default 1000000 */
  lagTransactions?: number
  /** Part of the server's NOTIFY queue that may be full, 0 to 1. @default 0.1 */
  notifyQueueUsage?: number
  /** Part of `max_connections` that may be in use, 0 to 1. @default 0.9 */
  connectionUsage?: number
}

export type Thresholds = Readonly<Required<Omit<DoctorOptions, 'role'>>>

const defaults: Thresholds = {
  transactionSeconds: 300,
  waitingSeconds: 300,
  deadRows: 100_000,
  vacuumSeconds: 600,
  tableBytes: 256 * 2 ** 20,
  retainedWalBytes: 2 ** 30,
  lagTransactions: 1_000_000,
  notifyQueueUsage: 0.1,
  connectionUsage: 0.9,
}

/** @throws PGPUBSUB_INVALID_OPTION */
export function resolveDoctorOptions(options: DoctorOptions): { role: string | null; thresholds: Thresholds } {
  checkOptionNames('doctor', options, ['role', ...Object.keys(defaults)])
  const { role = null, ...given } = options
  if (role !== null && typeof role !== 'string') throw invalid('role of doctor must be the name of a role.')
  const numbers = Object.entries(given).filter(([, value]) => value !== undefined)
  for (const [name, value] of numbers) {
    if (typeof value !== 'number' || !(value >= 0)) throw invalid(`${name} of doctor must be a number, 0 or more.`)
  }
  return { role, thresholds: { ...defaults, ...Object.fromEntries(numbers) } }
}

const invalid = (message: string) => new PubSubError('PGPUBSUB_INVALID_OPTION', message)
