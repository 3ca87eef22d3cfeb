/** The functions on a port of this machine, called as platforms call them: with a `Request`, for a `Response`. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import * as cron from './cron.ts'
import { prisma } from './listeners.ts'
import { port } from './settings.ts'
import * as signUp from './sign-up.ts'

const routes: Record<string, (request: Request) => Promise<Response>> = {
  'GET /cron': cron.GET,
  'POST /sign-up': signUp.POST,
}

function toRequest(incoming: IncomingMessage, signal: AbortSignal): Request {
  const { method = 'GET', url = '/' } = incoming
  const headers = Object.entries(incoming.headers).map(([name, value]): [string, string] => [name, String(value)])
  const body = method === 'GET' ? {} : { body: Readable.toWeb(incoming) as ReadableStream, duplex: 'half' as const }
  return new Request(new URL(url, 'http://localhost'), { method, headers, signal, ...body })
}

const server = createServer(async (incoming, answer) => {
  const hungUp = new AbortController()
  answer.once('close', () => hungUp.abort())
  const call = routes[`${incoming.method} ${incoming.url}`]
  const response = (await call?.(toRequest(incoming, hungUp.signal))) ?? new Response('Not found', { status: 404 })
  answer.writeHead(response.status, Object.fromEntries(response.headers))
  answer.end(await response.text())
})

await prisma.$pubsub.install() // at each deploy, elsewhere
server.listen(Number(port), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
