import { installedListeners } from '../install/installed.js'
import { hashOf } from '../install/plan.js'
import type { ChannelDefinition } from '../listener.js'
import type { Declared } from './examination.js'
import type { Finding } from './finding.js'

/** Listeners on channels that are not in the list that `publish` goes by, or are there otherwise than declared. */
export async function channelListeners({ db, schema, definitions }: Declared): Promise<Finding[]> {
  if (definitions.length === 0) return []
  const declared = definitions.filter((definition) => 'channel' in definition)
  const installed = (await installedListeners(db, schema)).filter(({ channel }) => channel !== null)
  const hashes = new Map(installed.map(({ name, hash }) => [name, hash]))
  const names = new Set(declared.map(({ name }) => name))
  return [
    ...declared.filter(({ name }) => !hashes.has(name)).map(missing),
    ...declared.filter((definition) => isOutdated(definition, hashes.get(definition.name))).map(outdated),
    ...installed.filter(({ name }) => !names.has(name)).map(({ name, channel }) => orphaned(name, channel as string)),
  ]
}

const isOutdated = (definition: ChannelDefinition, hash: string | undefined) =>
  hash !== undefined && hash !== hashOf({ definition, triggers: [] })

const install = 'pgpubsub install, or apply what pgpubsub sql prints.'

const missing = ({ name, channel }: ChannelDefinition): Finding => ({
  code: 'listener-missing',
  severity: 'problem',
  subject: `listener ${name}`,
  message: `It is not installed: what is published on the channel ${channel} is not stored for it, and is lost to it.`,
  remedy: install,
  details: { listener: name, channel },
})

const outdated = ({ name, channel }: ChannelDefinition): Finding => ({
  code: 'listener-outdated',
  severity: 'problem',
  subject: `listener ${name}`,
  message: 'It is installed with another channel, order or wake than it is declared with.',
  remedy: install,
  details: { listener: name, channel },
})

const orphaned = (name: string, channel: string): Finding => ({
  code: 'listener-orphaned',
  severity: 'warning',
  subject: `listener ${name}`,
  message: `What is published on the channel ${channel} is stored for it, and it is not declared: messages may wait for ever.`,
  remedy:
    'pgpubsub install removes it. Programs that declare different listeners in one database need different schemas.',
  details: { listener: name, channel },
})
