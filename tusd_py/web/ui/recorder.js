// The microphone, recorded in parts that are files of their own and can be sent while they grow.

import { claim, release } from './claims.js'
import { facts } from './facts.js'
import { Pieces } from './pieces.js'
import * as shelf from './shelf.js'
import { Problem } from './words.js'

const TYPES = [
  ['audio/webm;codecs=opus', 'webm'],
  ['audio/ogg;codecs=opus', 'ogg'],
  ['audio/mp4', 'm4a'],
]
const BITRATES = [128_000, 64_000, 32_000, 16_000]
const SLICE = 1000 // milliseconds: what a crash of the browser can cost
const FULL = Math.max(facts.maxSize / 2, facts.maxSize - 2 ** 20) // bytes: room for pieces that come late
const FAILURES = 3 // failed attempts, within a minute, after which the bitrate goes down
const MINUTE = 60_000

const REFUSALS = {
  NotAllowedError: 'The browser does not let this page use the microphone. Allow it beside the address, and try again.',
  NotFoundError: 'There is no microphone.',
  NotReadableError: 'The microphone is in use by another program.',
}

/** Why this browser cannot record here; null if it can. */
export function whyNot() {
  if (!window.isSecureContext) return 'Recording needs an https address.'
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return 'This browser cannot record.'
  return null
}

const type = () => TYPES.find(([name]) => MediaRecorder.isTypeSupported(name)) ?? TYPES[0]

/** The name of a part: when the recording began, and which part it is. */
function nameOf(at, number, suffix) {
  const then = new Date(at)
  const two = (value) => String(value).padStart(2, '0')
  const day = `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())}`
  const clock = `${two(then.getHours())}.${two(then.getMinutes())}.${two(then.getSeconds())}`
  return `Recording ${day} ${clock}${number > 1 ? `, part ${number}` : ''}.${suffix}`
}

/** Stop it, unless it has stopped by itself: that happens when a microphone is unplugged. */
function end(recorder) {
  if (recorder.state !== 'inactive') recorder.stop()
}

/** One file of a recording: kept on the shelf piece by piece, and only then given to the upload. */
export class Part {
  isKept = true // false once the browser could not store a piece: what follows is in memory alone
  #count = 0
  #writing = Promise.resolve()
  #discarded = false

  constructor(record, pieces = new Pieces()) {
    Object.assign(this, { record, pieces })
  }

  static begin({ name, type, at }) {
    const part = new Part({ id: crypto.randomUUID(), name, type, at, url: null, seconds: 0 })
    claim(part.record.id)
    return part
  }

  /** One of an earlier visit, from the shelf: what was recorded of it is all there will be. */
  static async takeUp(record) {
    return new Part(record, new Pieces(await shelf.load(record.id), { ended: true }))
  }

  append(blob, seconds) {
    this.record.seconds = seconds
    this.#then(() => shelf.append(this.record, this.#count++, blob), () => this.pieces.append(blob))
  }

  end() {
    this.#then(null, () => this.pieces.end())
  }

  /** Note where it is being sent. */
  learn(url) {
    this.record.url = url
    this.#then(() => shelf.save(this.record))
  }

  /** It has arrived, or nobody wants it. */
  discard() {
    const { id } = this.record
    this.#writing = this.#writing
      .then(() => shelf.remove(id))
      .catch(() => {}) // nothing was kept, or the next visit meets it again
      .then(() => {
        this.#discarded = true
        release(id)
      })
  }

  #then(store, after = () => {}) {
    this.#writing = this.#writing.then(async () => {
      if (this.#discarded) return
      try {
        if (this.isKept) await store?.() // behind a gap nothing is of use
      } catch {
        this.isKept = false
      }
      after()
    })
  }
}

/** Emits `part` (see `part`) with each new part, and `change` when it was paused, continued or has ended. */
export class Recorder extends EventTarget {
  state = 'idle' // idle, recording, held
  bitrate = BITRATES[0]
  stream = null
  part = null
  #recorder = null
  #number = 0
  #failures = []
  #at = 0
  #ran = 0 // milliseconds recorded in this part before it was last continued
  #since = 0
  #before = 0 // milliseconds in earlier parts

  /** Ask for the microphone and begin. Raises Problem. */
  async start() {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: true })
    } catch (error) {
      throw new Problem(REFUSALS[error.name] ?? 'The microphone cannot be used.')
    }
    this.bitrate = BITRATES[0]
    this.#number = 0
    this.#before = 0
    this.#at = Date.now()
    this.stream.getTracks()[0].addEventListener('ended', () => this.stop())
    this.#begin()
    this.#enter('recording')
  }

  hold() {
    this.#recorder.pause()
    this.#ran += Date.now() - this.#since
    this.#enter('held')
  }

  continue() {
    this.#recorder.resume()
    this.#since = Date.now()
    this.#enter('recording')
  }

  stop() {
    if (this.state === 'idle') return
    end(this.#recorder)
    for (const track of this.stream.getTracks()) track.stop()
    this.stream = null
    this.#enter('idle')
  }

  /** Seconds recorded, all parts together. */
  get seconds() {
    return (this.#before + this.#partTime) / 1000
  }

  get #partTime() {
    return this.#ran + (this.state === 'held' ? 0 : Date.now() - this.#since)
  }

  /** An attempt to send `part` has failed. After some of them the rest is recorded in fewer bytes. */
  failed(part) {
    if (part !== this.part || this.state !== 'recording') return
    const now = Date.now()
    this.#failures = [...this.#failures.filter((at) => now - at < MINUTE), now]
    const lower = BITRATES[BITRATES.indexOf(this.bitrate) + 1]
    if (this.#failures.length >= FAILURES && lower) {
      this.bitrate = lower
      this.#roll()
    }
  }

  #enter(state) {
    this.state = state
    this.dispatchEvent(new Event('change'))
  }

  /** A file has one bitrate and one limit, so another one goes on; it begins before this one ends. */
  #roll() {
    const last = this.#recorder
    this.#before += this.#partTime
    this.#begin()
    end(last)
  }

  #begin() {
    const [mimeType, suffix] = type()
    this.#number += 1
    this.#failures = []
    this.#ran = 0
    this.#since = Date.now()
    const name = nameOf(this.#at, this.#number, suffix)
    const part = Part.begin({ name, type: mimeType, at: Date.now() })
    const recorder = new MediaRecorder(this.stream, { mimeType, audioBitsPerSecond: this.bitrate })
    let taken = 0
    recorder.addEventListener('dataavailable', ({ data }) => {
      if (!data.size) return
      taken += data.size
      part.append(data, recorder === this.#recorder ? this.#partTime / 1000 : part.record.seconds)
      if (recorder === this.#recorder && recorder.state === 'recording' && taken > FULL) {
        this.#roll()
      }
    })
    recorder.addEventListener('stop', () => part.end())
    recorder.addEventListener('error', () => this.stop())
    this.#recorder = recorder
    this.part = part
    recorder.start(SLICE)
    this.dispatchEvent(new Event('part'))
  }
}
