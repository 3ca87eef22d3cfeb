import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestDatabase } from './test.ts'

/** What has gone over the wire, whatever the client believes. */
export interface Traffic {
  /** Statements that the server was told to execute. */
  statements: number
  /** Times that the client waited for the server. */
  roundTrips: number
}

export interface CountingProxy {
  /** The database, by way of the proxy. */
  readonly url: string
  /** What `work` sends. */
  traffic(work: () => PromiseLike<unknown>): Promise<Traffic>
}

/** A proxy between a client and the server that counts messages of PostgreSQL's protocol. */
export async function countingProxy(database: TestDatabase): Promise<CountingProxy> {
  const counted: Traffic = { statements: 0, roundTrips: 0 }
  const target = new URL(database.url)
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const server = connect(Number(target.port || 5432), target.hostname)
    client.on(
      'data',
      reader(startupMessage, (type) => void ('QE'.includes(type) && counted.statements++)),
    )
    server.on(
      'data',
      reader(0, (type) => void (type === 'Z' && counted.roundTrips++)),
    )
    client.pipe(server)
    server.pipe(client)
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => client.destroy())
    }
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  database.closeLater(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => proxy.close(resolve))
  })
  const url = new URL(database.url)
  url.hostname = '127.0.0.1'
  url.port = String((proxy.address() as AddressInfo).port)
  return {
    url: url.href,
    async traffic(work) {
      const before = { ...counted }
      await work()
      return {
        statements: counted.statements - before.statements,
        roundTrips: counted.roundTrips - before.roundTrips,
      }
    },
  }
}

/** The first message of a client has no type. */
const startupMessage = 1

/** Tells the type of each message of a stream. */
function reader(untyped: number, onMessage: (type: string) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0)
  let withoutType = untyped
  return (chunk) => {
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      const typeLength = withoutType > 0 ? 0 : 1
      if (rest.length < typeLength + 4) return
      const length = typeLength + rest.readInt32BE(typeLength)
      if (rest.length < length) return
      if (typeLength === 1) onMessage(String.fromCharCode(rest[0] as number))
      else withoutType--
      rest = rest.subarray(length)
    }
  }
}
