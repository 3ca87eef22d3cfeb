import { engineVersion } from '../install/migrations/index.js'
import type { Finding } from './finding.js'

/** Whether the installed engine is the one that this code works with. */
export function engineFinding(schema: string, installed: number): Finding | null {
  if (installed === engineVersion) return null
  const about = {
    severity: 'problem',
    subject: `schema ${schema}`,
    details: { installed, needed: engineVersion },
  } as const
  if (installed === 0) {
    return {
      ...about,
      code: 'engine-missing',
      message: 'The database has no engine here: no table and no trigger of ours.',
      remedy: 'pgpubsub install, or apply what pgpubsub sql prints. If the engine has another schema, name it.',
    }
  }
  if (installed > engineVersion) {
    return {
      ...about,
      code: 'engine-newer',
      message: `The engine has version ${installed}, and this code knows versions up to ${engineVersion}: a newer release installed it.`,
      remedy: "Upgrade this program's @pgpubsub packages.",
    }
  }
  return {
    ...about,
    code: 'engine-outdated',
    message: `The engine has version ${installed}, and this code needs ${engineVersion}: its workers do not start.`,
    remedy: 'pgpubsub install, or apply what pgpubsub sql prints.',
  }
}
