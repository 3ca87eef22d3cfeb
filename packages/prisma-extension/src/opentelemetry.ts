/**
 * Spans and metrics of OpenTelemetry.
 * @module @pgpubsub/prisma-extension/opentelemetry
 */

export { openTelemetry } from '@pgpubsub/core/opentelemetry'
