/** One line that says what went wrong, whatever was thrown. */
export function describe(error: unknown): string {
  const { code, message } = reasonOf(error)
  const line = message.trim().replaceAll(/\s*\n\s*/g, ' ')
  if (isConnection(error)) return `The database cannot be reached: ${line}`
  return code ? `${code}: ${line}` : line
}

/** Several addresses of one host failed: each error says why, their sum has no message. */
function reasonOf(error: unknown): { code?: string; message: string } {
  if (error instanceof AggregateError && error.message === '') return reasonOf(error.errors[0])
  if (error instanceof Error) return error
  return { message: String(error) }
}

// authorization (28), no such database (3D), too many connections (53), starting up or shutting down (57P)
const refusals = /^(28|3D|53300$|57P0)/

function isConnection(error: unknown): boolean {
  const { code = '', syscall } = reasonOf(error) as { code?: string; syscall?: string }
  return syscall === 'connect' || syscall === 'getaddrinfo' || refusals.test(code)
}
