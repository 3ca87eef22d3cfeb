import { defineConfig } from 'vitest/config'
import suite from './vitest.config.ts'

const { test, ...others } = suite

/** What takes both cores for long: chaos, great numbers, builds of frameworks. */
export default defineConfig({
  ...others,
  test: { ...test, include: ['test/endurance/*.test.ts'], maxWorkers: 2 },
})
