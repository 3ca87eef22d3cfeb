import { prisma } from '../src/client.ts'

type RouteHandler = (request: Request) => Promise<Response>

/** A route handler in the context of who sends the request. */
export function withUser(handle: RouteHandler): RouteHandler {
  return (request) => {
    const user = request.headers.get('x-user') ?? 'anonymous'
    return prisma.$pubsub.withContext({ user }, () => handle(request))
  }
}
