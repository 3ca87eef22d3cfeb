/** Of our tracer and our meter. */
export const scopeName = '@pgpubsub/core'

/** OpenTelemetry's semantic conventions for messaging, and, in our own name, what they have no word for. */
export const attributeNames = {
  system: 'messaging.system.name',
  operationType: 'messaging.operation.type',
  operationName: 'messaging.operation.name',
  listener: 'messaging.destination.name',
  messageId: 'messaging.message.id',
  batchCount: 'messaging.batch.message_count',
  errorType: 'error.type',
  changeOperation: 'pgpubsub.change.operation',
  attempt: 'pgpubsub.attempt',
} as const

/** What all spans and durations of a listener have. */
export const attributesOf = (listener: string) => ({
  [attributeNames.system]: 'pgpubsub',
  [attributeNames.operationType]: 'process',
  [attributeNames.operationName]: 'process',
  [attributeNames.listener]: listener,
})

/** By the conventions the first, in our own name the others. */
export const metricNames = {
  duration: 'messaging.process.duration',
  handled: 'pgpubsub.handled',
  failed: 'pgpubsub.failed',
  dead: 'pgpubsub.dead',
  discarded: 'pgpubsub.discarded',
  lag: 'pgpubsub.lag',
  claim: 'pgpubsub.claim.duration',
} as const
