// The bytes of a recording: pieces that keep coming until it ends.

export class Pieces {
  #blobs = []
  #wakers = new Set()
  #ended = false
  size = 0

  constructor(blobs = [], { ended = false } = {}) {
    for (const blob of blobs) this.append(blob)
    this.#ended = ended
  }

  get ended() {
    return this.#ended
  }

  append(blob) {
    this.#blobs.push({ start: this.size, blob })
    this.size += blob.size
    this.#wake()
  }

  end() {
    this.#ended = true
    this.#wake()
  }

  /** Bytes `start` up to but not including `stop`. */
  slice(start, stop) {
    const touched = this.#blobs.filter((it) => it.start < stop && it.start + it.blob.size > start)
    return new Blob(touched.map((it) => it.blob.slice(Math.max(0, start - it.start), stop - it.start)))
  }

  /** Settled once there is something behind `position`, or nothing will come any more. */
  async reach(position) {
    while (this.size <= position && !this.#ended) {
      await new Promise((resolve) => this.#wakers.add(resolve))
    }
  }

  #wake() {
    for (const wake of this.#wakers) wake()
    this.#wakers.clear()
  }
}

/** Pieces as tus-js-client reads them: a chunk is what is there, and waits while nothing is. */
export class PieceSource {
  size = null

  /** `signal`: once aborted, a waiting `slice` is never answered, so that nothing is sent any more. */
  constructor(pieces, signal) {
    this.pieces = pieces
    this.signal = signal
    this.isWaiting = false
  }

  async slice(start, limit) {
    this.isWaiting = true
    await this.pieces.reach(start)
    this.isWaiting = false
    if (this.signal.aborted) return new Promise(() => {})
    const stop = Math.min(limit, this.pieces.size)
    const done = this.pieces.ended && stop >= this.pieces.size
    // Nothing left to send: the last request only tells the length.
    if (stop <= start) return { value: null, done: true }
    return { value: this.pieces.slice(start, stop), done }
  }

  close() {}
}
