// How fast it goes, from what has been sent in the last few seconds.

const WINDOW = 5000

export class Pace {
  #samples = []

  /** `total` bytes had been sent at the time `now` (milliseconds). */
  note(total, now) {
    const last = this.#samples.at(-1)
    if (last && total < last.total) this.#samples = [] // some had to be sent again
    this.#samples.push({ total, now })
    while (now - this.#samples[0].now > WINDOW) this.#samples.shift()
  }

  /** Begin anew, after a pause. */
  reset() {
    this.#samples = []
  }

  /** Bytes a second; 0 while it cannot be told. */
  rate(now) {
    const [first] = this.#samples
    const last = this.#samples.at(-1)
    if (!first || now - first.now < 500) return 0
    return ((last.total - first.total) * 1000) / (now - first.now)
  }
}
