// Recordings, kept in this browser (IndexedDB) until the server has them whole.

const NAME = 'tusd-py'
let opening = null

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1)
    request.onupgradeneeded = () => {
      request.result.createObjectStore('recordings', { keyPath: 'id' })
      request.result.createObjectStore('pieces', { keyPath: ['recording', 'index'] })
    }
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  return opening
}

/** Run `work(recordings, pieces)` in one transaction; settled when it is stored, with what `work` asked for. */
async function transact(mode, work) {
  const database = await open()
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(['recordings', 'pieces'], mode)
    const request = work(transaction.objectStore('recordings'), transaction.objectStore('pieces'))
    transaction.oncomplete = () => resolve(request?.result)
    transaction.onabort = () => reject(transaction.error)
  })
}

const piecesOf = (id) => IDBKeyRange.bound([id, 0], [id, Infinity])

/** Every recording that has not arrived: {id, name, type, at, url, seconds}. */
export const all = () => transact('readonly', (recordings) => recordings.getAll())

/** One of them; undefined when it is not here any more. */
export const find = (id) => transact('readonly', (recordings) => recordings.get(id))

/** Put it down, or what has changed about it. */
export const save = (recording) => transact('readwrite', (recordings) => recordings.put(recording))

/** Add its piece number `index`. */
export const append = (recording, index, blob) =>
  transact('readwrite', (recordings, pieces) => {
    recordings.put(recording)
    pieces.put({ recording: recording.id, index, blob })
  })

/** Its pieces, in order, up to the first that is missing. */
export async function load(id) {
  const found = await transact('readonly', (_, pieces) => pieces.getAll(piecesOf(id)))
  return found.filter((piece, place) => piece.index === place).map((piece) => piece.blob)
}

export const remove = (id) =>
  transact('readwrite', (recordings, pieces) => {
    recordings.delete(id)
    pieces.delete(piecesOf(id))
  })
