import { prisma } from './client.ts'

/** `POST /sign-up`: stores the user, and with it, in the same transaction, what is to be done about that. It sends no mail. */
export async function POST(request: Request): Promise<Response> {
  const { email } = (await request.json()) as { email: string }
  const from = request.headers.get('x-forwarded-for') ?? 'somewhere'
  const user = await prisma.$pubsub.withContext({ from }, () => prisma.user.create({ data: { email } }))
  return Response.json({ id: user.id }, { status: 201 })
}
