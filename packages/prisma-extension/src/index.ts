export {
  type Backoff,
  type Context,
  type ErrorCode,
  errorCodes,
  type InstallReport,
  type ListenerDefaults,
  type ListenOptions,
  type Logger,
  type Operation,
  PubSubError,
  type PubSubEvent,
  type PubSubEvents,
  type PubSubOptions,
  silentLogger,
  type Worker,
} from '@pgpubsub/core'
export { pubsubAdapter } from './adapter.js'
export { pubsub } from './extension.js'
export type { PubSubClient } from './pubsub-client.js'
export type {
  ChangeKind,
  ChangeKinds,
  ListenerDecorator,
  ListenMethod,
  ModelListenerOptions,
  PostChange,
  PostDelete,
  PostInsert,
  PostSave,
  PostUpdate,
  PreDelete,
  PreInsert,
  PreSave,
  PreUpdate,
  Row,
  StoredRow,
  Truncate,
} from './types.js'
