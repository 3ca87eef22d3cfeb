import pg from 'pg'

/** Stores a row, and says so. To be sent in a transaction. */
export const storeBare = `insert into bare (payload) values ($1) returning pg_notify('bare', '')`

const claim = 'select id, payload from bare order by id limit 1 for update skip locked'
const remove = 'delete from bare where id = $1'

/**
 * The floor of every queue that is woken by NOTIFY: a connection that listens, and one that then claims a row, deletes it
 * when it has been handled, and commits.
 */
export async function listenAndClaim(url: string, handle: (payload: string) => void): Promise<AsyncDisposable> {
  const [listening, claiming] = [new pg.Client(url), new pg.Client(url)]
  await Promise.all([listening.connect(), claiming.connect()])
  await claiming.query('create table bare (id bigint generated always as identity primary key, payload text)')
  const work = async () => {
    await claiming.query('begin')
    const { rows } = await claiming.query({ name: 'claim', text: claim })
    handle(rows[0].payload)
    await claiming.query({ name: 'remove', text: remove, values: [rows[0].id] })
    await claiming.query('commit')
  }
  let last = Promise.resolve()
  listening.on('notification', () => {
    last = last.then(work)
  })
  await listening.query('listen bare')
  const end = async () => {
    await last
    await Promise.all([listening.end(), claiming.end()])
  }
  return { [Symbol.asyncDispose]: end }
}
