/** Microseconds of the one clock that all processes of this machine share, and that nobody sets. */
export const now = (): number => Number(process.hrtime.bigint() / 1000n)

/** What is to be added to {@link now} for microseconds since 1970. */
export const sinceEpoch = (): number => Date.now() * 1000 - now()
