import { fileURLToPath } from 'node:url'
import type { TableListenerOptions } from '@pgpubsub/core'
import pg from 'pg'
import { Command } from './support/command.ts'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

const module = fileURLToPath(new URL('./fixtures/media-listeners.ts', import.meta.url))
const ignore = () => {}

function program(database: TestDatabase, ...listeners: Partial<TableListenerOptions>[]) {
  const warn = vi.fn()
  const core = database.core({ logger: { debug: ignore, info: ignore, warn, error: ignore } })
  for (const options of listeners) core.onChange({ name: 'media', table: 'media', ...options }, ignore)
  return { core, warn, warned: () => warn.mock.calls.map(([about]) => about.code) }
}

const found = async ({ core }: ReturnType<typeof program>) => (await core.check()).map(({ code }) => code)

const trigger = (operation: string, listener = 'media') => pg.escapeIdentifier(`~pgpubsub ${operation} ${listener}`)

describe('check()', () => {
  test('finds nothing where install() would change nothing, and what it would change', async ({ database }) => {
    const declared = program(database, {})
    expect(await found(declared)).toEqual(['engine-missing'])
    await declared.core.install()
    expect(await found(declared)).toEqual([])
    expect(await found(program(database))).toEqual([])

    expect(await found(program(database, { order: 'none' }))).toEqual(Array(3).fill('trigger-outdated'))
    expect(await found(program(database, { operations: ['insert'] }))).toEqual(Array(2).fill('trigger-orphaned'))
    expect(await found(program(database, {}, { name: 'other', operations: ['insert'] }))).toEqual(['trigger-missing'])
    await database.sql(
      `alter table media disable trigger ${trigger('insert')}; drop trigger ${trigger('update')} on media`,
    )
    expect(await found(declared)).toEqual(['trigger-missing', 'trigger-disabled'])
    await declared.core.install()
    expect(await found(declared)).toEqual([])
  })

  test("sees the engine's own list, and its version", async ({ database }) => {
    const declared = program(database, {})
    await declared.core.install()
    await database.sql(`update pgpubsub.listener set name = 'left'`)
    expect(await found(declared)).toEqual(['listener-unlisted', 'listener-left-over'])
    expect((await declared.core.install()).engine.from).toBeGreaterThan(0)
    expect(await found(declared)).toEqual([])
    await database.sql(`delete from pgpubsub.migration where number = (select max(number) from pgpubsub.migration)`)
    expect(await found(declared)).toEqual(['engine-outdated'])
    await database.sql(`insert into pgpubsub.migration (number) values (1000)`)
    expect(await found(declared)).toEqual(['engine-newer'])
  })
})

describe('listen()', () => {
  test('warns where what is installed is not what is declared, and runs', async ({ database }) => {
    await program(database, {}, { name: 'of another program' }).core.install()
    const inPlace = program(database, {})
    await (await inPlace.core.listen()).stop()
    expect(inPlace.warned()).toEqual([])

    await database.sql(`alter table media disable trigger ${trigger('insert')}`)
    const changed = program(database, { columns: ['title'] }, { name: 'not asked for', table: 'tag' })
    const worker = await changed.core.listen({ listeners: ['media'] })
    expect(changed.warned()).toEqual(['trigger-outdated', 'trigger-disabled'])
    expect(changed.warn.mock.calls[0]).toEqual([
      { code: 'trigger-outdated', subject: expect.any(String), remedy: expect.stringContaining('install') },
      expect.stringContaining('~pgpubsub update media'),
    ])
    await database.sql(`insert into media (url) values ('a'); delete from media`)
    await vi.waitFor(async () =>
      expect((await database.notifications()).filter(({ listener }) => listener === 'media')).toEqual([]),
    )
    await worker.stop()
  })

  test('of a role that may not look works without a word', async ({ database }) => {
    await program(database, {}).core.install()
    await database.sql('create schema closed; create table closed.t (id int)')
    const role = `worker_${new URL(database.url).pathname.slice(-12)}`
    await database.sql(`create role ${role} login password 'x'`)
    database.closeLater(() => database.sql(`drop owned by ${role}; drop role ${role}`))
    await database.sql(`grant usage on schema pgpubsub to ${role};
      grant select on pgpubsub.migration, pgpubsub.listener to ${role};
      grant select, insert, update, delete on pgpubsub.notification, pgpubsub.dead_letter, pgpubsub.worker to ${role};
      grant execute on all functions in schema pgpubsub to ${role}`)
    const url = Object.assign(new URL(database.url), { username: role, password: 'x' }).href
    const warn = vi.fn()
    const core = database.core({ connectionString: url, logger: { debug: ignore, info: ignore, warn, error: warn } })
    core.onChange({ name: 'closed', table: 't', schema: 'closed' }, ignore)
    await (await core.listen()).stop()
    expect(warn).not.toHaveBeenCalled()
  })
})

test('pgpubsub check ends with 0, with 1 where something differs, with 3 where it cannot tell', async ({
  database,
}) => {
  const run = async (...args: string[]) => {
    const command = new Command(['check', ...args], { DATABASE_URL: database.url })
    database.closeLater(() => command.kill())
    return { code: await command.exitCode(), stdout: command.stdout, stderr: command.stderr }
  }
  const [missing, unreachable, usage] = await Promise.all([
    run(module, '--json'),
    run('--url', 'postgresql://x@127.0.0.1:1/x'),
    run(module, '--url', database.url),
  ])
  expect(missing.code).toBe(1)
  expect(JSON.parse(missing.stdout)).toMatchObject([{ code: 'engine-missing', severity: 'problem' }])
  expect(unreachable).toMatchObject({ code: 3, stdout: '', stderr: expect.stringContaining('cannot be reached') })
  expect(usage.code).toBe(2)

  const install = new Command(['install', module], { DATABASE_URL: database.url })
  expect(await install.exitCode(), install.stderr).toBe(0)
  await database.sql(
    `create trigger "left" after insert on media for each row execute function pgpubsub."insert scan-media"()`,
  )
  const [orphaned, byItself] = await Promise.all([run(module), run()])
  expect(orphaned).toMatchObject({ code: 1, stdout: expect.stringMatching(/^warning .*"left".*\(trigger-orphaned\)/) })
  expect(byItself.code).toBe(1)
  await database.sql(`drop trigger "left" on media`)
  expect(await run(module)).toMatchObject({ code: 0, stdout: 'All is installed as it is declared.\n' })
})
