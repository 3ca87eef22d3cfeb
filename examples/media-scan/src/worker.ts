/** A worker: handles what the service has committed, until it is stopped. Run as many as you like. */
import './listeners.ts'
import { disconnect, prisma } from './client.ts'
import { untilStopped } from './until-stopped.ts'

await prisma.$connect()
await prisma.$pubsub.install()
const worker = await prisma.$pubsub.listen()
console.log(`worker ${process.pid} is listening`)
await untilStopped()
await worker.stop()
await disconnect()
