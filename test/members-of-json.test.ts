import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { members } from '../packages/core/src/json-members.ts'

const anyJson = fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' })
const key = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '__proto__', 'a"b', '\\', '{', '}', '],', ':'))
const nested = fc.oneof(anyJson, fc.array(anyJson), fc.dictionary(key, anyJson))

/** The same value, written with whatever white space JSON allows. */
const spaced = (value: unknown, space: string) => JSON.stringify(value, null, space)
const space = fc.constantFrom('', ' ', '\t', '\n\r ')

describe('the members of a JSON text', () => {
  test('are those of the object, each as its own text', () => {
    fc.assert(
      fc.property(fc.dictionary(key, nested), space, (object, indent) => {
        const parts = [...members(spaced(object, indent))].map(([name, text]) => [name, JSON.parse(text)])
        expect(parts).toEqual(Object.entries(JSON.parse(JSON.stringify(object))))
      }),
      { numRuns: 100 },
    )
  })

  test('are those of the array, by their index', () => {
    fc.assert(
      fc.property(fc.array(nested), space, (array, indent) => {
        const parts = [...members(spaced(array, indent))].map(([index, text]) => [index, JSON.parse(text)])
        expect(parts).toEqual(Object.entries(JSON.parse(JSON.stringify(array))))
      }),
      { numRuns: 100 },
    )
  })

  test('keep the text of numbers that a double cannot hold', () => {
    const digits = fc.stringMatching(/^-?[1-9]\d{0,60}(\.\d{1,60})?$/)
    fc.assert(
      fc.property(fc.array(digits, { minLength: 1 }), fc.constantFrom(',', ', ', ' ,\n'), (numbers, comma) => {
        expect([...members(`[${numbers.join(comma)}]`)].map(([, text]) => text)).toEqual(numbers)
        const object = `{ ${numbers.map((number, index) => `"${index}" : ${number}`).join(comma)} }`
        expect([...members(object)]).toEqual(numbers.map((number, index) => [String(index), number]))
      }),
    )
  })

  test('are none in an empty object or array', () => {
    expect([...members('{}')]).toEqual([])
    expect([...members(' [ ] ')]).toEqual([])
  })

  test('end where strings end, whatever is in them', () => {
    expect([...members('{"a\\"}": "\\\\", "b": "\\\\\\"}", "c": "]}"}')]).toEqual([
      ['a"}', '"\\\\"'],
      ['b', '"\\\\\\"}"'],
      ['c', '"]}"'],
    ])
  })
})
