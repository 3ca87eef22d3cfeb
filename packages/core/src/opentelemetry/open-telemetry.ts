/**
 * Spans and metrics of OpenTelemetry.
 * @module @pgpubsub/core/opentelemetry
 */

import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { Instrumentation } from '../instrumentation.js'
import { Meters } from './meters.js'
import { beginSpan } from './spans.js'
import { traceContext } from './trace-context.js'

/**
 * Traces and metrics by the OpenTelemetry SDK that the program has set up: a span for each call of a handler, linked to
 * the spans that wrote what it handles, and counters and histograms by listener. Without an SDK it does nothing.
 *
 * Writes are stored with the `traceparent` of the active span, also those of programs that only write: give it to them too.
 * @example
 * const prisma = new PrismaClient({ adapter }).$extends(pubsub({ connectionString, instrumentation: openTelemetry() }))
 */
export function openTelemetry(): Instrumentation {
  const meters = new Meters()
  return {
    observe: (engine) => meters.observe(engine),
    currentTrace: () => {
      const span = trace.getSpanContext(context.active())
      return span ? traceContext(span) : null
    },
    inBackground: (work) => context.with(ROOT_CONTEXT, work),
    attempt: async (call, attempt) => {
      const begun = performance.now()
      meters.begun(call)
      const span = beginSpan(call)
      let errorType: string | null = null
      try {
        const attempted = await attempt((handler) => context.with(span.context, handler))
        errorType = span.failed(attempted.failures)
        return attempted
      } catch (error) {
        errorType = span.failed([{ error, verdict: { kind: 'interrupted' } }])
        throw error
      } finally {
        span.end()
        meters.ended(call, performance.now() - begun, errorType)
      }
    },
  }
}
