import { randomBytes } from 'node:crypto'
import { PubSub, silentLogger } from '@pgpubsub/core'
import { untilAsleep } from './support/asleep.ts'
import { codes, found } from './support/doctor.ts'
import { createItems, onItem } from './support/items.ts'
import { expect, type TestDatabase, test } from './support/test.ts'

/** An engine that declares and has installed a listener. */
async function installed(database: TestDatabase): Promise<PubSub> {
  await createItems(database)
  const engine = database.core()
  onItem(engine, {}, () => {})
  await engine.install()
  return engine
}

/** One that declares nothing, and knows only what is installed. */
const stranger = (database: TestDatabase) => database.core()

/** A role with a password, dropped after the test. */
async function createRole(database: TestDatabase): Promise<{ role: string; url: string }> {
  const role = `worker_${randomBytes(6).toString('hex')}`
  await database.sql(`create role ${role} login password 'secret'`)
  database.closeLater(() => database.sql(`drop owned by ${role}; drop role ${role}`))
  const url = new URL(database.url)
  url.username = role
  url.password = 'secret'
  return { role, url: url.href }
}

test('an engine that is not there, is old, or is newer', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  onItem(engine, {}, () => {})
  expect(await codes(engine)).toEqual(['engine-missing'])
  expect(await codes(stranger(database))).toEqual(['engine-missing'])
  await engine.install()
  await database.sql('update pgpubsub.migration set number = number + 1000')
  expect(await codes(engine)).toEqual(['engine-newer'])
  await database.sql('delete from pgpubsub.migration where number > 1001; update pgpubsub.migration set number = 1')
  const [old] = await found(engine, 'engine-outdated')
  expect(old).toMatchObject({ severity: 'problem', remedy: expect.stringContaining('pgpubsub install') })
})

test('triggers that are missing, disabled, changed or left over', async ({ database }) => {
  const engine = await installed(database)
  const declared = async () => (await engine.doctor()).filter(({ code }) => /^trigger/.test(code))
  const recorded = async () => (await stranger(database).doctor()).filter(({ code }) => /^trigger/.test(code))

  await database.sql(`alter table item disable trigger "~pgpubsub insert items"`)
  for (const findings of [await declared(), await recorded()]) {
    expect(findings).toMatchObject([
      {
        code: 'trigger-disabled',
        severity: 'problem',
        subject: 'trigger "~pgpubsub insert items" on "public"."item"',
        remedy: 'alter table "public"."item" enable trigger "~pgpubsub insert items".',
      },
    ])
  }
  await database.sql(`drop trigger "~pgpubsub insert items" on item`)
  expect(await declared()).toMatchObject([{ code: 'trigger-missing', severity: 'problem' }])
  expect(await recorded()).toMatchObject([
    { code: 'trigger-missing', subject: 'listener items', message: expect.stringMatching(/^1 of its 3 triggers/) },
  ])
  await engine.install()
  expect([...(await declared()), ...(await recorded())]).toEqual([])

  const other = database.core()
  onItem(other, { columns: ['value'], operations: ['update'] }, () => {})
  expect(await codes(other)).toEqual(['trigger-outdated', 'trigger-orphaned', 'trigger-orphaned'])
  await database.sql(`delete from pgpubsub.listener`)
  expect((await recorded()).map(({ code, severity }) => [code, severity])).toEqual(
    Array(3).fill(['trigger-orphaned', 'warning']),
  )
})

test('a listener that the table does not fit any more', async ({ database }) => {
  const engine = database.core()
  await createItems(database)
  onItem(engine, { columns: ['value'] }, () => {})
  await engine.install()
  await database.sql('alter table item rename column value to amount')
  expect(await found(engine, 'listener-does-not-fit')).toMatchObject([
    { severity: 'problem', subject: 'listener items', message: expect.stringContaining('"value"') },
  ])
  await database.sql('drop table item')
  expect(await codes(engine)).toEqual(['listener-does-not-fit'])
})

test('a worker works with the rights that are asked for, and each one that it lacks is named', async ({ database }) => {
  await createItems(database)
  const admin = database.core()
  onItem(admin, {}, () => {})
  onItem(admin, { name: 'leased' }, () => {})
  await admin.install()
  const { role, url } = await createRole(database)
  const [lacking] = await found(admin, 'missing-rights', { role })
  expect(lacking).toMatchObject({ severity: 'problem', subject: `role ${role}` })
  const grants = lacking!.remedy.replace(/\.$/, '').split('; ')
  expect(grants).toHaveLength(12)
  await database.sql(grants.join('; '))
  expect(await codes(admin, { role })).toEqual([])

  const worker = new PubSub({ connectionString: url, logger: silentLogger })
  database.closeLater(() => worker.close())
  const errors: unknown[] = []
  worker.on('error', ({ error }) => errors.push(error))
  onItem(worker, { name: 'leased', lease: { seconds: 30 } }, () => {})
  onItem(worker, { attempts: 2, backoff: { type: 'fixed', firstMs: 1 } }, ({ new: item }) => {
    if (item!.value !== 1) throw new Error('no')
  })
  await worker.listen()
  await database.sql('insert into item values (1, 1), (2, 2)')
  await database.drained()
  expect(await database.sql('select attempts from pgpubsub.dead_letter')).toEqual([{ attempts: 2 }])
  expect(errors).toEqual([])

  for (const grant of grants) {
    await database.sql(grant.replace('grant', 'revoke').replace(' to ', ' from '))
    const [finding] = await found(admin, 'missing-rights', { role })
    expect(finding?.remedy).toBe(`${grant}.`)
    await database.sql(grant)
  }
  await expect(admin.doctor({ role: 'nobody there' })).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
})

