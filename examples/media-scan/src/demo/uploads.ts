import { randomBytes } from 'node:crypto'
import { eicar } from '../find-virus.ts'

/** One way to write, used by one user, in one request. */
export interface Way {
  readonly write: string
  readonly user: string
  readonly route: string
  readonly files: readonly DemoFile[]
  /** Whether what is written is to stay. */
  readonly commits: boolean
}

export interface DemoFile {
  readonly name: string
  readonly infected: boolean
}

/** @param bulk how many files the bulk import has */
export function waysToWrite(bulk: number): Way[] {
  return [
    way('create', 'ada', '/media', 1),
    way('nested create', 'grace', '/users/grace@example.com/media', 25),
    way('createMany', 'linus', '/imports', bulk),
    way('raw SQL', 'edgar', '/raw', 1),
    { ...way('rolled back', 'barbara', '/gifts/nobody@example.com', 1), commits: false },
  ]
}

function way(write: string, user: string, route: string, count: number): Way {
  const files = Array.from({ length: count }, (_, index) => ({
    name: `${write.replace(' ', '-')}-${index + 1}.jpg`,
    infected: index % 20 === 7,
  }))
  return { write, user, route, files, commits: true }
}

/** Uploads all files of the way in one request. @throws unless the service accepts what is to stay, and nothing else */
export async function upload(service: string, way: Way, signal: AbortSignal): Promise<void> {
  const body = new FormData()
  for (const file of way.files) body.append('file', new Blob([content(file)]), file.name)
  const response = await fetch(service + way.route, { method: 'POST', headers: { 'x-user': way.user }, body, signal })
  const answer = await response.text()
  if (response.ok !== way.commits) throw new Error(`POST ${way.route} was answered ${response.status}: ${answer}`)
}

/** Picture-like bytes; the signature is not where other virus scanners of this machine would look for it. */
function content({ infected }: DemoFile): Uint8Array {
  return Buffer.concat([randomBytes(2_000), Buffer.from(infected ? eicar : ''), randomBytes(100)])
}
