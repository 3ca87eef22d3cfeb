import { defineConfig } from 'vitest/config'

export default defineConfig({
  // TC39 decorators are lowered, not left for an engine that does not know them
  esbuild: { target: 'es2022' },
  test: {
    include: ['test/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // as Node loads it: what vitest loads itself can be had by two imports at once before it has run
    server: { deps: { external: [/packages\/[^/]+\/dist\//] } },
    maxWorkers: 3,
    sequence: { groupOrder: 0 },
  },
})
