import { beforeEach, inject } from 'vitest'

declare module 'vitest' {
  interface TaskMeta {
    /** The major version of the server that the test ran on, for the report. */
    postgres?: number
  }
}

beforeEach(({ task }) => {
  task.meta.postgres = inject('postgresMajor')
})
