import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { schemaEngineEnvironment } from '../../tools/schema-engine.mjs'
import { Command } from '../support/command.ts'
import { databaseUrl } from '../support/database-url.ts'
import { expect, type TestDatabase, test, vi } from '../support/test.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const prismaCli = createRequire(import.meta.url).resolve('prisma/build/index.js')
const nowhere = 'postgresql://nobody@nowhere.invalid:1/none'

/** A module that declares these listeners; each tells what it is given in a line of JSON. */
const moduleText = (listeners: string) => `import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import { PrismaClient } from './generated/client.ts'

const connectionString = process.env.DATABASE_URL as string
export const prisma = new PrismaClient({ adapter: pubsubAdapter({ connectionString }) }).$extends(pubsub({ connectionString }))

const tell = (listener: string) => ({ operation, old, new: now, changed }: any) =>
  console.log(JSON.stringify({ msg: 'handled', listener, operation, old, now, changed }, (_, value) => typeof value === 'bigint' ? String(value) : value))

${listeners}
`

const lastingListeners = `
prisma.product.onPostSave({ name: 'index-product', columns: ['name', 'color', 'listPrice'] }, tell('index-product'))
prisma.salesOrder.onPostUpdate({ name: 'order-mail', columns: ['status'] }, tell('order-mail'))
prisma.salesOrderLine.onPostChange('stock', tell('stock'))
prisma.employeeDepartmentHistory.onPostInsert({ name: 'badge', keysOnly: true }, tell('badge'))
`

const firstListeners = moduleText(`${lastingListeners}
prisma.productReview.onPostInsert('moderate', tell('moderate'))
`)

/** One listener went with its model, one follows a column that has another name, one is new on a new model. */
const secondListeners = moduleText(`${lastingListeners}
prisma.wish.onPostSave('wishes', tell('wishes'))
`)

function changedSchema(schema: string): string {
  const replaced = (from: string | RegExp, to: string) => {
    expect(schema).toMatch(from)
    schema = schema.replace(from, to)
  }
  replaced('@map("color") @db.VarChar(15)', '@map("colour") @db.VarChar(20)')
  replaced(/model ProductReview \{[^}]*\}\n/, '')
  replaced(/ +reviews +ProductReview\[\]\n/, '  wishes Wish[]\n')
  replaced(/( +status +OrderStatus[^\n]*)/, '$1\n  note String?')
  replaced('sell_start_date")', 'sell_start_date") @db.Timestamptz(3)')
  return `${schema}
model Wish {
  customerId Int      @map("customer_id")
  productId  Int      @map("product_id")
  addedAt    DateTime @default(now()) @map("added_at")
  product    Product  @relation(fields: [productId], references: [id], onDelete: Cascade)

  @@id([customerId, productId])
  @@map("wish")
  @@schema("sales")
}
`
}

/** A project of somebody's: nothing in it but a schema, a config and a module. */
async function project(database: TestDatabase) {
  const folder = await mkdtemp(join(tmpdir(), 'pgpubsub-stranger-'))
  database.closeLater(() => rm(folder, { recursive: true, force: true }))
  const write = (name: string, text: string) => writeFile(join(folder, name), text)
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await write('package.json', '{ "type": "module" }')
  await write(
    'prisma.config.mjs',
    `export default { schema: 'schema.prisma', migrations: { path: 'db/migrations' }, datasource: { url: process.env.DATABASE_URL } }`,
  )
  const prisma = async (url: string, ...args: string[]): Promise<string> => {
    const env = { ...process.env, ...schemaEngineEnvironment(), DATABASE_URL: url, PRISMA_HIDE_UPDATE_MESSAGE: '1' }
    const run = promisify(execFile)(process.execPath, [prismaCli, ...args], { cwd: folder, env })
    return (await run).stdout
  }
  const command = (url: string, ...args: string[]) => {
    const started = new Command(args, { DATABASE_URL: url }, { cwd: folder })
    database.closeLater(() => started.kill())
    return started
  }
  /** To its end, which it reaches with this exit code. @returns what it printed */
  const pgpubsub = async (code: number, url: string, ...args: string[]) => {
    const started = command(url, ...args)
    expect(await started.exitCode(), started.stdout + started.stderr).toBe(code)
    return started.stdout
  }
  const migrations = async () =>
    (await readdir(join(folder, 'db/migrations'))).filter((name) => !name.endsWith('.toml')).sort()
  const migrationSql = async (name: string | undefined) =>
    readFile(join(folder, 'db/migrations', `${name}`, 'migration.sql'), 'utf8')
  return { write, prisma, pgpubsub, command, migrations, migrationSql }
}

/** An empty database beside the test's own: that of production, and that of the developer. */
async function emptyDatabase(database: TestDatabase, suffix: string) {
  const name = `${new URL(database.url).pathname.slice(1)}_${suffix}`
  await database.sql(`create database ${name}`)
  database.closeLater(() => database.sql(`drop database if exists ${name} with (force)`))
  const url = databaseUrl(database.url, name)
  const sql = async (text: string) => {
    const client = new pg.Client(url)
    await client.connect()
    try {
      return (await client.query(text)).rows
    } finally {
      await client.end()
    }
  }
  return { url, sql }
}

/** Lets the worker handle as many changes, and stops it. @returns what its handlers were given */
async function handledBy(worker: Command, count: number) {
  const handled = () => worker.log.filter(({ msg }) => msg === 'handled')
  await vi.waitFor(() => expect(handled().length, worker.stderr).toBeGreaterThanOrEqual(count), { timeout: 60_000 })
  worker.signal('SIGTERM')
  expect(await worker.exitCode()).toBe(0)
  expect(handled()).toHaveLength(count)
  return handled()
}

