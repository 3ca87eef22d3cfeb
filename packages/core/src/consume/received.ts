import { operations } from '../change.js'
import { members } from '../json-members.js'
import type { Claimed } from './claim.js'

/** A broadcast, as if it had been claimed. */
export interface Received extends Claimed {
  /** It was too large for NOTIFY. */
  readonly truncated: boolean
}

const known: readonly string[] = [...operations, 'message']

/** Anyone may NOTIFY anything: null where it is no broadcast. */
export function readBroadcast(payload: string): Received | null {
  try {
    if (typeof JSON.parse(payload) !== 'object') return null
    return received(new Map(members(payload)))
  } catch {
    return null
  }
}

function received(texts: ReadonlyMap<string, string>): Received | null {
  const operation: unknown = JSON.parse(texts.get('operation') ?? 'null')
  const createdAt = new Date(JSON.parse(texts.get('at') ?? 'null'))
  if (!known.includes(operation as string) || !texts.has('at') || Number.isNaN(createdAt.getTime())) return null
  const row = (name: 'old' | 'new') => {
    const text = texts.get(name) ?? 'null'
    return text === 'null' && operation !== 'message' ? null : text
  }
  const changed: unknown = JSON.parse(texts.get('changed') ?? 'null')
  const truncated = texts.get('truncated') === 'true'
  const context = texts.get('context') ?? '{}'
  return {
    id: BigInt(texts.get('id') ?? ''),
    key: null,
    operation: operation as string,
    old: row('old'),
    new: row('new'),
    // the keys alone do not tell
    changed: Array.isArray(changed) ? changed.map(String) : truncated ? [] : null,
    context: context.startsWith('{') ? context : '{}',
    attempts: 0,
    createdAt,
    alone: false,
    lease: null,
    lockedBefore: null,
    truncated,
  }
}
