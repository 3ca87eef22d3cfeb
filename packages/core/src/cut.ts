import type pg from 'pg'

/** How long a connection may take to end politely: an answer takes milliseconds where there is one. */
const politeMs = 1_000

/** Closes the socket without a word to the server. What waits for an answer fails at once. */
export function cut(client: pg.Client): void {
  client.connection.stream.destroy()
}

/** Ends a connection. Where the network is silent, nobody answers the good-bye: then it is cut. */
export async function endConnection(client: pg.Client): Promise<void> {
  const late = setTimeout(cut, politeMs, client)
  await client.end().catch(() => {})
  clearTimeout(late)
}
