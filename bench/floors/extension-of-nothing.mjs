/* What no extension of Prisma can do without: the two modules that it needs, and one file. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { Prisma } from '@prisma/client/extension'

export const context = new AsyncLocalStorage()
export const nothing = () => Prisma.defineExtension({ name: 'nothing' })
