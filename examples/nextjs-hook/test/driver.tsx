// The hook in a component, in Node, told what to do by lines of JSON on standard input. Each is answered
// by a line: {"value": ...} or {"error": ...}.
//
//   node driver.js URL_STORAGE_FILE
//
//   {do: "render", options}      a page with the hook; whatever was rendered before is left
//   {do: "leave"}                the page is left
//   {do: "start", path} {do: "pause"} {do: "resume"} {do: "retry"} {do: "cancel"} {do: "previous", path}
//   {do: "hesitate", path}       a file is chosen, and the upload paused before it has begun
//   {do: "online"}               the browser is back on the network
//   {do: "until", status}        answered with the state, once its status is one of these
//   {do: "done"}                 the results that onDone was told, over all pages
//   {do: "show", options}        the text of the example's own component

import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { parseHTML } from 'linkedom'
import * as tus from 'tus-js-client'
import type { UploadActions, UploadResult, UploadState, UseUploadOptions } from '../src/useUpload.js'

const { window, document } = parseHTML('<!doctype html><html><body><main></main></body></html>')
Object.assign(globalThis, { window, document })
if (!('navigator' in globalThis)) Object.assign(globalThis, { navigator: { userAgent: 'node' } }) // before Node 21

// React looks for a document when it is loaded.
const { useEffect } = await import('react')
const { createRoot } = await import('react-dom/client')
const { useUpload } = await import('../src/useUpload.js')
const { Uploader } = await import('../src/Uploader.js')

type Options = Omit<UseUploadOptions, 'urlStorage' | 'onDone'>
type Command = { do: string; options: Options; path: string; status: string[] }

const main = document.querySelector('main')!
// There in Node, and in no declaration.
const { FileUrlStorage } = tus as unknown as { FileUrlStorage: new (path: string) => tus.UrlStorage }
const urlStorage = new FileUrlStorage(process.argv[2]!)
const done: UploadResult[] = []
let root = createRoot(main)
let seen: (UploadState & UploadActions) | null = null
let wake: () => void = () => {}

function Page({ options }: { options: Options }) {
  const upload = useUpload({ ...options, urlStorage, onDone: (result) => done.push(result) })
  useEffect(() => {
    seen = upload
    wake()
  })
  return null
}

function leave() {
  root.unmount()
  root = createRoot(main)
  seen = null
}

async function until(isSo: () => boolean) {
  while (!isSo()) await new Promise<void>((resolve) => (wake = resolve))
}

async function hook(): Promise<UploadState & UploadActions> {
  await until(() => seen !== null)
  return seen!
}

// In Node tus-js-client takes a Buffer where a browser has a File.
async function open(path: string): Promise<Blob> {
  return (await readFile(path)) as unknown as Blob
}

function report({ status, sent, total, resumed, url, error, result }: UploadState) {
  return { status, sent, total, resumed, url, error: error && error.message, result }
}

async function obey(command: Command): Promise<unknown> {
  switch (command.do) {
    case 'render':
      leave()
      root.render(<Page options={command.options} />)
      return report(await hook())
    case 'leave':
      return leave()
    case 'start':
      return (await hook()).start(await open(command.path))
    case 'hesitate': {
      const { start, pause } = await hook()
      const started = start(await open(command.path))
      await pause()
      return started
    }
    case 'pause':
      return (await hook()).pause()
    case 'resume':
      return (await hook()).resume()
    case 'retry':
      return (await hook()).retry()
    case 'cancel':
      return (await hook()).cancel()
    case 'previous':
      return (await (await hook()).findPrevious(await open(command.path))).map((it) => it.uploadUrl)
    case 'online':
      return window.dispatchEvent(new window.Event('online'))
    case 'until':
      await until(() => seen !== null && command.status.includes(seen.status))
      return report(seen!)
    case 'done':
      return done
    case 'show':
      leave()
      root.render(<Uploader {...command.options} />)
      await new Promise((resolve) => setTimeout(resolve))
      return main.innerHTML
    default:
      throw new Error(`no such command: ${command.do}`)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer: unknown
  try {
    answer = { value: (await obey(JSON.parse(line))) ?? null }
  } catch (error) {
    answer = { error: error instanceof Error ? error.stack : String(error) }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
process.exit(0)
