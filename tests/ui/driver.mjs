// Chromium with the server's page and a microphone that beeps, or plays a file: `node driver.mjs CHROMIUM [WAV]`,
// then commands.
//
//   {do: "open", url, scheme, size, scale, answers, headers}
//                                            a fresh profile with one page; `scheme` is light or dark; addresses
//                                            in `answers` are answered from these files, not by the network;
//                                            `headers` go with each request
//   {do: "reload"}  {do: "close"}            as a person does it
//   {do: "second"}                           open another tab on the same page
//   {do: "first"} {do: "last"} {do: "end"}   turn to the first or last tab; close this one
//   {do: "offline", on}                      the browser's own switch
//   {do: "choose", button, paths}            click a button and choose files
//   {do: "drop", paths, date}                drop files on the page
//   {do: "click", name} {do: "press", key}   a button by its name, a key
//   {do: "read", script}                     the value of an expression in the page
//   {do: "until", script, seconds}           wait until an expression is true; answered with its value
//   {do: "axe"}                              what axe-core has against the page
//   {do: "shoot", path}                      a picture
//   {do: "complaints"}                       what the page's console said since the last time
//
// Every piece that a MediaRecorder hands out is noted in window.recorded, apart from the page's own code.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import { serve } from '../interop/lines.mjs'

const packages = createRequire(new URL('../interop/package.json', import.meta.url))
const { chromium } = packages('playwright-core')
const axe = await readFile(packages.resolve('axe-core/axe.min.js'), 'utf8')

const browser = await chromium.launch({
  executablePath: process.argv[2],
  headless: true,
  args: [
    '--no-sandbox', // it runs as root in containers, and only shows pages of ours
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-dev-shm-usage',
    '--disable-gpu',
    '--disable-quic',
    '--disable-sync',
    '--no-first-run',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--autoplay-policy=no-user-gesture-required',
    ...process.argv.slice(3).map((path) => `--use-file-for-fake-audio-capture=${path}`),
  ],
})

let context = null
let page = null
let pages = []
let complaints = []

function noteRecordings() {
  window.recorded = [] // {bitrate, pieces} for each recorder, in order
  const Plain = window.MediaRecorder
  window.MediaRecorder = class extends Plain {
    constructor(...args) {
      super(...args)
      const pieces = []
      window.recorded.push({ bitrate: args[1].audioBitsPerSecond, pieces })
      this.addEventListener('dataavailable', (event) => pieces.push(event.data))
    }
  }
}

async function openTab(url) {
  page = await context.newPage()
  pages.push(page)
  page.on('pageerror', (error) => complaints.push(error.stack ?? String(error)))
  page.on('console', (message) => {
    // That a request has failed is what the tests are about: Chromium says so by itself.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load')) complaints.push(message.text())
  })
  page.on('dialog', (dialog) => dialog.accept())
  await page.goto(url)
}

/** Looks from outside: what waits inside the page would be code from a string, which its policy forbids. */
async function until(script, seconds) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const value = await page.evaluate(script)
    if (value) return value
    if (Date.now() > deadline) throw new Error(`never so: ${script}\n${await page.innerText('body')}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

const paths = new Map() // of dropped files, by the address under which the page gets them

const commands = {
  async open({ url, scheme = 'light', size = [800, 600], scale = 1, answers = {}, headers = {} }) {
    const [width, height] = size
    context = await browser.newContext({
      colorScheme: scheme,
      viewport: { width, height },
      deviceScaleFactor: scale,
      extraHTTPHeaders: headers,
      permissions: ['clipboard-read', 'clipboard-write', 'microphone'],
    })
    pages = []
    complaints = []
    await context.addInitScript(noteRecordings)
    for (const [address, path] of Object.entries(answers)) {
      const headers = { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'text/javascript' }
      await context.route(address, (route) => route.fulfill({ path, headers }))
    }
    await openTab(url)
  },
  reload: () => page.reload(),
  close: () => context.close(),
  second: () => openTab(page.url()),
  first: () => {
    page = pages[0]
  },
  last: () => {
    page = pages.at(-1)
  },
  end: () => page.close({ runBeforeUnload: false }),
  offline: ({ on }) => context.setOffline(on),
  async choose({ button, paths: chosen }) {
    const waiting = page.waitForEvent('filechooser')
    await page.getByRole('button', { name: button }).click()
    await (await waiting).setFiles(chosen)
  },
  async drop({ paths: dropped, date = 0 }) {
    await page.route('**/dropped/*', (route) => route.fulfill({ path: paths.get(new URL(route.request().url()).pathname) }))
    const names = dropped.map((path) => {
      paths.set(`/dropped/${encodeURIComponent(basename(path))}`, path)
      return basename(path)
    })
    const data = await page.evaluateHandle(async ([files, lastModified]) => {
      const transfer = new DataTransfer()
      for (const name of files) {
        const blob = await (await fetch(`/dropped/${encodeURIComponent(name)}`)).blob()
        transfer.items.add(new File([blob], name, { type: blob.type, lastModified }))
      }
      return transfer
    }, [names, date])
    for (const type of ['dragenter', 'dragover', 'drop']) await page.dispatchEvent('#drop', type, { dataTransfer: data })
  },
  click: ({ name }) => page.getByRole('button', { name }).first().click(),
  press: ({ key }) => page.keyboard.press(key),
  read: ({ script }) => page.evaluate(script),
  until: ({ script, seconds = 20 }) => until(script, seconds),
  async axe() {
    await page.evaluate(axe)
    return page.evaluate(async () => {
      const { violations } = await window.axe.run({ resultTypes: ['violations'] })
      return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((it) => it.html).join(' ')}`)
    })
  },
  async shoot({ path }) {
    await page.mouse.move(0, 0)
    await page.screenshot({ path, animations: 'disabled' })
  },
  complaints: () => complaints.splice(0),
}

await serve((command) => commands[command.do](command))
await browser.close()
