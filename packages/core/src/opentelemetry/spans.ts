import {
  type Context,
  context,
  diag,
  type Exception,
  type Link,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import type { HandlerCall, Watched } from '../instrumentation.js'
import { attributeNames, attributesOf, scopeName } from './names.js'
import { spanContextIn } from './trace-context.js'

/** The span of one call of a handler. */
export interface AttemptSpan {
  /** Where what the handler does belongs to it. */
  readonly context: Context
  /** @returns the type of the first error; null where there is none */
  failed(failures: Watched['failures']): string | null
  end(): void
}

export function beginSpan(call: HandlerCall): AttemptSpan {
  const span = trace.getTracer(scopeName).startSpan(`process ${call.listener}`, {
    kind: SpanKind.CONSUMER,
    attributes: { ...attributesOf(call.listener), ...ofNotifications(call) },
    links: linksOf(call),
  })
  return {
    context: trace.setSpan(context.active(), span),
    failed: (failures) => recordErrors(span, failures),
    end: () => span.end(),
  }
}

function ofNotifications({ isBatch, notifications }: HandlerCall) {
  if (isBatch) return { [attributeNames.batchCount]: notifications.length }
  return notifications[0] && attributesOfOne(notifications[0])
}

const attributesOfOne = ({ id, operation, attempts }: HandlerCall['notifications'][number]) => ({
  [attributeNames.messageId]: String(id),
  [attributeNames.changeOperation]: operation,
  [attributeNames.attempt]: attempts + 1,
})

/** To the spans that wrote what is handled, where they are known. */
function linksOf({ isBatch, notifications }: HandlerCall): Link[] {
  return notifications.flatMap((notification) => {
    const writer = spanContextIn(notification.context)
    if (!writer) return []
    return isBatch ? { context: writer, attributes: attributesOfOne(notification) } : { context: writer }
  })
}

/** What a handler has thrown away it wanted to: that is no error. */
function recordErrors(span: Span, failures: Watched['failures']): string | null {
  const errors = new Set(failures.flatMap(({ error, verdict }) => (verdict.kind === 'discard' ? [] : [error])))
  if (errors.size === 0) return null
  // anything may have been thrown, and reading it may throw again
  try {
    for (const error of errors) span.recordException(exceptionOf(error))
    const [first] = errors
    const type = typeOf(first)
    span.setAttribute(attributeNames.errorType, type)
    span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(first) })
    return type
  } catch (unreadable) {
    diag.error('pgpubsub: the error of a handler could not be read', unreadable)
    span.setStatus({ code: SpanStatusCode.ERROR })
    return '_OTHER'
  }
}

const exceptionOf = (error: unknown): Exception => (error instanceof Error ? error : String(error))
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
const typeOf = (error: unknown) => (error instanceof Error ? error.constructor.name || error.name : typeof error)
