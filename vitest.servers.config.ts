import { defineConfig } from 'vitest/config'
import suite from './vitest.config.ts'

/** The versions that `vitest.config.ts` does not run the whole suite on. */
const versions = [14, 15, 16, 18]

/** What must hold on every version: what depends on the server's own behaviour, or on how its catalogue looks. */
const corePromises = [
  'a-change-becomes-a-handled-change',
  'a-broadcast-reaches-every-worker',
  'a-claim-begins-below-every-ready-notification',
  'a-failing-handler-keeps-its-notification',
  'a-write-that-does-not-match-stores-nothing',
  'a-writer-needs-no-right-here',
  'changes-of-a-row-stay-in-order',
  'connections-come-back',
  'context-works-without-prisma',
  'engine-schema',
  'install-is-safe-to-repeat',
  'messages-of-a-channel-are-handled',
  'names-and-keys-of-any-kind',
  'no-wake-up-is-lost',
  'writes-of-every-kind-are-captured',
]

const { test, ...others } = suite

export default defineConfig({
  test: {
    maxWorkers: 3,
    projects: versions.map((version) => ({
      ...others,
      test: {
        ...test,
        name: `PostgreSQL ${version}`,
        include: corePromises.map((promise) => `test/${promise}.test.ts`),
        setupFiles: ['test/support/name-the-server.ts'],
        provide: { postgresVersion: version },
        // the files of one worker share what they import: half of the time would go there
        isolate: false,
      },
    })),
  },
})
