import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestDatabase } from './test.ts'

export interface SilentProxy {
  /** The database, by way of the proxy. */
  readonly url: string
  /** From now on nothing comes through, in neither direction, and nobody is told: not even who says good-bye. */
  silence(): void
  /** Cuts every connection. Who comes again is connected, and gets no answer while it is silent. */
  cut(): void
  /** How many connections it has. */
  readonly connections: number
}

/** A network between a client and the server that can fall silent. */
export async function silentProxy(database: TestDatabase): Promise<SilentProxy> {
  const target = new URL(database.url)
  const sockets = new Set<Socket>()
  let isSilent = false
  const proxy = createServer({ allowHalfOpen: true }, (client) => {
    const server = connect({ port: Number(target.port || 5432), host: target.hostname, allowHalfOpen: true })
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from)
      from.on('data', (data) => void (isSilent || to.write(data)))
      from.on('end', () => void (isSilent || to.end()))
      from.on('error', () => to.destroy())
    }
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  database.closeLater(async () => {
    cut()
    await new Promise((resolve) => proxy.close(resolve))
  })
  const url = new URL(database.url)
  url.hostname = '127.0.0.1'
  url.port = String((proxy.address() as AddressInfo).port)
  return {
    url: url.href,
    get connections() {
      return sockets.size / 2
    },
    silence: () => {
      isSilent = true
    },
    cut,
  }
}
