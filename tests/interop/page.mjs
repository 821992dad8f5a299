// tus-js-client in a page. A source is {kind: "file" | "buffer" | "stream", path, name}.

import { createDriver } from './driver.mjs'

const sources = {
  // The same name, size, type and date after a reload: the same file, as a person would choose it again.
  file: (blob, name) => new File([blob], name, { type: 'application/octet-stream', lastModified: 1 }),
  buffer: (blob) => blob,
  stream: (blob) => blob.stream().getReader(),
}

async function openSource({ kind, path, name }) {
  const response = await fetch(path)
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return sources[kind](await response.blob(), name)
}

window.handle = createDriver({ tus: window.tus, openSource })
