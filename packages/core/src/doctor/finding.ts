/** `'problem'`: something does not work, or soon will not; `'warning'`: look into it; `'info'`: good to know. */
export type Severity = (typeof severities)[number]

/** The worst first. */
export const severities = ['problem', 'warning', 'info'] as const

/** What a {@link Finding} can be about. */
export type FindingCode =
  // the engine and its triggers
  | 'engine-missing'
  | 'engine-outdated'
  | 'engine-newer'
  | 'listener-does-not-fit'
  | 'trigger-missing'
  | 'trigger-outdated'
  | 'trigger-disabled'
  | 'trigger-orphaned'
  | 'listener-missing'
  | 'listener-outdated'
  | 'listener-orphaned'
  | 'listener-unlisted'
  | 'listener-left-over'
  // rights
  | 'missing-rights'
  | 'function-rights'
  | 'public-rights'
  | 'limited-sight'
  // vacuum
  | 'long-transaction'
  | 'prepared-transaction'
  | 'replication-slot'
  | 'standby-feedback'
  | 'dead-rows'
  | 'bloat'
  | 'autovacuum-off'
  | 'autovacuum-busy'
  | 'storage-parameters'
  // the server
  | 'notify-queue'
  | 'connections'
  | 'standby'
  | 'read-only'
  | 'replica-role'
  | 'statement-timeout'
  | 'fsync-off'
  // queues
  | 'unattended'
  | 'backlog'
  | 'paused'
  | 'forgotten'
  | 'dead-letters'
  // the examination itself
  | 'not-examined'

/** One thing that the doctor has found. */
export interface Finding {
  /** Which kind of finding: for programs, as the message is for people. */
  readonly code: FindingCode
  /** How bad it is; `problem` is the worst. */
  readonly severity: Severity
  /** What it is about: a listener, a table, a session. */
  readonly subject: string
  /** What is wrong, with its figures. */
  readonly message: string
  /** What to do about it. */
  readonly remedy: string
  /** The figures of the message, for programs: numbers of seconds, bytes and rows, names. */
  readonly details: Readonly<Record<string, string | number | boolean | null>>
}
