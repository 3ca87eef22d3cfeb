import { readSchemaText, type SchemaText } from './schema-text.js'

/** A scalar or enum field of a model. */
export interface Field {
  readonly name: string
  readonly column: string
  /** `'Int'`, `'DateTime'` …, or the name of an enum. */
  readonly type: string
  readonly isList: boolean
  /** For an enum: Prisma's value → the database's, of all its values. */
  readonly members: ReadonlyMap<string, string> | null
  /** The `Xml` of `@db.Xml`; null where the field has the usual type. */
  readonly nativeType: string | null
  /** For an enum: the names of the database's type. */
  readonly enumType: { readonly schema: string; readonly name: string } | null
}

/** A model with the table behind it. Relations are not part of it: they are no columns. */
export interface Model {
  readonly name: string
  readonly schema: string
  readonly table: string
  readonly fields: readonly Field[]
  /** Columns that identify a row; null where the schema names none. */
  readonly key: readonly string[] | null
}

interface RuntimeField {
  name: string
  kind: 'scalar' | 'enum' | 'object' | 'unsupported'
  type: string
  dbName?: string
}

/** What of a Prisma Client tells about its models; present in every client that Prisma 7 generates. */
export interface ClientInternals {
  _runtimeDataModel: {
    models: Record<string, { dbName: string | null; schema?: string | null; fields: RuntimeField[] }>
  }
  _engineConfig?: { inlineSchema?: string }
}

/** Reads the models that a generated Prisma Client knows. */
export function readModels(client: ClientInternals): ReadonlyMap<string, Model> {
  const text = readSchemaText(client._engineConfig?.inlineSchema ?? '')
  const models = Object.entries(client._runtimeDataModel.models)
  return new Map(
    models.map(([name, { dbName, schema, fields }]) => [
      name,
      {
        name,
        schema: schema ?? 'public',
        table: dbName ?? name,
        fields: fields.filter(isColumn).map(toField(name, text)),
        key: text.keys.get(name)?.map((key) => fields.find((field) => field.name === key)?.dbName ?? key) ?? null,
      },
    ]),
  )
}

const isColumn = ({ kind }: RuntimeField) => kind === 'scalar' || kind === 'enum'

function toField(model: string, text: SchemaText) {
  return ({ name, dbName, type, kind }: RuntimeField): Field => ({
    name,
    column: dbName ?? name,
    type,
    isList: text.lists.has(`${model}.${name}`),
    members: kind === 'enum' ? membersOf(type, text) : null,
    nativeType: text.nativeTypes.get(`${model}.${name}`) ?? null,
    enumType: kind === 'enum' ? (text.enumTypes.get(type) ?? { schema: 'public', name: type }) : null,
  })
}

function membersOf(type: string, { enums, members }: SchemaText): ReadonlyMap<string, string> {
  const stored = new Map([...(enums.get(type) ?? [])].map(([value, member]) => [member, value]))
  return new Map((members.get(type) ?? []).map((member) => [member, stored.get(member) ?? member]))
}
