// What is under way, a card for each upload.

import { announce, control, find, part, say, stamp } from './dom.js'
import { explain, formatClock, formatLeft, formatSize } from './words.js'

const QUARTERS = [25, 50, 75]

/** What can be done with an upload, by its state; each button asks `deeds` for it. */
const ACTS = {
  queued: ['cancel'],
  sending: ['pause', 'cancel'],
  waiting: ['retry', 'pause', 'cancel'],
  paused: ['resume', 'cancel'],
  missing: ['choose', 'cancel'],
  failed: ['retry', 'cancel'],
}
const LABELS = {
  pause: ['Pause', 'pause'],
  resume: ['Resume', 'play'],
  retry: ['Try now', 'again'],
  choose: ['Choose file', 'file'],
  cancel: ['Cancel', 'close'],
}

function shareOf(transfer) {
  const { size, sent } = transfer
  if (size === 0) return transfer.isGrowing ? 0 : 100
  const share = Math.floor((Math.min(sent, size) / size) * 100)
  return transfer.state === 'done' ? 100 : Math.min(share, 99) // not before the server says so
}

function sizes({ sent, size, isGrowing }) {
  if (isGrowing) return `${formatSize(sent)} sent${size > sent ? `, ${formatSize(size - sent)} to go` : ''}`
  return `${formatSize(Math.min(sent, size))} of ${formatSize(size)}`
}

function sending(transfer) {
  const { sent, size, rate, isGrowing } = transfer
  if (!isGrowing && size > 0 && sent >= size) return `${formatSize(size)}, waiting for the server to finish`
  const parts = [sizes(transfer)]
  if (rate > 0) parts.push(`${formatSize(rate)}/s`)
  if (rate > 0 && !isGrowing) parts.push(formatLeft((size - sent) / rate))
  return parts.join(' · ')
}

function waiting({ error, retryAt }) {
  if (!navigator.onLine) return 'You are offline. It goes on by itself when you are back.'
  const seconds = Math.ceil(Math.max(0, retryAt - Date.now()) / 1000)
  return `${explain(error)} Trying again ${seconds > 1 ? `in ${seconds} s` : 'now'}.`
}

const TEXTS = {
  queued: ({ size }) => `${formatSize(size)}, waiting for its turn`,
  sending,
  waiting,
  paused: (transfer) => `Paused · ${sizes(transfer)}`,
  missing: (transfer) =>
    `${transfer.sent ? `${formatSize(transfer.sent)} of ` : ''}${formatSize(transfer.size)} · Choose the same file to go on`,
  failed: ({ error }) => explain(error),
  done: ({ size }) => formatSize(size),
  gone: () => '',
}

const NEWS = {
  waiting: (transfer) => explain(transfer.error),
  paused: () => 'Paused',
  failed: (transfer) => explain(transfer.error),
}

/** Draws one transfer and keeps it up to date. `deeds` are functions by the names in LABELS. */
export class Card {
  #transfer
  #deeds
  #shown = null
  #told = 0
  #isDue = false

  constructor(transfer, deeds) {
    this.#transfer = transfer
    this.#deeds = deeds
    this.element = stamp('card')
    this.element.setAttribute('aria-label', transfer.name)
    say(part(this.element, 'name'), transfer.name)
    part(this.element, 'name').title = transfer.name
    this.#bar.setAttribute('aria-label', `Progress of ${transfer.name}`)
    transfer.addEventListener('change', () => this.#plan())
    this.#draw()
  }

  get #bar() {
    return this.element.querySelector('progress')
  }

  #plan() {
    if (this.#isDue) return
    this.#isDue = true
    const draw = () => {
      this.#isDue = false
      this.#draw()
    }
    if (document.hidden) draw()
    else requestAnimationFrame(draw)
  }

  #draw() {
    const transfer = this.#transfer
    const share = shareOf(transfer)
    this.#bar.value = share
    say(part(this.element, 'share'), transfer.isGrowing ? formatClock(transfer.seconds) : `${share} %`)
    say(part(this.element, 'state'), TEXTS[transfer.state](transfer))
    this.element.dataset.is = transfer.isGrowing && transfer.state === 'sending' ? 'live' : transfer.state
    this.#tell(share)
    if (this.#shown !== transfer.state) this.#change()
  }

  /** A new state: other buttons, and a word for those who do not see the card. */
  #change() {
    const { state, name } = this.#transfer
    const acts = part(this.element, 'acts')
    const hadFocus = acts.contains(document.activeElement)
    const wanted = document.activeElement?.dataset.act
    acts.replaceChildren(...(ACTS[state] ?? []).map((act) => this.#button(act)))
    if (hadFocus) (acts.querySelector(`[data-act="${wanted}"]`) ?? acts.querySelector('button'))?.focus()
    if (NEWS[state] && this.#shown !== null) announce(`${name}: ${NEWS[state](this.#transfer)}`)
    this.#shown = state
  }

  #button(act) {
    const [label, name] = LABELS[act]
    const onClick = () => this.#deeds[act](this.#transfer)
    const button = control({ label, name, about: this.#transfer.name, onClick })
    button.dataset.act = act
    return button
  }

  #tell(share) {
    const quarter = QUARTERS.findLast((it) => share >= it) ?? 0
    if (quarter > this.#told && !this.#transfer.isGrowing && this.#transfer.state === 'sending') {
      announce(`${this.#transfer.name}: ${quarter} percent`)
    }
    this.#told = Math.max(this.#told, quarter)
  }
}

/** Show the section only while there is something in it. */
export function showRunning() {
  find('running').hidden = find('transfers').childElementCount === 0
}
