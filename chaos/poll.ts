/** Milliseconds of the workers' slow poll: so long that a change which only the poll has found is seen to be late. */
export const pollIntervalMs = 20_000
