import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Random } from './random.ts'

/** A way to the server on which connections can be cut and held up. */
export interface Route {
  /** The database, by this way. */
  readonly url: string
  /** Ports by which the server knows the connections. */
  ports(): number[]
  /** Destroys each connection with this probability. @returns how many */
  cut(share: number, random: Random): number
  /** Lets nothing through, in either direction, until it is released. */
  hold(): void
  release(): void
  close(): Promise<void>
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

export async function startRoute(databaseUrl: string): Promise<Route> {
  const target = new URL(databaseUrl)
  const pairs = new Set<Pair>()
  let held = false
  const proxy = createServer((client) => {
    const server = connect(Number(target.port), target.hostname)
    const pair = { client, server }
    pairs.add(pair)
    client.setNoDelay(true)
    server.setNoDelay(true)
    for (const [from, to] of both(pair)) {
      from.on('data', (chunk) => {
        if (!to.write(chunk)) from.pause()
      })
      to.on('drain', () => held || from.resume())
      from.on('end', () => to.end())
      from.on('error', () => {}) // `close` follows
      from.on('close', () => {
        pairs.delete(pair)
        to.destroy()
      })
      if (held) from.pause()
    }
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const url = new URL(databaseUrl)
  url.hostname = '127.0.0.1'
  url.port = String((proxy.address() as AddressInfo).port)
  return {
    url: url.href,
    ports: () => [...pairs].flatMap(({ server }) => server.localPort ?? []),
    cut(share, random) {
      const chosen = [...pairs].filter(() => random.chance(share))
      for (const pair of chosen) for (const [socket] of both(pair)) socket.destroy()
      return chosen.length
    },
    hold() {
      held = true
      for (const pair of pairs) for (const [socket] of both(pair)) socket.pause()
    },
    release() {
      held = false
      for (const pair of pairs) for (const [socket] of both(pair)) socket.resume()
    },
    async close() {
      for (const pair of pairs) for (const [socket] of both(pair)) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}

const both = ({ client, server }: Pair) =>
  [
    [client, server],
    [server, client],
  ] as const
