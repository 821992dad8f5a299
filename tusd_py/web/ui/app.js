// The page: what people do, and what becomes of it.

import { stayAwake } from './awake.js'
import { Card, showRunning } from './cards.js'
import { claim, release } from './claims.js'
import { announce, ask, find, say } from './dom.js'
import { facts } from './facts.js'
import * as history from './history.js'
import { Meter } from './meter.js'
import * as past from './recent.js'
import { Part, Recorder, whyNot } from './recorder.js'
import * as shelf from './shelf.js'
import { Transfer } from './transfer.js'
import { formatClock, formatSize, Problem } from './words.js'

const AT_ONCE = 3 // files sent at the same time; a recording never waits

const cards = new Map() // by transfer
const recorder = new Recorder()
const meter = new Meter(find('level'))

// -- what is under way -----------------------------------------------------------------------------

const deeds = {
  pause: (transfer) => transfer.pause(),
  resume: (transfer) => transfer.start(),
  retry: (transfer) => transfer.start(),
  choose: (transfer) => chooseFor(transfer),
  cancel: (transfer) => cancel(transfer),
}

function show(transfer, { onDone = () => {}, onCancel = () => {} } = {}) {
  const card = new Card(transfer, deeds)
  cards.set(transfer, { card, onCancel })
  find('transfers').prepend(card.element)
  showRunning()
  transfer.addEventListener('change', () => {
    if (transfer.state === 'done' && cards.has(transfer)) {
      onDone()
      arrive(transfer)
    }
    if (transfer.state === 'gone' && cards.has(transfer)) takeAway(transfer)
    if (!transfer.isRunning) fillUp()
  })
}

function arrive(transfer) {
  const hadFocus = takeAway(transfer)
  const { name, type, size, address, seconds } = transfer
  const id = transfer.url ?? name
  past.add({ id, name, type, size, address, seconds, at: Date.now() }, { focus: hadFocus })
  announce(`${name} has arrived`)
}

/** Remove a card; whether the focus was in it. */
function takeAway(transfer) {
  const { element } = cards.get(transfer).card
  const hadFocus = element.contains(document.activeElement)
  element.remove()
  cards.delete(transfer)
  showRunning()
  return hadFocus
}

async function cancel(transfer) {
  if (transfer.pieces) {
    const what = transfer.isGrowing ? 'This ends the recording. What' : 'What'
    if (!(await ask(`${what} you have recorded as “${transfer.name}” will be lost.`))) return
    if (!cards.has(transfer)) return // it has arrived meanwhile
  }
  const { onCancel } = cards.get(transfer)
  if (takeAway(transfer)) find('choose').focus()
  transfer.cancel()
  onCancel()
}

/** Start as many files as may run at once. */
function fillUp() {
  const files = [...cards.keys()].filter((it) => !it.pieces)
  let running = files.filter((it) => it.isRunning).length
  for (const transfer of files) {
    if (running >= AT_ONCE) return
    if (transfer.state === 'queued') {
      running += 1
      transfer.start()
    }
  }
}

// -- files -----------------------------------------------------------------------------------------

function complain(text) {
  say(find('trouble'), text)
  find('trouble').hidden = !text
}

const missing = () => [...cards.keys()].filter((it) => it.state === 'missing')

async function addFiles(files) {
  complain('')
  const tooLarge = files.filter((file) => file.size > facts.maxSize)
  for (const file of files) {
    if (tooLarge.includes(file)) continue
    const keys = await history.keysOf(file, facts.endpoint)
    const begun = missing().find((it) => keys.includes(it.key))
    if (begun) begun.continueWith(file)
    else show(new Transfer({ name: file.name, type: file.type, size: file.size, file }))
  }
  fillUp()
  if (tooLarge.length) {
    const names = tooLarge.map((file) => `“${file.name}” (${formatSize(file.size)})`).join(', ')
    complain(`This server takes files up to ${formatSize(facts.maxSize)}. Too large: ${names}.`)
  }
}

/** What a browser drops of a folder cannot be read. */
async function takeDropped({ files, items }) {
  const isFolder = [...items].filter((it) => it.kind === 'file').map((it) => it.webkitGetAsEntry?.()?.isDirectory)
  const plain = [...files].filter((_, place) => !isFolder[place])
  await addFiles(plain)
  if (plain.length < files.length) complain('A folder cannot be sent as it is: drop the files in it.')
}

let wanted = null // the transfer that a file is being chosen for

function chooseFor(transfer) {
  wanted = transfer
  find('files').multiple = transfer === null
  find('files').click()
}

async function takeChosen() {
  const files = [...find('files').files]
  const transfer = wanted
  find('files').value = '' // so that the same file can be chosen again
  if (!transfer || files.length === 0) return addFiles(files)
  const keys = await history.keysOf(files[0], facts.endpoint)
  if (keys.includes(transfer.key)) return addFiles(files)
  complain(`That is another file, or it has changed: “${transfer.name}” cannot go on with it.`)
}

/** Files of earlier visits: they go on once they are chosen again. */
async function findUnfinished() {
  for (const entry of await history.unfinished(facts.endpoint)) {
    const { urlStorageKey: key, uploadUrl: url, size, metadata, creationTime } = entry
    claim(url).then(async () => {
      if (!(await history.isNoted(key))) return release(url) // another tab has finished it
      const { filename: name, filetype: type } = metadata
      const transfer = new Transfer({ name, type, size, url, key, at: Date.parse(creationTime) })
      show(transfer)
      transfer.peek()
    })
  }
}