test('a role that may see little is told so, and what it cannot examine is named', async ({ database }) => {
  await installed(database)
  const { role, url } = await createRole(database)
  const worker = new PubSub({ connectionString: url, logger: silentLogger })
  database.closeLater(() => worker.close())
  const findings = (await worker.doctor()).map(({ code, severity }) => [code, severity])
  expect(findings).toEqual(
    expect.arrayContaining([
      ['missing-rights', 'problem'],
      ['not-examined', 'warning'],
      ['limited-sight', 'info'],
    ]),
  )
  const [lacking] = await found(worker, 'missing-rights')
  await database.sql(lacking!.remedy.replace(/\.$/, ''))
  await database.sql(`grant pg_read_all_stats to ${role}; grant select on pgpubsub.dead_letter to ${role}`)
  expect(await codes(worker)).toEqual([])
})

test('the function behind the triggers, when it was changed', async ({ database }) => {
  const engine = await installed(database)
  await database.sql('alter function pgpubsub."insert items"() security invoker')
  expect(await found(engine, 'function-rights')).toMatchObject([
    { severity: 'problem', remedy: 'alter function "pgpubsub"."insert items"() security definer.' },
  ])
  await database.sql(
    'alter function pgpubsub."insert items"() security definer; alter function pgpubsub."insert items"() reset search_path',
  )
  expect(await found(engine, 'function-rights')).toMatchObject([{ message: expect.stringContaining('search_path') }])
  const { role } = await createRole(database)
  await database.sql(`alter function pgpubsub."insert items"() set search_path to pg_catalog, pg_temp;
    grant create on schema pgpubsub to ${role}; alter function pgpubsub."insert items"() owner to ${role}`)
  expect(await found(engine, 'function-rights')).toMatchObject([
    { message: expect.stringContaining(`Its owner, ${role}, may not write`) },
  ])
  await expect(database.sql('insert into item values (1, 1)'), 'what it warns of').rejects.toThrow()
  await database.sql('alter function pgpubsub."insert items"() owner to current_user')
  expect(await codes(engine)).toEqual([])
})

test('rights that everyone has by mistake', async ({ database }) => {
  const engine = await installed(database)
  await database.sql('grant usage on schema pgpubsub to public')
  expect(await found(engine, 'public-rights')).toMatchObject([{ severity: 'info' }])
  const mistakes = [
    'select on pgpubsub.notification',
    'select (old) on pgpubsub.dead_letter',
    'usage on sequence pgpubsub.notification_id_seq',
    'execute on function pgpubsub."insert items"()',
    'create on schema pgpubsub',
  ]
  for (const mistake of mistakes) {
    await database.sql(`grant ${mistake} to public`)
    const [finding] = await found(engine, 'public-rights')
    expect(finding, mistake).toMatchObject({ severity: 'problem' })
    await database.sql(`revoke ${mistake} from public`)
  }
  // the remedy is what to run
  await database.sql(
    'grant all on all tables in schema pgpubsub to public; grant all on all functions in schema pgpubsub to public',
  )
  const [finding] = await found(engine, 'public-rights')
  await database.sql(finding!.remedy.replace(/\. See .*/, ''))
  expect(await codes(engine)).toEqual([])
})

test('queues that nobody works on, is paused, or nobody knows', async ({ database }) => {
  const engine = await installed(database)
  await database.sql('insert into item values (1, 1), (2, 2)')
  expect(await codes(engine), 'it has not waited for long').toEqual([])
  await database.sql(`update pgpubsub.notification set created_at = now() - interval '10 minutes' where id = 1`)
  for (const doctor of [engine, stranger(database)]) {
    expect(await found(doctor, 'unattended')).toMatchObject([
      {
        severity: 'problem',
        subject: 'listener items',
        message: expect.stringMatching(/oldest of 2 stored notifications.*10 min.*no worker is connected/),
      },
    ])
  }
  await engine.pause('items')
  expect(await found(engine, 'paused')).toMatchObject([{ severity: 'warning', details: { stored: 2 } }])
  await engine.resume('items')
  await database.sql(`update pgpubsub.notification set listener = 'renamed'`)
  expect(await found(engine, 'forgotten')).toMatchObject([{ severity: 'warning', subject: 'listener renamed' }])
})

