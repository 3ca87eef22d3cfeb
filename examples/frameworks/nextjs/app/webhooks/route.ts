import { storeMedia, type Upload } from '../../../src/store-media.ts'

export async function POST(request: Request): Promise<Response> {
  return Response.json(await storeMedia((await request.json()) as Upload))
}
