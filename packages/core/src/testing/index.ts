export { type AdvanceOptions, advance } from './advance.js'
export { type Drained, type DrainOptions, drain, type Failed } from './drain.js'
export { type WaitForOptions, waitFor } from './wait-for.js'
