import { identifier } from '../quote.js'
import type { Examination } from './examination.js'
import type { Finding } from './finding.js'
import type { TableFigures } from './table-figures.js'

/** What the migrations set, by table. */
const installed: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  notification: {
    autovacuum_vacuum_threshold: '1000',
    autovacuum_vacuum_scale_factor: '0',
    autovacuum_vacuum_insert_threshold: '10000',
    autovacuum_vacuum_insert_scale_factor: '0',
    autovacuum_vacuum_cost_delay: '0',
    autovacuum_analyze_threshold: '10000',
    autovacuum_analyze_scale_factor: '0',
    'toast.autovacuum_vacuum_threshold': '1000',
    'toast.autovacuum_vacuum_scale_factor': '0',
    'toast.autovacuum_vacuum_cost_delay': '0',
  },
  worker: { fillfactor: '50' },
}

/** Storage parameters that somebody has changed. It may be on purpose. */
export const storageParameters: Examination = async ({ schema, tables }) =>
  tables.flatMap((table): Finding[] => {
    const changed = changes(table)
    if (changed.length === 0) return []
    const name = identifier(schema, table.name)
    return [
      {
        code: 'storage-parameters',
        severity: 'info',
        subject: `table ${name}`,
        message: `Its storage parameters are not those that the engine has set: ${changed.map(({ words }) => words).join(', ')}.`,
        remedy: `If that is not on purpose: alter table ${name} ${changed.map(({ undo }) => undo).join(', ')}.`,
        details: Object.fromEntries(changed.map(({ parameter, now }) => [parameter, now])),
      },
    ]
  })

function changes({ name, parameters }: TableFigures) {
  const wanted = installed[name] ?? {}
  const names = [...new Set([...Object.keys(wanted), ...Object.keys(parameters)])]
  return names
    .filter((parameter) => parameters[parameter] !== wanted[parameter])
    .filter((parameter) => !parameter.endsWith('autovacuum_enabled')) // a finding of its own
    .map((parameter) => {
      const [now = null, before] = [parameters[parameter], wanted[parameter]]
      return {
        parameter,
        now,
        words: `${parameter} is ${now ?? 'not set'}${before === undefined ? '' : ` instead of ${before}`}`,
        undo: before === undefined ? `reset (${parameter})` : `set (${parameter} = ${before})`,
      }
    })
}
