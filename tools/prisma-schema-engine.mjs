#!/usr/bin/env node
// A Prisma schema engine for machines that cannot download the native one.
// Prisma's CLI talks JSON-RPC, one message a line, to the program that PRISMA_SCHEMA_ENGINE_BINARY names;
// this one answers with @prisma/schema-engine-wasm over @prisma/adapter-pg. Put it where those two, `pg` and
// `@prisma/driver-adapter-utils` resolve (the repository's root, say), and keep its run bit.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import * as wasm from '@prisma/schema-engine-wasm/schema_engine_bg'
import pg from 'pg'

const args = process.argv.slice(2)
const { url } = JSON.parse(valuesOf('--datasource')[0] ?? '{}')

function valuesOf(option) {
  const values = args.slice(args.indexOf(option) + 1 || args.length)
  const end = values.findIndex((value) => value.startsWith('--'))
  return end === -1 ? values : values.slice(0, end)
}

// Each request gets a process of its own: an engine can be started only once in a process, and what it has cached of
// the migrations is stale once some were applied.
async function serveJsonRpc() {
  for await (const line of createInterface({ input: process.stdin })) {
    if (!JSON.parse(line).method) continue // the CLI's acknowledgement of a print
    const child = spawn(process.execPath, [...process.argv.slice(1), '--one-request'], {
      stdio: ['pipe', 'inherit', 'inherit'],
    })
    child.stdin.end(line)
    await once(child, 'exit')
  }
}

async function answerOneRequest() {
  const { id, method, params } = JSON.parse(readFileSync(0, 'utf8'))
  const send = (message) => writeSync(1, `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  const fail = (message, error = {}) => {
    const data = { is_panic: false, message, meta: error.meta ?? null, error_code: error.code ?? null }
    send({ id, error: { code: 4466, message: 'An error happened. Check the data field for details.', data } })
  }
  globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message: fail }
  try {
    const engine = await startEngine()
    // only devDiagnostic is given the shadow database; what it learns from it, these two then find in the engine's cache
    if (['evaluateDataLoss', 'createMigration'].includes(method)) {
      await engine.devDiagnostic({ migrationsList: params.migrationsList, filters: params.filters })
    }
    const result = await engine[method](params)
    if (method === 'diff' && result.stdout != null)
      send({ id: 1_000_000 + id, method: 'print', params: { content: result.stdout } })
    send({ id, result: result ?? {} })
  } catch (error) {
    fail(String(error?.message ?? error), error)
  }
  process.exit(0)
}

async function startEngine() {
  const file = join(
    dirname(createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm')),
    'schema_engine_bg.wasm',
  )
  const { instance } = await WebAssembly.instantiate(readFileSync(file), { './schema_engine_bg.js': wasm })
  wasm.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
  const factory = bindMigrationAwareSqlAdapterFactory(schemaAdapterFactory())
  // from these it knows which schemas to look at, in a shadow database too
  const datamodels = valuesOf('--datamodels').map((path) => [path, readFileSync(path, 'utf8')])
  return wasm.SchemaEngine.new({ datamodels: datamodels.length > 0 ? datamodels : undefined }, () => {}, factory)
}

// adapter-pg has no name for the catalogue's internal "char" type (oid 18): it is sent through as bpchar (oid 1042), and
// the engine, which wants a character, is told that its columns are such
const internalChar = 18
const bpchar = 1042
const charColumns = new Set()

class CatalogueClient extends pg.Client {
  query(...params) {
    const rename = (result) => {
      for (const field of result?.fields ?? []) {
        if (field.dataTypeID !== internalChar) continue
        field.dataTypeID = bpchar
        charColumns.add(field.name)
      }
      return result
    }
    const callback = params.at(-1)
    if (typeof callback !== 'function') {
      const returned = super.query(...params)
      return typeof returned?.then === 'function' ? returned.then(rename) : returned
    }
    return super.query(...params.slice(0, -1), (error, result) => callback(error, rename(result)))
  }
}

const withCharacters = (result) => {
  const columnTypes = result.columnTypes.map((type, index) =>
    charColumns.has(result.columnNames[index]) ? ColumnTypeEnum.Character : type,
  )
  return { ...result, columnTypes }
}

function schemaAdapterFactory() {
  const { provider, adapterName } = new PrismaPg(url)
  const connect = async (connectionString) => {
    const pool = new pg.Pool({ connectionString, Client: CatalogueClient })
    const adapter = await new PrismaPg(pool, { disposeExternalPool: true }).connect()
    // adapter-pg splits a script at every ';', which cuts dollar-quoted function bodies; the native engine sends it whole
    const queryRaw = adapter.queryRaw.bind(adapter)
    return Object.assign(adapter, {
      executeScript: async (sql) => void (await pool.query(sql)),
      queryRaw: async (query) => withCharacters(await queryRaw(query)),
    })
  }
  // adapter-pg's own shadow database is the main one when a connection string is given (pg lets the string win), and
  // is dropped while still connected
  const connectToShadowDb = async () => {
    const shadowUrl = new URL(url)
    shadowUrl.pathname = `/prisma_migrate_shadow_db_${randomUUID()}`
    const name = pg.escapeIdentifier(shadowUrl.pathname.slice(1))
    await runOnServer(`create database ${name}`)
    const adapter = await connect(shadowUrl.href)
    const disconnect = adapter.dispose.bind(adapter)
    return Object.assign(adapter, {
      dispose: async () => {
        await disconnect()
        await runOnServer(`drop database if exists ${name} with (force)`)
      },
    })
  }
  return { provider, adapterName, connect: () => connect(url), connectToShadowDb }
}

async function runOnServer(sql, database = 'postgres') {
  const target = new URL(url)
  target.pathname = `/${database}`
  const client = new pg.Client({ connectionString: target.href })
  try {
    await client.connect()
    await client.query(sql)
  } finally {
    await client.end().catch(() => {})
  }
}

async function runDatabaseCommand(command) {
  const database = decodeURIComponent(new URL(url).pathname.slice(1))
  const name = pg.escapeIdentifier(database)
  try {
    if (command === 'can-connect-to-database') await runOnServer('select 1', encodeURIComponent(database))
    if (command === 'create-database') await runOnServer(`create database ${name}`)
    if (command === 'drop-database') await runOnServer(`drop database if exists ${name} with (force)`)
    process.exit(0)
  } catch (error) {
    const error_code = { '3D000': 'P1003', '42P04': 'P1009' }[error.code] ?? 'P1001'
    const fields = { error_code, message: error.message, meta: {}, is_panic: false }
    console.error(
      JSON.stringify({
        level: 'ERROR',
        target: 'schema_engine',
        timestamp: new Date().toISOString(),
        message: error.message,
        fields,
      }),
    )
    process.exit(1)
  }
}

if (args.includes('cli')) await runDatabaseCommand(args.at(-1))
else if (args.includes('--one-request')) await answerOneRequest()
else await serveJsonRpc()
