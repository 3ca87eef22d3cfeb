import { storeMedia, type Upload } from '../../../src/store-media.ts'
import { withUser } from '../../with-user.ts'

export const POST = withUser(async (request) => Response.json(await storeMedia((await request.json()) as Upload)))
