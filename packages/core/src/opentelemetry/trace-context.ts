import { createTraceState, isSpanContextValid, type SpanContext } from '@opentelemetry/api'
import type { TraceContext } from '../publish/context.js'

/** W3C's form of a span's identity; null where it has none, as without an SDK. */
export function traceContext(span: SpanContext): TraceContext | null {
  if (!isSpanContextValid(span)) return null
  const flags = span.traceFlags.toString(16).padStart(2, '0')
  return {
    traceparent: `00-${span.traceId}-${span.spanId}-${flags}`,
    tracestate: span.traceState?.serialize() || undefined,
  }
}

// a later version may have more behind the flags
const form = /^(?!ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(?:$|-)/

/** The span that a stored context names, in JSON; null where it names none that is valid. */
export function spanContextIn(json: string): SpanContext | null {
  if (!json.includes('"traceparent"')) return null
  const { traceparent, tracestate } = JSON.parse(json) as Record<string, unknown>
  const [, traceId, spanId, flags] = (typeof traceparent === 'string' && form.exec(traceparent)) || []
  if (!traceId || !spanId || !flags) return null
  const span = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  if (!isSpanContextValid(span)) return null
  return typeof tracestate === 'string' && tracestate !== ''
    ? { ...span, traceState: createTraceState(tracestate) }
    : span
}
