import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** @type {import('next').NextConfig} */
export default {
  turbopack: { root },
  outputFileTracingRoot: root,
  // `npm run types` does it
  typescript: { ignoreBuildErrors: true },
  serverExternalPackages: ['@pgpubsub/prisma-extension'],
}
