import { mayWrite } from '@pgpubsub/core'

/** One call of a Prisma operation, as a query extension is told of it. */
export interface OperationCall {
  operation: string
  args: unknown
  query(args: never): PromiseLike<unknown>
}

/** The transaction that an operation runs in. */
export interface OperationTransaction {
  kind: 'itx' | 'batch'
  id: unknown
}

/**
 * Prisma tells the extension in a parameter of its own whether the operation runs in a transaction. There is no public
 * way to know: where the operation is called from does not say on which client it was called.
 */
export function transactionOf(call: object): OperationTransaction | undefined {
  const { __internalParams } = call as { __internalParams?: { transaction?: OperationTransaction } }
  return __internalParams?.transaction
}

const readOperations = new Set([
  ...['findUnique', 'findUniqueOrThrow', 'findFirst', 'findFirstOrThrow', 'findMany'],
  ...['count', 'aggregate', 'groupBy'],
])

/** Whether the operation may change rows; raw ones are judged by their text. */
export function writes({ operation, args }: OperationCall): boolean {
  if (readOperations.has(operation)) return false
  const sql = rawText(operation, args)
  return sql === undefined || mayWrite(sql)
}

/** The text of a raw operation. */
export function rawText(operation: string, args: unknown): string | undefined {
  if (!operation.startsWith('$executeRaw') && !operation.startsWith('$queryRaw')) return undefined
  if (Array.isArray(args)) return typeof args[0] === 'string' ? args[0] : undefined
  const { sql, strings } = (args ?? {}) as { sql?: unknown; strings?: readonly string[] }
  return typeof sql === 'string' ? sql : strings?.join('$1')
}

/** Whether what is given to `$transaction([…])` only reads: a Prisma promise tells in `spec` what it would do. */
export function isRead(promise: unknown): boolean {
  const { action } = (promise as { spec?: { action?: string } } | null)?.spec ?? {}
  return action !== undefined && readOperations.has(action)
}
