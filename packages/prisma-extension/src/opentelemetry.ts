export { openTelemetry } from '@pgpubsub/core/opentelemetry'
