import { identifier } from '../quote.js'
import type { Examination } from './examination.js'
import type { Finding } from './finding.js'
import { atMost } from './in-words.js'
import { countLimit } from './queues.js'

const counts = (schema: string) => /* sql */ `
  with recursive dead (listener) as (
    (select d.listener from ${schema}.dead_letter d order by d.listener limit 1)
    union all
    select (select d.listener from ${schema}.dead_letter d where d.listener > s.listener order by d.listener limit 1)
    from dead s where s.listener is not null
  )
  select s.listener,
    (select count(*)::float8 from (
      select from ${schema}.dead_letter d where d.listener = s.listener limit ${countLimit + 1}
    ) d) as count,
    (select left(split_part(d.last_error, e'\\n', 1), 200) from ${schema}.dead_letter d
     where d.listener = s.listener order by d.id desc limit 1) as error
  from dead s where s.listener is not null
`

/** Changes that have used up their attempts, by listener. */
export const deadLetterCounts: Examination = async ({ db, schema }) => {
  const { rows } = await db.query(counts(identifier(schema)))
  return rows.map(
    ({ listener, count, error }): Finding => ({
      code: 'dead-letters',
      severity: 'warning',
      subject: `listener ${listener}`,
      message: `It has ${atMost(count, countLimit)} dead ${count === 1 ? 'letter' : 'letters'}. The error of the newest change: ${error ?? 'none'}`,
      remedy: 'pgpubsub dead list shows them; retry or discard them when the cause is gone.',
      details: { listener, count, error },
    }),
  )
}
