import { type Attributes, context, metrics, type Span, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { expect, vi } from 'vitest'

/** Keeps what was measured until it is asked. */
class OnDemandReader extends MetricReader {
  protected override async onForceFlush() {}
  protected override async onShutdown() {}
}

const exporter = new InMemorySpanExporter()
const reader = new OnDemandReader()

/** Sets OpenTelemetry up for this process, as a program does; what it would export stays here. */
export function setUpTelemetry(): void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
}

export const forgetSpans = (): void => exporter.reset()

/** Runs `work` in a span of its own, as a request would. @returns the span */
export async function inSpan(name: string, work: (span: Span) => unknown): Promise<Span> {
  return trace.getTracer('test').startActiveSpan(name, async (span) => {
    try {
      await work(span)
    } finally {
      span.end()
    }
    return span
  })
}

/** Spans of this name that have ended. */
export const spansOf = (name: string): ReadableSpan[] =>
  exporter.getFinishedSpans().filter((span) => span.name === name)

/** Waits until so many spans of this name have ended. */
export async function endedSpans(name: string, count: number): Promise<ReadableSpan[]> {
  await vi.waitFor(() => expect(spansOf(name)).toHaveLength(count), { timeout: 15_000, interval: 5 })
  return spansOf(name)
}

/** Ids of the spans that a span links to. */
export const linkedIds = ({ links }: ReadableSpan): string[] => links.map(({ context: { spanId } }) => spanId)

export const idOf = (span: Span): string => span.spanContext().spanId
export const traceparentOf = (span: Span): string => {
  const { traceId, spanId } = span.spanContext()
  return `00-${traceId}-${spanId}-01`
}

/** The points of a metric: the attributes of each, and its value, or for a histogram how many values it has. */
export async function points(name: string): Promise<{ attributes: Attributes; value: number }[]> {
  const { resourceMetrics } = await reader.collect()
  const metric = resourceMetrics.scopeMetrics
    .flatMap((scope) => scope.metrics)
    .find(({ descriptor }) => descriptor.name === name)
  return (metric?.dataPoints ?? []).map(({ attributes, value }) => ({
    attributes,
    value: typeof value === 'number' ? value : value.count,
  }))
}
