/** What `next start` does, on a port that is free. */
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import next from 'next'
import { tellAddress } from '../src/tell-address.ts'

const app = next({ dev: false, dir: fileURLToPath(new URL('.', import.meta.url)) })
await app.prepare()
const handle = app.getRequestHandler()

const server = createServer((request, response) => handle(request, response))
server.listen(0, '127.0.0.1', () => tellAddress(server))
