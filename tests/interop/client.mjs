// tus-js-client in Node: `node client.mjs URL_STORAGE_FILE`, then commands (see driver.mjs).
//
// A source is {kind: "file" | "buffer" | "stream", path}.

import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import * as tus from 'tus-js-client'
import { createDriver } from './driver.mjs'
import { serve } from './lines.mjs'

const sources = {
  file: (path) => createReadStream(path),
  buffer: (path) => readFile(path),
  // A stream of unknown origin and length, not one that tus-js-client could open again.
  stream: (path) => Readable.from(createReadStream(path), { objectMode: false }),
}

const handle = createDriver({
  tus,
  openSource: ({ kind, path }) => sources[kind](path),
  urlStorage: new tus.FileUrlStorage(process.argv[2]),
})

await serve(handle)
process.exit(0) // an upload that is still running ends here, as with a closed program
