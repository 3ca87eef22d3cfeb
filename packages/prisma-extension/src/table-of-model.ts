import type { Column, Table } from '@pgpubsub/core'
import type { Field, Model } from './data-model.js'

/** Types of Prisma as PostgreSQL's own catalogue names them, without a length. */
const usualTypes: Readonly<Record<string, string>> = {
  String: 'text',
  Boolean: 'boolean',
  Int: 'integer',
  BigInt: 'bigint',
  Float: 'double precision',
  Decimal: 'numeric',
  DateTime: 'timestamp without time zone',
  Json: 'jsonb',
  Bytes: 'bytea',
}

/** The same of those that `@db.…` names. */
const nativeTypes: Readonly<Record<string, string>> = {
  Text: 'text',
  VarChar: 'character varying',
  Char: 'bpchar',
  Uuid: 'uuid',
  Inet: 'inet',
  Xml: 'xml',
  Bit: '"bit"',
  VarBit: 'bit varying',
  Boolean: 'boolean',
  Integer: 'integer',
  SmallInt: 'smallint',
  Oid: 'oid',
  BigInt: 'bigint',
  DoublePrecision: 'double precision',
  Real: 'real',
  Decimal: 'numeric',
  Money: 'money',
  Timestamp: 'timestamp without time zone',
  Timestamptz: 'timestamp with time zone',
  Date: 'date',
  Time: 'time without time zone',
  Timetz: 'time with time zone',
  Json: 'json',
  JsonB: 'jsonb',
  ByteA: 'bytea',
}

/** Their own `=` does not tell equal values from others. */
const incomparable = new Set(['Json', 'Xml', 'Citext'])

/**
 * The table of a model as the Prisma schema has it, for what is written without a database. Whether others inherit from
 * it, what is generated, and by what collation texts are compared, only the database knows.
 */
export const tableOf = ({ schema, table, fields, key }: Model): Table => ({
  schema,
  name: table,
  columns: fields.map(columnOf),
  key: key ?? [],
  heirs: [],
  related: false,
})

function columnOf(field: Field): Column {
  const { column, nativeType, isList } = field
  // an extension, installed where Prisma installs it unless told otherwise
  const isCitext = nativeType === 'Citext'
  return {
    name: column,
    generated: false,
    comparable: nativeType === null || !incomparable.has(nativeType),
    type: `${isCitext ? quoted('public', 'citext') : typeOf(field)}${isList ? '[]' : ''}`,
    operators: isCitext && !isList ? 'public' : 'pg_catalog',
    deterministic: true,
  }
}

function typeOf({ type, nativeType, enumType }: Field): string {
  if (enumType) return quoted(enumType.schema, enumType.name)
  const named = nativeType === null ? usualTypes[type] : nativeTypes[nativeType]
  return named ?? 'text'
}

const quoted = (...names: string[]) => names.map((name) => `"${name.replaceAll('"', '""')}"`).join('.')
