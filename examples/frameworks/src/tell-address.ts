import type { AddressInfo, Server } from 'node:net'

/** Where the service listens: on the console, and to the process that has started this one. */
export function tellAddress(server: Pick<Server, 'address'>): void {
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  console.log(url)
  process.send?.(url)
}
