/**
 * The engine without Prisma: tables and columns in place of models and fields. Begin with `PubSub`.
 * @module @pgpubsub/core
 */

export type { Broadcast } from './broadcast.js'
export {
  type Change,
  type Context,
  type DeleteChange,
  type InsertChange,
  type Operation,
  operations,
  type ReplayChange,
  type StoredOperation,
  storedOperations,
  type TruncateChange,
  type UpdateChange,
} from './change.js'
export type { Channel, PublishOptions } from './channel.js'
export type { ChannelListenerOptions } from './channel-listener.js'
export { checkHandler, checkOptionNames, show } from './check.js'
export type { DeadLetterFilter, DeadLetterSelection } from './consume/dead-letter-selection.js'
export type { DeadLetter, DeadLetterListOptions, DeadLetters, InTransaction } from './consume/dead-letters.js'
export type { HandlerGate } from './consume/handler-gate.js'
export type { BatchTransaction, TransactionSource } from './consume/transaction.js'
export type { Worker } from './consume/worker.js'
export type { Queryable, QueryResult } from './database.js'
export type { Delivery, DurableOption } from './delivery.js'
export type { Finding, FindingCode, Severity } from './doctor/finding.js'
export type { DoctorOptions } from './doctor/options.js'
export { type ErrorCode, errorCodes, PubSubError } from './errors.js'
export type { PubSubEvent, PubSubEvents } from './events.js'
export type { Given, Replayed, Transactional } from './given.js'
export { Discard, DoNotRetry, FailedChanges, RetryAt, type RetryTime } from './handler-errors.js'
export type { InstallReport } from './install/install.js'
export type { Migration } from './install/migration.js'
export type { HandlerCall, Instrumentation, Watched } from './instrumentation.js'
export { keptAsText, members } from './json-members.js'
export { nameMeant } from './known-names.js'
export type { ListenOptions } from './listen-options.js'
export type {
  Backoff,
  BackoffSettings,
  ChannelDefinition,
  ConsumeOptions,
  Handler,
  Level,
  Listener,
  ListenerDefinition,
  OrderMode,
  Replayable,
  StoredColumns,
  TableName,
  WakeMode,
} from './listener.js'
export { type Logger, silentLogger } from './logger.js'
export type { Message } from './message.js'
export type { ListenerStatus } from './observe/status.js'
export {
  type ListenerDefaults,
  type ListenerOptions,
  resolveListenerOptions,
} from './options.js'
export type { ProcessOptions, ProcessResult } from './process-options.js'
export type { WaitForCapacityOptions } from './publish/back-pressure.js'
export type { Condition as FilterCondition, When } from './publish/condition.js'
export {
  contextEverUsed,
  currentJson,
  currentScope,
  openScope,
  openScopeOutsideTransaction,
  openTransactionScope,
  runInScope,
  setContextSql,
  setsContext,
  type TraceContext,
} from './publish/context.js'
export { carryContext } from './publish/context-carrier.js'
export { type FilterField, type FilterWord, readWhen } from './publish/filter.js'
export { filterTexts } from './publish/filter-values.js'
export { mayWrite } from './publish/may-write.js'
export type { PayloadType } from './publish/message-json.js'
export { ReplayError } from './publish/replay-error.js'
export type { ReplayKey, ReplayOptions, ReplayProgress, ReplayResult } from './publish/replay-options.js'
export type { Column, Table } from './publish/table.js'
export type { ColumnFilter, FilterValue, TableFilter } from './publish/table-filter.js'
export { PubSub } from './pubsub.js'
export type { PubSubOptions } from './pubsub-options.js'
export type { InputOf, OutputOf, StandardSchema } from './standard-schema.js'
export type { RowByColumn, StoredChange, Upcast } from './stored-change.js'
export { type JsonRow, levelOf, replayable, storedColumns, type TableListenerOptions } from './table-listener.js'
