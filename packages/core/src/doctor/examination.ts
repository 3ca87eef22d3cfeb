import type { Queryable } from '../database.js'
import type { ChannelDefinition, ListenerDefinition } from '../listener.js'
import type { Finding } from './finding.js'
import type { Thresholds } from './options.js'
import type { TableFigures } from './table-figures.js'

/** What is examined. */
export interface Patient {
  /** A read-only transaction. */
  readonly db: Queryable
  /** The engine's schema. */
  readonly schema: string
  /** What is declared here; empty where the program does not know, and the engine's own list has to do. */
  readonly definitions: readonly (ListenerDefinition | ChannelDefinition)[]
  /** The role that runs workers. */
  readonly role: string
  readonly thresholds: Thresholds
  /** The engine's tables; none where it is not installed. */
  readonly tables: readonly TableFigures[]
}

/** What is needed to compare what is installed with what is declared. */
export type Declared = Pick<Patient, 'db' | 'schema' | 'definitions'>

/** Looks at one thing. What it cannot see it throws. */
export type Examination = (patient: Patient) => Promise<Finding[]>
