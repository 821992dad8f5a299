// Chromium with an uploading page: `node browser.mjs CHROMIUM`, then commands.
//
//   {do: "open", url}   a fresh profile with one page
//   {do: "reload"}      as a person does it: what runs in the page is gone, its storage stays
//   {do: "close"}       the profile is gone
//   any other           is answered by the page (see driver.mjs)

import { chromium } from 'playwright-core'
import { serve } from './lines.mjs'

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
  ],
})

let context = null
let page = null

const ready = () => page.waitForFunction(() => window.handle !== undefined)

const commands = {
  async open({ url }) {
    context = await browser.newContext()
    page = await context.newPage()
    page.on('pageerror', (error) => process.stderr.write(`${error.stack}\n`))
    page.on('console', (message) => process.stderr.write(`${message.text()}\n`))
    await page.goto(url)
    await ready()
  },
  async reload() {
    await page.reload()
    await ready()
  },
  async close() {
    await context.close()
  },
}

await serve((command) => {
  const own = commands[command.do]
  return own ? own(command) : page.evaluate((it) => window.handle(it), command)
})
await browser.close()