test('a backlog in spite of workers: behind a retry, and of a listener that none consumes', async ({ database }) => {
  const engine = await installed(database)
  onItem(engine, { name: 'others' }, () => {})
  await engine.install()
  const worker = await engine.listen({ listeners: ['items'] })
  await untilAsleep(database)
  await database.sql(`insert into pgpubsub.notification (listener, operation, key, context, waiting, waiting_key, run_at, created_at)
    values ('items', 'insert', 7, '{}', true, 7, now() + interval '1 hour', now() - interval '1 hour'),
      ('items', 'insert', 7, '{}', false, null, null, now() - interval '1 hour'),
      ('others', 'insert', 7, '{}', false, null, null, now() - interval '1 hour')`)
  const [behind, unconsumed] = await found(engine, 'backlog')
  expect(behind).toMatchObject({
    severity: 'warning',
    subject: 'listener items',
    message: expect.stringContaining('behind an older change of its row'),
    details: { asleep: true, stored: 2 },
  })
  expect(unconsumed).toMatchObject({
    subject: 'listener others',
    message: expect.stringContaining('none of them consumes it'),
    details: { asleep: false, workersConnected: true },
  })
  await worker.stop()
})

test('dead letters, by listener, with the error of the newest', async ({ database }) => {
  const engine = await installed(database)
  await database.sql(`insert into pgpubsub.dead_letter (id, listener, operation, context, attempts, last_error, created_at)
    select n, 'items', 'insert', '{}'::jsonb, 20, 'Error: it is number ' || n || e'\\n  at x', now() from generate_series(1, 3) n
    union all select 9, 'gone', 'insert', '{}', 20, null, now()`)
  expect(await found(engine, 'dead-letters')).toMatchObject([
    { severity: 'warning', subject: 'listener gone', details: { count: 1 } },
    {
      subject: 'listener items',
      message: expect.stringMatching(/3 dead letters.*it is number 3$/),
      details: { count: 3 },
    },
  ])
})

test('settings that keep triggers from firing, workers from writing, or vacuum from coming', async ({ database }) => {
  const engine = await installed(database)
  const [{ db }] = await database.sql('select quote_ident(current_database()) as db')
  const { role } = await createRole(database)
  /** With the setting, in connections that are new. */
  const withSetting = async (target: string, setting: string, value: string) => {
    await database.sql(`alter ${target} set ${setting} = ${value}`)
    try {
      const fresh = database.core()
      return await codes(fresh)
    } finally {
      await database.sql(`alter ${target} reset ${setting}`)
    }
  }
  const ofDatabase = (setting: string, value: string) => withSetting(`database ${db}`, setting, value)
  expect(await ofDatabase('default_transaction_read_only', 'on')).toEqual(['read-only'])
  expect(await ofDatabase('statement_timeout', `'2s'`)).toEqual(['statement-timeout'])
  expect(await ofDatabase('statement_timeout', `'30s'`)).toEqual([])
  expect(await ofDatabase('track_counts', 'off')).toEqual(['autovacuum-off'])
  expect(await ofDatabase('session_replication_role', 'replica')).toEqual(['replica-role'])
  expect(await withSetting(`role ${role}`, 'session_replication_role', 'replica')).toEqual(['replica-role'])
  expect(await withSetting(`role ${role} in database ${db}`, 'session_replication_role', 'replica')).toEqual([
    'replica-role',
  ])
  // what workers switch off for themselves is no finding
  expect(await ofDatabase('idle_in_transaction_session_timeout', `'1s'`)).toEqual([])
  expect(await codes(engine)).toEqual([])
})

test('storage parameters that were changed, with how to undo it', async ({ database }) => {
  const engine = await installed(database)
  await database.sql(`alter table pgpubsub.notification set (autovacuum_vacuum_threshold = 5, fillfactor = 50);
    alter table pgpubsub.notification reset (toast.autovacuum_vacuum_threshold);
    alter table pgpubsub.dead_letter set (autovacuum_enabled = off, toast.autovacuum_enabled = false)`)
  const [changed] = await found(engine, 'storage-parameters')
  expect(changed).toMatchObject({
    severity: 'info',
    details: { autovacuum_vacuum_threshold: '5', fillfactor: '50', 'toast.autovacuum_vacuum_threshold': null },
  })
  const off = await found(engine, 'autovacuum-off')
  expect(off).toMatchObject(Array(2).fill({ severity: 'problem', subject: 'table "pgpubsub"."dead_letter"' }))
  for (const { remedy } of [changed!, ...off]) await database.sql(remedy.replace(/^If .*?: |\.$/g, ''))
  expect(await codes(engine)).toEqual([])
})

test('connections that are nearly used up', async ({ database }) => {
  const engine = await installed(database)
  expect(await codes(engine)).toEqual([])
  // how many sessions a database has comes with the statistics
  const [finding] = await found(engine, 'connections', { connectionUsage: 0.001 })
  expect(finding).toMatchObject({ severity: 'warning', message: expect.stringMatching(/\d+ of \d+ connections/) })
})

test('options are checked', async ({ database }) => {
  const engine = database.core()
  const wrong = [{ role: 7 }, { deadRows: -1 }, { waitingSeconds: Number.NaN }, { waitingSeconds: '5' }, { typo: 1 }]
  for (const options of wrong) {
    await expect(engine.doctor(options as never)).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
  }
})
