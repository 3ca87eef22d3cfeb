import { abortable, Stop } from '../packages/core/src/consume/stop.ts'
import { Turn } from '../packages/core/src/consume/turn.ts'
import { untilAborted } from '../packages/core/src/consume/until-aborted.ts'
import { gate } from './support/gate.ts'
import { expect, test } from './support/test.ts'

const never = new Promise<string>(() => {})

test('whoever listens is told once, whoever has left or comes later is not', () => {
  const stop = new Stop()
  const told: string[] = []
  stop.onAbort(() => {
    told.push('first')
    stop.onAbort(() => told.push('too late'))
  })
  stop.onAbort(() => told.push('has left'))()
  stop.abort('the reason')
  stop.abort('another reason')
  stop.onAbort(() => told.push('too late'))
  expect(told).toEqual(['first'])
  expect(stop).toMatchObject({ aborted: true, reason: 'the reason' })
})

test.for(['before', 'after'])(
  'a signal that is asked for %s it aborts has the reason, and stays the same one',
  (when) => {
    const [said, unsaid] = [new Stop(), new Stop()]
    if (when === 'before') expect([said.signal.aborted, unsaid.signal.aborted]).toEqual([false, false])
    said.abort('the reason')
    unsaid.abort()
    expect(said.signal).toMatchObject({ aborted: true, reason: 'the reason' })
    expect(unsaid.signal.reason).toMatchObject({ name: 'AbortError' })
    expect(said.signal).toBe(said.signal)
  },
)

test('a signal hears of it before the engine gives up, so that its handler can say why it ends', () => {
  const stop = new Stop()
  const told: string[] = []
  stop.onAbort(() => told.push('the engine'))
  stop.signal.addEventListener('abort', () => told.push('the handler'))
  stop.abort()
  expect(told).toEqual(['the handler', 'the engine'])
})

test.for(['a Stop', 'a signal'])('work is waited for until %s aborts', async (kind) => {
  const controller = new AbortController()
  const stop = new Stop()
  const waited = kind === 'a Stop' ? stop : abortable(controller.signal)
  const abort = () => (kind === 'a Stop' ? stop.abort() : controller.abort())
  const instead = () => 'instead'
  expect(await untilAborted(Promise.resolve('done'), waited, instead)).toBe('done')
  await expect(untilAborted(Promise.reject(new Error('failed')), waited, instead)).rejects.toThrow('failed')
  const running = gate()
  const failing = running.opened.then(() => Promise.reject(new Error('too late')))
  const given = untilAborted(failing as Promise<string>, waited, instead)
  const thrown = untilAborted(never, waited, () => {
    throw new Error('instead')
  })
  abort()
  expect(await given).toBe('instead')
  await expect(thrown).rejects.toThrow('instead')
  // nobody waits for it any more, and the process does not end by it
  running.open()
  await expect(failing).rejects.toThrow('too late')
  expect(await untilAborted(never, waited, instead)).toBe('instead')
})

test('turns are taken one after another, and those that wait for theirs begin at once when told to stop', async () => {
  const turn = new Turn()
  const stop = new Stop()
  const done: string[] = []
  const held = gate()
  const take = (name: string, work: () => Promise<unknown> = async () => {}) =>
    turn.take(stop, async () => {
      await work()
      done.push(name)
      return name
    })
  const first = take('first', () => held.opened)
  const failing = take('failing', () => Promise.reject(new Error('its own')))
  const third = take('third')
  expect(done).toEqual([])
  held.open()
  expect(await first).toBe('first')
  await expect(failing).rejects.toThrow('its own')
  await third
  expect(done).toEqual(['first', 'third'])
  void take('for ever', () => never)
  const waiting = take('waiting')
  stop.abort()
  await waiting
  expect(done).toEqual(['first', 'third', 'waiting'])
})
