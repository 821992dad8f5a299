// Commands come as lines of JSON on standard input and are answered in order on standard output.

import { createInterface } from 'node:readline'

export async function serve(handle) {
  for await (const line of createInterface({ input: process.stdin })) {
    let answer
    try {
      answer = { value: (await handle(JSON.parse(line))) ?? null }
    } catch (error) {
      answer = { error: error.stack ?? String(error) }
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
}
