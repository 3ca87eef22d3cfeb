/**
 * The test kit of the engine: `drain`, `waitFor` and `advance`.
 * @module @pgpubsub/core/testing
 */

export { type AdvanceOptions, advance } from './advance.js'
export { type Drained, type DrainOptions, drain, type Failed } from './drain.js'
export { type WaitForOptions, waitFor } from './wait-for.js'
