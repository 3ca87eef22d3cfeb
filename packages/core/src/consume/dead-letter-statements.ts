import { checkOptionNames, positiveInteger } from '../check.js'
import { identifier, literal } from '../quote.js'
import { type Condition, type DeadLetterSelection, filtered, filterNames, selected } from './dead-letter-selection.js'
import type { DeadLetterListOptions, InTransaction } from './dead-letters.js'

/** SQL with its parameters. */
export interface Statement {
  readonly text: string
  readonly values: readonly string[]
}

/** @throws PGPUBSUB_INVALID_OPTION */
export function listStatement(schema: string, options: DeadLetterListOptions & InTransaction<unknown>): Statement {
  checkOptionNames('deadLetters.list', options, [...filterNames, 'limit', 'before', 'tx'])
  const { tx: _, limit = 100, ...filter } = options
  const condition = filtered('deadLetters.list', filter)
  const most = positiveInteger('deadLetters.list', 'limit', limit)
  return { text: list(identifier(schema), condition), values: [...condition.values, String(most)] }
}

/** @throws PGPUBSUB_INVALID_OPTION */
export function retryStatement(schema: string, selection: DeadLetterSelection): Statement {
  const condition = selected('deadLetters.retry', selection)
  return { text: retry(identifier(schema), schema, condition), values: condition.values }
}

/** @throws PGPUBSUB_INVALID_OPTION */
export function discardStatement(schema: string, selection: DeadLetterSelection): Statement {
  const condition = selected('deadLetters.discard', selection)
  return { text: discard(identifier(schema), condition), values: condition.values }
}

// Everything is text or a number that any driver reads alike: the caller's transaction may be another library's.
const list = (schema: string, { text, values }: Condition) => /* sql */ `
  select d.id::text as id, d.listener, d.operation, d.old::text as old, d.new::text as new, d.context::text as context,
    d.attempts, d.last_error as error,
    (extract(epoch from d.created_at) * 1000::numeric)::float8 as created_at,
    (extract(epoch from d.died_at) * 1000::numeric)::float8 as died_at
  from ${schema}.dead_letter d
  where ${text}
  order by d.id desc
  limit $${values.length + 1}::text::bigint
`

// Under its old id, and as one that waited until now: workers find it below where their claims begin, and as long as it
// waits, the later changes of its row do. Those of one row come back in order.
const retry = (schema: string, channel: string, { text }: Condition) => /* sql */ `
  with revived as (
    delete from ${schema}.dead_letter d where ${text} returning d.*
  ), stored as (
    insert into ${schema}.notification (id, listener, operation, key, old, new, changed, version, context, attempts, waiting,
      run_at, waiting_key, last_error, created_at)
    overriding system value
    select r.id, r.listener, r.operation, r.key, r.old, r.new, r.changed, r.version, r.context, 0, true,
      now(), r.key, r.last_error, r.created_at
    from revived r
    returning listener
  ), woken as materialized (
    select pg_notify(${literal(channel)}, s.listener)::text as listener from (select distinct listener from stored) s
  )
  select (select count(*) from stored)::float8 as count, (select pg_catalog.count(w.listener) from woken w)::float8 as woken
`

const discard = (schema: string, { text }: Condition) => /* sql */ `
  with discarded as (
    delete from ${schema}.dead_letter d where ${text} returning 1
  )
  select count(*)::float8 as count from discarded
`
