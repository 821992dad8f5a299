// One upload: started, paused, tried again, taken up after a reload. It does not draw anything.

import { claim, release } from './claims.js'
import { facts } from './facts.js'
import * as history from './history.js'
import { Pace } from './pace.js'
import { PieceSource } from './pieces.js'
import { Failure, Problem } from './words.js'

const DELAYS = [500, 1000, 2000, 4000, 8000, 15_000, 30_000]
const SILENCE = 30_000 // milliseconds without a byte until a request counts as broken
const LAST_ANSWER = 180_000 // the same once all bytes are out: the server may have work to do
const PEEK = 5000 // milliseconds between two questions how far a missing file is
const RECORDED_CHUNK = 8 * 1024 * 1024

/**
 * States: `queued`, `sending`, `paused`, `waiting` (to try again at `retryAt`), `missing` (the file has to be
 * chosen again), `failed` (see `error`), `done` (see `address`), `gone` (cancelled).
 *
 * Emits `change` whenever something has, `failure` with each failed attempt, and `url` when there is a new one.
 */
export class Transfer extends EventTarget {
  state = 'queued'
  sent = 0 // bytes handed to the network
  accepted = 0 // bytes the server has said to have
  error = null
  address = null // where the finished file is, as the server says it
  restarted = false // the server had forgotten the upload
  retryAt = 0

  #run = null
  #attempt = 0
  #timer = null
  #watch = null
  #pace = new Pace()
  #heardAt = 0

  /** Of a `file` (null while it is missing), or of a recording's `pieces`. `key` is that of the URL storage. */
  constructor({ name, type, size = null, file = null, pieces = null, url = null, key = null, at = Date.now() }) {
    super()
    Object.assign(this, { name, type, file, pieces, url, key, at })
    this.fileSize = size
    if (!file && !pieces) this.state = 'missing'
  }

  /** Bytes, as far as they are known: a recording grows. */
  get size() {
    return this.pieces ? this.pieces.size : this.fileSize
  }

  get isGrowing() {
    return Boolean(this.pieces) && !this.pieces.ended
  }

  get isRunning() {
    return this.state === 'sending' || this.state === 'waiting'
  }

  get isOver() {
    return this.state === 'done' || this.state === 'gone'
  }

  /** Bytes a second. */
  get rate() {
    return this.state === 'sending' ? this.#pace.rate(Date.now()) : 0
  }

  /** Send from where the server is. */
  start() {
    if (this.isOver) return
    this.#stop()
    this.#run = new AbortController()
    this.error = null
    this.#pace.reset()
    this.#hear()
    this.#watch = setInterval(() => this.#look(), 1000)
    this.#enter('sending')
    this.#send(this.#run.signal)
  }

  pause() {
    this.#stop()
    this.#enter('paused')
  }

  /** Ask the server how far a file is that is missing here. */
  async peek() {
    const head = { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' } }
    const response = await fetch(this.url, head).catch(() => null)
    if (this.state !== 'missing') return
    if (!response || response.status === 423 || response.status >= 500) {
      this.#timer = setTimeout(() => this.peek(), PEEK)
      return
    }
    if (response.status === 404 || response.status === 410) return this.#forget()
    const offset = Number.parseInt(response.headers.get('Upload-Offset') ?? '', 10)
    if (!response.ok || Number.isNaN(offset)) return
    this.sent = this.accepted = offset
    if (offset === this.size) {
      history.abandon(this.key)
      this.#finish(response.headers.get('Content-Location'))
    } else this.#enter('missing')
  }

  /** Go on with the file that was missing. */
  continueWith(file) {
    clearTimeout(this.#timer)
    this.file = file
    this.#enter('queued')
  }

  /** Stop for good, and have the server remove what it has, if it does that. */
  cancel() {
    const { url } = this
    this.#forget()
    if (url && facts.termination) window.tus.Upload.terminate(url, { retryDelays: DELAYS }).catch(() => {})
  }

  #enter(state) {
    this.state = state
    this.dispatchEvent(new Event('change'))
  }

  #stop() {
    this.#run?.abort()
    this.#run = null
    clearTimeout(this.#timer)
    clearInterval(this.#watch)
  }

  #forget() {
    this.#stop()
    if (this.key) history.abandon(this.key)
    if (this.url) release(this.url)
    this.#enter('gone')
  }

  #finish(address) {
    this.#stop()
    if (this.pieces && this.accepted < this.size) {
      // Finished, but not by us, and without the end of what was recorded: nothing of that may be forgotten.
      release(this.url)
      Object.assign(this, { url: null, sent: 0, accepted: 0, restarted: true })
      return this.start()
    }
    this.sent = this.accepted = this.size
    this.address = address
    if (this.url) release(this.url)
    this.#enter('done')
  }

