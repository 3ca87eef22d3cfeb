import { prisma } from './listeners.ts'
import { cronSecret } from './settings.ts'

/**
 * `GET /cron`: what the platform calls every minute. It ends before the platform would end it: leave running handlers time behind
 * `maxMs`.
 */
export async function GET(request: Request): Promise<Response> {
  const authorized = cronSecret !== undefined && request.headers.get('authorization') === `Bearer ${cronSecret}`
  if (!authorized) return new Response('Unauthorized', { status: 401 })
  // whoever calls may hang up: then what was not handled is left for the next call
  const result = await prisma.$pubsub.process({ max: 1_000, maxMs: 20_000, signal: request.signal })
  return Response.json(result)
}
