import { type Options, Presets, SingleBar } from 'cli-progress'

/** Shows how far the scan is: a bar on a terminal, a line at every fifth of the way elsewhere. */
export class Progress implements Disposable {
  readonly #total: number
  readonly #bar: SingleBar | null
  #fifths = 0

  constructor(total: number) {
    this.#total = total
    this.#bar = process.stdout.isTTY ? new SingleBar(options, Presets.shades_classic) : null
    this.#bar?.start(total, 0)
  }

  update(scanned: number): void {
    this.#bar?.update(scanned)
    const fifths = Math.floor((scanned / this.#total) * 5)
    if (!this.#bar && fifths > this.#fifths) console.log(`  scanned ${scanned} of ${this.#total}`)
    this.#fifths = fifths
  }

  [Symbol.dispose](): void {
    this.#bar?.stop()
  }
}

const options: Options = {
  stream: process.stdout,
  format: '  scanned {bar} {value} of {total}',
  hideCursor: true,
  // stopped by whoever started it, on Ctrl-C too
  gracefulExit: false,
}
