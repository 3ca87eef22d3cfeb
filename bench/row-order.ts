import { type Media, updateOf } from './media-updates.ts'

/** Sees to it that the updates of each row are handled once, in their order: 1, 2, 3 … */
export class RowOrder {
  readonly #last = new Map<number, number>()
  readonly #strict: boolean
  #handled = 0

  /** @param strict whether another order is an error; else it is only looked at, which takes as long */
  constructor(strict = true) {
    this.#strict = strict
  }

  /** How many updates were handled. */
  get handled(): number {
    return this.#handled
  }

  /** @throws when a change of a row does not follow the one before it */
  handle(media: Media): void {
    const before = this.#last.get(media.id) ?? 0
    const update = updateOf(media)
    if (this.#strict && update !== before + 1)
      throw new Error(`Update ${update} of row ${media.id} came after update ${before}.`)
    this.#last.set(media.id, update)
    this.#handled++
  }
}
