import type { Prisma as OfExtensions } from '@prisma/client/extension'
import { Extensions } from '@prisma/client/runtime/client'

/** That of `@prisma/client/extension`, out of the module that every generated client has loaded already. */
export const Prisma = Extensions as unknown as Pick<typeof OfExtensions, 'defineExtension' | 'getExtensionContext'>
