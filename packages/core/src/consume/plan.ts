import { longestTimeout } from './signal.js'

/*
 * Statistics of a queue are always wrong: analyzed when it was empty, claimed from when it is huge. With these settings
 * the engine's statements have only one plan each, through the index that is made for it, and need not be planned again.
 * A planner that expects one row would join two lists of a thousand by comparing each with each: so no statement may
 * need a nested loop, which for an index on the inner side is said by `= any (array(…))` or a subplan (`offset 0`).
 */
const settings = {
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  enable_nestloop: 'off',
  jit: 'off',
  plan_cache_mode: 'force_generic_plan',
}

const names = Object.keys(settings)

const setAll = (isLocal: boolean) => [
  ...Object.entries(settings).map(([name, value]) => `set_config('${name}', '${value}', ${isLocal})`),
  // a slow handler must not be taken for a forgotten transaction; servers before 17 have no transaction_timeout
  `set_config('idle_in_transaction_session_timeout', '0', ${isLocal})`,
  `case when current_setting('transaction_timeout', true) is not null then set_config('transaction_timeout', '0', ${isLocal}) end`,
]

/** Columns of a select that makes the settings of a batch, for the rest of the transaction. */
export const setForTransaction = setAll(true).join(', ')

/** The same for as long as the connection lasts, where it is the engine's alone. */
export const setForSession = `select ${setAll(false).join(', ')}`

// Later than the handler's own time limit, which says better what has happened.
const laterMs = 500

/** Before the transaction is lent to handlers: they plan as their session does, and no statement outlasts their time. */
export const unsetPlan = (timeoutMs: number | null) => /* sql */ `do $pgpubsub$ begin
  ${names.map((name) => `set local ${name} to default;`).join(' ')}
  ${timeoutMs === null ? '' : `set local statement_timeout = ${Math.min(timeoutMs + laterMs, longestTimeout)};`}
end $pgpubsub$`

/** Takes {@link unsetPlan} back. */
export const resetPlan = /* sql */ `do $pgpubsub$ begin
  ${Object.entries(settings)
    .map(([name, value]) => `set local ${name} = ${value};`)
    .join(' ')}
  set local statement_timeout to default;
end $pgpubsub$`
