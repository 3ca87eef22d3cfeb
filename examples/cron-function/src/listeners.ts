import { prisma } from './client.ts'
import { mailUrl } from './settings.ts'

prisma.user.onPostInsert({ name: 'welcome-mail', timeoutMs: 10_000 }, async ({ id, new: user, context, signal }) => {
  const mail = { to: user.email, text: `Welcome! You signed up from ${context.from}.` }
  // a change may be handled twice: the mail service sends only one mail for a key
  const headers = { 'content-type': 'application/json', 'idempotency-key': `welcome-${id}` }
  const answer = await fetch(mailUrl, { method: 'POST', headers, body: JSON.stringify(mail), signal })
  if (!answer.ok) throw new Error(`the mail service answered ${answer.status}`)
})

export { prisma }
