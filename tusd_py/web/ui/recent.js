// What has arrived from this browser: to look at, to listen to, to pass on.

import { announce, control, find, icon, part, say, stamp } from './dom.js'
import { facts } from './facts.js'
import * as history from './history.js'
import { formatClock, formatSize, formatWhen } from './words.js'

const kindOf = (type) => (type ?? '').split('/')[0]
const ICONS = { audio: 'mic', video: 'film' }

/** The address, if it is one that a link may lead to. */
function safe(address) {
  if (!address || !URL.canParse(address, document.baseURI)) return null
  const url = new URL(address, document.baseURI)
  return ['http:', 'https:'].includes(url.protocol) ? url.href : null
}

const isHere = (address) => new URL(address).origin === location.origin // what the page may show itself

function player(entry, address, onGone) {
  const element = document.createElement(kindOf(entry.type))
  Object.assign(element, { controls: true, preload: 'metadata', src: address })
  element.setAttribute('aria-label', entry.name)
  element.addEventListener('error', onGone)
  if (kindOf(entry.type) === 'audio') tellLength(element)
  return element
}

/** What a recorder writes does not say how long it is; a look at the end does. */
function tellLength(audio) {
  audio.addEventListener('loadedmetadata', () => {
    if (Number.isFinite(audio.duration)) return
    audio.addEventListener('durationchange', () => { audio.currentTime = 0 }, { once: true })
    audio.currentTime = Number.MAX_SAFE_INTEGER
  }, { once: true })
}

function thumbnail(entry, address, onGone) {
  const image = document.createElement('img')
  Object.assign(image, { src: address, alt: '', loading: 'lazy', decoding: 'async' })
  image.addEventListener('error', onGone)
  return image
}

async function copy(address, name) {
  try {
    await navigator.clipboard.writeText(address)
    announce(`Address of ${name} copied`)
    return true
  } catch {
    return false
  }
}

function copier(entry, address) {
  const button = control({
    label: 'Copy link',
    name: 'link',
    about: entry.name,
    onClick: async () => {
      const text = button.querySelector('span')
      text.textContent = (await copy(address, entry.name)) ? 'Copied' : 'Not allowed'
      setTimeout(() => { text.textContent = 'Copy link' }, 2000)
    },
  })
  return button
}

function makeCard(entry) {
  const card = stamp('past-card')
  const address = safe(entry.address)
  card.setAttribute('aria-label', entry.name)
  card.dataset.id = entry.id
  say(part(card, 'name'), entry.name)
  part(card, 'name').title = entry.name
  const told = [formatSize(entry.size), ...(entry.seconds ? [formatClock(entry.seconds)] : []), formatWhen(entry.at)]
  say(part(card, 'state'), told.join(' · '))
  part(card, 'thumb').replaceChildren(icon(ICONS[kindOf(entry.type)] ?? 'file'))
  const forget = () => drop(entry.id)
  const remove = control({ label: 'Forget', name: 'close', about: entry.name, onClick: forget })
  if (address) part(card, 'acts').append(control({ label: 'Open', name: 'open', about: entry.name, href: address }))
  if (address && navigator.clipboard) part(card, 'acts').append(copier(entry, address))
  part(card, 'acts').append(remove)
  if (address && isHere(address)) preview(card, entry, address)
  return card
}

function preview(card, entry, address) {
  const onGone = ({ target }) => {
    target.remove()
    part(card, 'thumb').replaceChildren(icon(ICONS[kindOf(entry.type)] ?? 'file'))
    say(part(card, 'state'), `${formatSize(entry.size)} · It cannot be shown; it may not be on the server any more`)
  }
  const kind = kindOf(entry.type)
  if (kind === 'image') part(card, 'thumb').replaceChildren(thumbnail(entry, address, onGone))
  if (kind === 'audio' || kind === 'video') part(card, 'player').append(player(entry, address, onGone))
}

function drop(id) {
  history.forget(id)
  const card = find('recent').querySelector(`[data-id="${CSS.escape(id)}"]`)
  const next = card?.nextElementSibling ?? card?.previousElementSibling
  card?.remove()
  show()
  ;(next ? part(next, 'name') : find('choose')).focus()
}

function show() {
  find('past').hidden = find('recent').childElementCount === 0
}

/** Put down what has arrived, and show it; `focus` moves there if asked. */
export function add(entry, { focus = false } = {}) {
  history.remember(entry)
  const card = makeCard(entry)
  find('recent').prepend(card)
  show()
  if (focus) part(card, 'name').focus()
}

export function start() {
  if (!facts.published) find('note').prepend('This server keeps what it gets to itself. ')
  find('recent').replaceChildren(...history.recent().map(makeCard))
  find('forget').addEventListener('click', () => {
    history.forgetAll()
    find('recent').replaceChildren()
    show()
    find('choose').focus()
  })
  show()
}
