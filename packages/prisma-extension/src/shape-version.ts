import { createHash } from 'node:crypto'
import type { Field } from './data-model.js'

/**
 * The version of a model's shape, as far as stored rows show it: columns, their types and the values of enums. Names of fields do not
 * count, nor does their order.
 */
export function shapeVersion(fields: readonly Field[]): string {
  const columns = fields.map(({ column, type, isList, members }) => {
    const values = members ? [...members.values()].sort() : null
    return JSON.stringify([column, values ? 'enum' : type, isList, values])
  })
  return createHash('sha256').update(columns.sort().join('\n')).digest('hex').slice(0, 8)
}
