import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestDatabase } from './test.ts'

/** A way to the server that can fall silent, as a broken network does. */
export interface BrokenNetwork {
  /** The database, by way of the proxy. */
  readonly url: string
  /** From now on nothing comes through: connections stay, and new ones are accepted, but nobody answers. */
  fallSilent(): void
  /** As {@link fallSilent}, but new connections are told that there is no room, and are then left alone. */
  turnAway(): void
  /** New connections come through again. The server loses those from before; their clients are told nothing, ever. */
  recover(): void
  /** Cuts every connection. */
  cut(): void
}

export async function brokenNetwork(database: TestDatabase): Promise<BrokenNetwork> {
  const target = new URL(database.url)
  const clients = new Set<Socket>()
  const servers = new Set<Socket>()
  let greeting: Buffer | null = null
  const proxy = createServer((client) => {
    clients.add(client.on('error', () => {}))
    if (greeting) {
      client.write(greeting)
      return
    }
    const server = connect(Number(target.port || 5432), target.hostname)
    servers.add(server.on('error', () => client.destroy()))
    client.pipe(server).pipe(client)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const destroy = (sockets: Set<Socket>) => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  const unpipe = () => {
    for (const socket of [...clients, ...servers]) socket.unpipe().pause()
  }
  database.closeLater(async () => {
    destroy(clients)
    destroy(servers)
    await new Promise((resolve) => proxy.close(resolve))
  })
  const url = new URL(database.url)
  url.hostname = '127.0.0.1'
  url.port = String((proxy.address() as AddressInfo).port)
  return {
    url: url.href,
    fallSilent() {
      greeting = Buffer.alloc(0)
      unpipe()
    },
    turnAway() {
      greeting = tooManyClients()
      unpipe()
    },
    recover() {
      greeting = null
      unpipe()
      destroy(servers)
    },
    cut() {
      destroy(clients)
      destroy(servers)
    },
  }
}

/** The server's message that says so: its type, its length, and fields that end with a null. */
function tooManyClients(): Buffer {
  const fields = Buffer.from('SFATAL\0C53300\0Msorry, too many clients already\0\0')
  const head = Buffer.from('E0000')
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}
