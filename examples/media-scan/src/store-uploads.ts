import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { pathToFileURL } from 'node:url'
import type { FastifyRequest } from 'fastify'
import { uploads } from './settings.ts'

/** What a row of `media` says of a stored file. */
export interface StoredFile {
  readonly url: string
  readonly title: string
}

/** Writes the files of a multipart request to the upload folder. */
export async function storeUploads(request: FastifyRequest): Promise<[StoredFile, ...StoredFile[]]> {
  const stored: StoredFile[] = []
  for await (const { file, filename } of request.files()) {
    const path = join(uploads, randomUUID())
    await pipeline(file, createWriteStream(path))
    stored.push({ url: pathToFileURL(path).href, title: filename })
  }
  const [first, ...others] = stored
  if (!first) throw Object.assign(new Error('There is no file in the request.'), { statusCode: 400 })
  return [first, ...others]
}