test("a stranger's schema goes from nothing to handled changes, and through a second deploy, by the command line alone", {
  timeout: 240_000,
}, async ({ database }) => {
  const { write, prisma, pgpubsub, command, migrations, migrationSql } = await project(database)
  const [development, production] = await Promise.all([
    emptyDatabase(database, 'development'),
    emptyDatabase(database, 'production'),
  ])
  const schema = await readFile(join(root, 'test/fixtures/adventure-works.prisma'), 'utf8')
  await write('schema.prisma', schema)
  await write('listeners.ts', firstListeners)

  // the first day
  await Promise.all([prisma(development.url, 'migrate', 'dev', '--name', 'init'), prisma(development.url, 'generate')])
  expect(await pgpubsub(1, nowhere, 'migrate', 'listeners.ts', '--check')).toContain(
    'create sales.sales_order_header: ~pgpubsub update order-mail',
  )
  expect(await migrations()).toHaveLength(1)
  await pgpubsub(0, nowhere, 'migrate', 'listeners.ts', '--name', 'Add listeners')
  expect(await migrations()).toEqual([
    expect.stringMatching(/^\d{14}_init$/),
    expect.stringMatching(/^\d{14}_add_listeners$/),
  ])
  await prisma(production.url, 'migrate', 'deploy')
  expect(await pgpubsub(0, production.url, 'check', 'listeners.ts')).toContain('All is installed as it is declared')

  const worker = command(production.url, 'listen', 'listeners.ts', '--log-level', 'warn')
  await production.sql(`
    insert into production.product (name, product_number, list_price, color) values ('Road Bike', 'RB-1', 1999.9900, 'red');
    update production.product set thumbnail = 'x';
    update production.product set list_price = 1799.5;
    insert into production.product_review (product_id, reviewer_name, rating) values (1, 'Ada', 5);
    insert into sales.customer (account_number) values ('AW0001');
    insert into sales.special_offer (description) values ('none');
    insert into sales.special_offer_product values (1, 1);
    insert into sales.sales_order_header (customer_id) values (1);
    insert into sales.sales_order_detail values (1, 1, 1, 1, 2, 1799.5);
    update sales.sales_order_header set revision_number = 2;
    update sales.sales_order_header set status = 'shipped';
    delete from sales.sales_order_header`)
  expect(await handledBy(worker, 6)).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        listener: 'index-product',
        operation: 'insert',
        now: expect.objectContaining({ color: 'red' }),
      }),
      expect.objectContaining({ listener: 'index-product', operation: 'update', changed: ['listPrice'] }),
      expect.objectContaining({ listener: 'moderate', now: expect.objectContaining({ reviewer: 'Ada' }) }),
      expect.objectContaining({ listener: 'stock', operation: 'insert' }),
      expect.objectContaining({
        listener: 'stock',
        operation: 'delete',
        old: expect.objectContaining({ orderId: '1', line: 1 }),
      }),
      expect.objectContaining({ listener: 'order-mail', now: expect.objectContaining({ status: 'Shipped' }) }),
    ]),
  )

  // a later schema
  await write('schema.prisma', changedSchema(schema))
  await write('listeners.ts', secondListeners)
  await Promise.all([
    prisma(development.url, 'migrate', 'dev', '--create-only', '--name', 'second'),
    prisma(development.url, 'generate'),
  ])
  const ofModels = await migrationSql((await migrations()).at(-1))
  expect(ofModels).toContain('DROP COLUMN "color"')
  const written = await pgpubsub(0, nowhere, 'migrate', 'listeners.ts', '--name', 'second-listeners')
  expect(written).toMatch(/_second\/migration\.sql\n/)
  expect(await migrationSql((await migrations()).at(-1))).toContain(ofModels.trimEnd())
  expect(await pgpubsub(0, nowhere, 'migrate', 'listeners.ts', '--check')).toContain('nothing to do')

  // the second deploy, over what waits
  await production.sql(`insert into production.product (name, product_number, list_price) values ('Helmet', 'H-1', 35)`)
  await Promise.all([prisma(development.url, 'migrate', 'dev'), prisma(production.url, 'migrate', 'deploy')])
  expect(await migrations()).toHaveLength(3)
  const again = command(production.url, 'listen', 'listeners.ts', '--log-level', 'warn')
  await production.sql(`
    update production.product set colour = 'blue' where product_id = 1;
    insert into sales.wish values (1, 2);
    insert into person.business_entity (rowguid) values ('0b6a2f5e-62a4-4c8b-a01b-0f5f5cbb0b3c')`)
  expect(await handledBy(again, 3)).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ listener: 'index-product', now: expect.objectContaining({ name: 'Helmet' }) }),
      expect.objectContaining({
        listener: 'index-product',
        changed: ['color'],
        now: expect.objectContaining({ color: 'blue' }),
      }),
      expect.objectContaining({ listener: 'wishes', now: expect.objectContaining({ productId: 2 }) }),
    ]),
  )
  const [checked, listed] = await Promise.all([
    pgpubsub(0, production.url, 'check', 'listeners.ts'),
    production.sql('select name from pgpubsub.listener order by name'),
    prisma(
      production.url,
      'migrate',
      'diff',
      '--from-config-datasource',
      '--to-schema',
      'schema.prisma',
      '--exit-code',
    ),
    prisma(development.url, 'migrate', 'reset', '--force'),
  ])
  expect(checked).toContain('All is installed as it is declared')
  expect(listed.map(({ name }) => name)).toEqual(['badge', 'index-product', 'order-mail', 'stock', 'wishes'])
  // reset has dropped the schemas of the models, not ours, and applied all again
  expect(await pgpubsub(0, development.url, 'install', 'listeners.ts')).toContain('in place already')
})