  async #send(signal) {
    if (this.file && !(await isReadable(this.file))) {
      if (!signal.aborted) this.#fail(new Problem('The file cannot be read any more. Was it moved or changed?'))
      return
    }
    if (signal.aborted) return
    const upload = new window.tus.Upload(this.file ?? this.pieces, this.#options(signal, () => upload))
    if (this.url) upload.resumeFromPreviousUpload({ uploadUrl: this.url, urlStorageKey: this.key })
    signal.addEventListener('abort', () => upload.abort())
    upload.start()
  }

  #options(signal, upload) {
    const heed = (listener) => (...said) => {
      if (!signal.aborted) listener(...said)
    }
    return {
      endpoint: facts.endpoint,
      metadata: { filename: this.name, ...(this.type ? { filetype: this.type } : {}) },
      retryDelays: null, // that is our business: a person wants to see it
      ...(this.pieces ? this.#recordingOptions(signal) : this.#fileOptions()),
      onAfterResponse: heed((request, response) => this.#read(request, response)),
      onUploadUrlAvailable: heed(() => this.#learn(upload().url)),
      onProgress: heed((sent) => this.#progress(sent)),
      onSuccess: heed(({ lastResponse }) => this.#finish(lastResponse.getHeader('Content-Location') ?? null)),
      onError: heed((error) => this.#break(Failure.from(error))),
    }
  }

  #fileOptions() {
    const urlStorage = history.notebook((key) => {
      this.key = key
    })
    return { urlStorage, storeFingerprintForResuming: true, removeFingerprintOnSuccess: true }
  }

  #recordingOptions(signal) {
    this.source = new PieceSource(this.pieces, signal)
    return {
      chunkSize: RECORDED_CHUNK,
      uploadLengthDeferred: true,
      fileReader: { openFile: async () => this.source },
      fingerprint: async () => null,
      storeFingerprintForResuming: false,
    }
  }

  /** Every answer passes here, before tus-js-client draws its conclusions. */
  #read(request, response) {
    this.#hear()
    const status = response.getStatus()
    if (request.getMethod() === 'HEAD' && status >= 400 && status !== 423) {
      // tus-js-client would begin anew whatever went wrong; that is right only if the upload is gone.
      if (status !== 404 && status !== 410) throw Failure.of(request, response)
      this.restarted = this.accepted > 0
      release(this.url)
      Object.assign(this, { url: null, key: null, sent: 0, accepted: 0 })
    }
    const offset = Number.parseInt(response.getHeader('Upload-Offset') ?? '', 10)
    if (status < 400 && offset > this.accepted) {
      this.accepted = offset
      this.#attempt = 0
    }
  }

  #learn(url) {
    if (new URL(url, document.baseURI).origin !== location.origin) {
      throw new Problem(
        `The server says that the upload is at ${new URL(url).origin}, where this page may not go.` +
          ' If it stands behind a proxy, it has to be told so (--behind-proxy).',
      )
    }
    this.url = url
    claim(url)
    this.dispatchEvent(new Event('url'))
  }

  #progress(sent) {
    this.#hear()
    this.sent = sent
    this.#pace.note(sent, Date.now())
    this.dispatchEvent(new Event('change'))
  }

  #break(error) {
    if (!(error instanceof Failure) || !error.isPassing) return this.#fail(error)
    this.#stop()
    this.error = error
    const delay = DELAYS[Math.min(this.#attempt, DELAYS.length - 1)] * (0.8 + 0.4 * Math.random())
    this.#attempt += 1
    this.retryAt = Date.now() + delay
    this.#timer = setTimeout(() => this.start(), delay)
    this.#watch = setInterval(() => this.dispatchEvent(new Event('change')), 1000)
    this.#enter('waiting')
    if (navigator.onLine) this.dispatchEvent(new Event('failure'))
  }

  #fail(error) {
    this.#stop()
    this.error = error
    this.#enter('failed')
  }

  #hear() {
    this.#heardAt = Date.now()
  }

  /** Once a second: a line that says nothing is as broken as one that says so. */
  #look() {
    if (this.source?.isWaiting) this.#hear()
    const patience = this.sent >= this.size && !this.isGrowing ? LAST_ANSWER : SILENCE
    if (Date.now() - this.#heardAt > patience) {
      this.#break(new Failure({ method: 'PATCH', status: 0, code: '' }))
    } else {
      this.#pace.note(this.sent, Date.now())
      this.dispatchEvent(new Event('change'))
    }
  }
}

async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer()
    return true
  } catch {
    return false
  }
}
