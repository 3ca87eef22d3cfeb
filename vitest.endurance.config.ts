import { defineConfig } from 'vitest/config'
import suite from './vitest.config.ts'

const { test, ...others } = suite

/** What takes a minute of both cores by itself: chaos, and great numbers. */
export default defineConfig({
  ...others,
  test: { ...test, include: ['test/endurance/*.test.ts'], maxWorkers: 2 },
})
