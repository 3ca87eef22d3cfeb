import { literal } from '../quote.js'
import type { Examination, Patient } from './examination.js'
import type { Finding } from './finding.js'
import { number, size } from './in-words.js'
import { type HeldBack, heldBack } from './vacuum-horizon.js'

// Logical slots hold back the catalogues only (catalog_xmin), physical ones what their standby says.
const slots = /* sql */ `
  select s.slot_name as slot, s.slot_type as type, s.active, age(s.xmin) as "xminAge", age(s.catalog_xmin) as "catalogXminAge",
    pg_wal_lsn_diff(
      case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, s.restart_lsn
    )::float8 as "retainedBytes"
  from pg_replication_slots s
  order by greatest(age(s.xmin), age(s.catalog_xmin)) desc nulls last, s.slot_name
`

/** Replication slots that keep what nobody fetches. */
export const replicationSlots: Examination = async (patient) => {
  const { rows } = await patient.db.query(slots)
  const held = heldBack(patient)
  return rows.flatMap((row) => slotFinding(row, patient, held))
}

interface Slot {
  readonly slot: string
  readonly type: string
  readonly active: boolean
  readonly xminAge: number | null
  readonly catalogXminAge: number | null
  readonly retainedBytes: number | null
}

function slotFinding(slot: Slot, { thresholds }: Patient, held: HeldBack): Finding[] {
  const late = (age: number | null) => age !== null && (!slot.active || age >= thresholds.lagTransactions)
  const rows = late(slot.xminAge)
  const catalogue = late(slot.catalogXminAge)
  const wal = !slot.active && (slot.retainedBytes ?? 0) >= thresholds.retainedWalBytes
  if (!rows && !catalogue && !wal) return []
  const says = [
    `The ${slot.type} slot is ${slot.active ? 'in use, and lags behind' : 'not in use'}.`,
    rows && `It holds back vacuum by ${number(slot.xminAge ?? 0)} transactions. ${held.words}`,
    catalogue && `It holds back vacuum of the catalogues by ${number(slot.catalogXminAge ?? 0)} transactions.`,
    wal && `It retains ${size(slot.retainedBytes ?? 0)} of WAL on the server's disk.`,
  ]
  return [
    {
      code: 'replication-slot',
      severity: rows && held.severity !== 'info' ? held.severity : wal ? 'warning' : 'info',
      subject: `replication slot ${slot.slot}`,
      message: says.filter(Boolean).join(' '),
      remedy: slot.active
        ? 'See to its standby or subscriber: it does not keep up, or has a long query running with hot_standby_feedback on.'
        : `Start its standby or subscriber again, or, if it is gone for good: select pg_drop_replication_slot(${literal(slot.slot)}).`,
      details: { ...slot, deadRows: held.deadRows },
    },
  ]
}

const feedback = /* sql */ `
  select r.pid, r.application_name as application, host(r.client_addr) as address, r.state,
    age(r.backend_xmin) as "xminAge"
  from pg_stat_replication r
  where age(r.backend_xmin) >= $1
  order by "xminAge" desc
`

/** Standbys without a slot whose queries this server keeps rows for. With a slot, the slot has it. */
export const standbyFeedback: Examination = async (patient) => {
  const { rows } = await patient.db.query(feedback, [patient.thresholds.lagTransactions])
  const { severity, words, deadRows } = heldBack(patient)
  return rows.map(
    (row): Finding => ({
      code: 'standby-feedback',
      severity,
      subject: `standby "${row.application}"`,
      message: `A query on the standby ${row.address ?? ''} (process ${row.pid} here) holds back vacuum by ${number(row.xminAge)} transactions, through hot_standby_feedback. ${words}`,
      remedy:
        'End the long query on the standby, or set hot_standby_feedback = off there, or max_standby_streaming_delay.',
      details: { ...row, deadRows },
    }),
  )
}
