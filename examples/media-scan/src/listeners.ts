import { prisma } from './client.ts'
import { findVirus } from './find-virus.ts'
import { logScan } from './scan-log.ts'

/** Scans what is new, and what has got another file. That the scan itself updates the row does not wake it: see `columns`. */
prisma.media.onPostSave({ name: 'scan-media', columns: ['url'] }, async ({ new: media, context, createdAt }) => {
  const virus = await findVirus(media.url)
  await prisma.media.update({
    where: { id: media.id },
    data: { status: virus ? 'Infected' : 'Clean', virus, scannedAt: new Date() },
  })
  await logScan({ id: media.id, title: media.title, virus, context, milliseconds: Date.now() - createdAt.getTime() })
})
