// What this browser has uploaded, and what it has begun: both in localStorage.

const KEY = 'tusd-py.recent'
const LONGEST = 50

function read(text) {
  try {
    const found = JSON.parse(text)
    return Array.isArray(found) ? found.filter((it) => typeof it?.name === 'string') : []
  } catch {
    return []
  }
}

/** Finished uploads, the newest first: {id, name, type, size, at, address, seconds}. */
export function recent() {
  try {
    return read(localStorage.getItem(KEY))
  } catch {
    return [] // the browser keeps nothing for this page
  }
}

function write(entries) {
  try {
    localStorage.setItem(KEY, JSON.stringify(entries.slice(0, LONGEST)))
  } catch {
    // The list is a convenience: the upload has arrived all the same.
  }
}

export const remember = (entry) => write([entry, ...recent().filter((it) => it.id !== entry.id)])
export const forget = (id) => write(recent().filter((it) => it.id !== id))
export const forgetAll = () => write([])

const urls = () => window.tus.defaultOptions.urlStorage

/** Files that were begun here and are not finished, as tus-js-client has noted them; not those of other pages. */
export async function unfinished(endpoint) {
  const found = await urls().findAllUploads()
  return found.filter((it) => it.uploadUrl && it.metadata?.filename && it.urlStorageKey.includes(`-${endpoint}::`))
}

/** Whether it is still noted. */
export async function isNoted(key) {
  return (await urls().findAllUploads()).some((it) => it.urlStorageKey === key)
}

/** The keys under which the same file was begun before. */
export async function keysOf(file, endpoint) {
  const fingerprint = await window.tus.defaultOptions.fingerprint(file, { endpoint })
  const found = await urls().findUploadsByFingerprint(fingerprint)
  return found.map((it) => it.urlStorageKey)
}

export const abandon = (key) => urls().removeUpload(key)

/** tus-js-client's own storage, telling `onKey` under which key an upload is noted; it may fail. */
export function notebook(onKey) {
  return {
    findAllUploads: () => urls().findAllUploads(),
    findUploadsByFingerprint: (fingerprint) => urls().findUploadsByFingerprint(fingerprint),
    removeUpload: (key) => urls().removeUpload(key),
    addUpload: async (fingerprint, upload) => {
      try {
        const key = await urls().addUpload(fingerprint, upload)
        onKey(key)
        return key
      } catch {
        return null // full: it cannot be found after a reload, and goes on all the same
      }
    },
  }
}