// -- recordings ------------------------------------------------------------------------------------

function send(part) {
  const { record, pieces } = part
  const transfer = new Transfer({ name: record.name, type: record.type, pieces, url: record.url, at: record.at })
  Object.defineProperty(transfer, 'seconds', { get: () => Math.round(record.seconds) })
  transfer.addEventListener('url', () => part.learn(transfer.url))
  transfer.addEventListener('failure', () => recorder.failed(part))
  const onCancel = () => {
    if (recorder.part === part) recorder.stop()
    part.discard()
  }
  show(transfer, { onDone: () => part.discard(), onCancel })
  transfer.start()
}

/** Recordings of earlier visits: they are here, so they go on by themselves. */
async function findRecordings() {
  const records = await shelf.all().catch(() => [])
  for (const { id } of records) {
    claim(id).then(async () => {
      const record = await shelf.find(id)
      if (!record) return release(id) // another tab has sent it
      send(await Part.takeUp(record))
    })
  }
}

function drawRecorder() {
  const isIdle = recorder.state === 'idle'
  const hadFocus = find(isIdle ? 'recording' : 'idle').contains(document.activeElement)
  find('idle').hidden = !isIdle
  find('recording').hidden = isIdle
  find('drop').classList.toggle('recording', !isIdle)
  find('drop').classList.toggle('held', recorder.state === 'held')
  const isHeld = recorder.state === 'held'
  say(find('hold').querySelector('span'), isHeld ? 'Go on recording' : 'Pause recording')
  find('hold').querySelector('use').setAttribute('href', isHeld ? '#i-mic' : '#i-pause')
  if (isIdle) meter.stop()
  stayAwake(!isIdle)
  if (hadFocus) (isIdle ? find('record') : find('stop')).focus()
}

/** The title tells from afar what is going on. */
function title() {
  if (recorder.state === 'recording') return '● Recording'
  const running = [...cards.keys()].filter((it) => it.isRunning && it.size > 0)
  const [sent, size] = ['sent', 'size'].map((key) => running.reduce((sum, it) => sum + it[key], 0))
  return running.length ? `${Math.min(99, Math.floor((sent / size) * 100))} % · Upload` : 'Upload'
}

function tick() {
  if (document.title !== title()) document.title = title()
  if (recorder.state === 'idle') return
  say(find('clock'), formatClock(recorder.seconds))
  const quality = recorder.bitrate < 128_000 ? ` The connection is weak: ${recorder.bitrate / 1000} kbit/s now.` : ''
  const kept = recorder.part.isKept
    ? 'It is kept in this browser until it has arrived.'
    : 'This browser cannot keep it: leave the page open until it has arrived.'
  say(find('saying'), kept + quality)
}

let isAsking = false // for the microphone

async function record() {
  if (isAsking) return
  complain('')
  isAsking = true
  try {
    await recorder.start()
    meter.start(recorder.stream)
    announce('Recording')
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    complain(error.message)
  } finally {
    isAsking = false
  }
}

// -- the page --------------------------------------------------------------------------------------

const hasFiles = (event) => event.dataTransfer?.types.includes('Files')

function listenForDrops() {
  let depth = 0 // of elements entered and not left
  const mark = (change) => {
    depth = change === 0 ? 0 : depth + change
    find('drop').classList.toggle('over', depth > 0)
  }
  document.addEventListener('dragenter', (event) => hasFiles(event) && mark(1))
  document.addEventListener('dragleave', (event) => hasFiles(event) && mark(-1))
  document.addEventListener('dragover', (event) => hasFiles(event) && event.preventDefault())
  document.addEventListener('drop', (event) => {
    if (!hasFiles(event)) return
    event.preventDefault() // or the browser would leave the page to show the file
    mark(0)
    takeDropped(event.dataTransfer)
  })
}

function listen() {
  listenForDrops()
  find('choose').addEventListener('click', () => chooseFor(null))
  find('files').addEventListener('change', takeChosen)
  document.addEventListener('paste', (event) => {
    if (event.clipboardData?.files.length) addFiles([...event.clipboardData.files])
  })
  find('record').addEventListener('click', record)
  find('stop').addEventListener('click', () => recorder.stop())
  find('hold').addEventListener('click', () => (recorder.state === 'held' ? recorder.continue() : recorder.hold()))
  recorder.addEventListener('change', drawRecorder)
  recorder.addEventListener('part', () => send(recorder.part))
  setInterval(tick, 250)
  window.addEventListener('online', () => {
    for (const transfer of cards.keys()) if (transfer.state === 'waiting') transfer.start()
  })
  window.addEventListener('beforeunload', (event) => {
    if (recorder.state !== 'idle') event.preventDefault() // an upload goes on afterwards, a recording does not
  })
}

function main() {
  if (facts.maxSize !== Infinity) say(find('limit'), `Up to ${formatSize(facts.maxSize)} a file`)
  past.start()
  if (!window.tus) {
    find('choose').disabled = find('record').disabled = true
    return complain('The part of this page that uploads could not be loaded. Are you offline? Reload to try again.')
  }
  const reason = whyNot()
  if (reason) {
    find('record').disabled = true
    find('why-not').hidden = false
    say(find('why-not'), reason)
  }
  listen()
  findUnfinished()
  findRecordings()
}

main()
