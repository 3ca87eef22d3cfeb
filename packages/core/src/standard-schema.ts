/*
 * What zod 4, valibot, arktype and others all are: the interface of standardschema.dev, as far as it is used here. So
 * none of them has to be imported.
 */

/** A schema: `Input` is what it takes, `Output` what it makes of it. */
export interface StandardSchema<Input = unknown, Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** What is wrong with a value, and where. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What a schema takes. */
export type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']
/** What a schema makes of it: with defaults and transforms. */
export type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

export function isStandardSchema(value: unknown): value is StandardSchema {
  const { '~standard': standard } = (value ?? {}) as { '~standard'?: { validate?: unknown } }
  return typeof standard?.validate === 'function'
}

/** The steps of the way to what is wrong. */
export const stepsOf = ({ path = [] }: SchemaIssue): PropertyKey[] =>
  path.map((step) => (typeof step === 'object' ? step.key : step))

/** `owner.email: Invalid input; size: …`, without the values. */
export function issuesText(issues: readonly SchemaIssue[]): string {
  return issues
    .map((issue) => [stepsOf(issue).map(String).join('.'), issue.message].filter((part) => part !== '').join(': '))
    .join('; ')
}
