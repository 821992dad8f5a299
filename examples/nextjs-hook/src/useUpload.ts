'use client'

// A file on its way to tusd-py, as a React hook around tus-js-client.
//
// It goes on after every break: of the connection (by itself), of the network (when the browser is online
// again), of the page (the same file, chosen again, continues where it was).

import { useCallback, useEffect, useRef, useState } from 'react'
import * as tus from 'tus-js-client'

export type UploadStatus = 'idle' | 'uploading' | 'waiting' | 'paused' | 'failed' | 'done'

/** What the server made of the file. `location` is where it is served; null if the server does not tell. */
export interface UploadResult {
  id: string
  url: string
  location: string | null
}

export interface UploadState {
  /** `waiting`: something went wrong, and the next attempt is coming. `failed`: none is; see `retry`. */
  status: UploadStatus
  /** Bytes. `sent` may fall back: what a broken connection swallowed is sent again. */
  sent: number
  total: number | null
  /** Whether an earlier upload of the same file was found and continued. */
  resumed: boolean
  /** Where the upload is, from its creation on: tell your application now, not at the end. */
  url: string | null
  error: Error | null
  result: UploadResult | null
}

export interface UploadActions {
  /** Begins, or continues an upload of the same file. Whatever this hook was sending before is paused. */
  start(file: File | Blob): Promise<void>
  /** Stops sending. What has arrived stays, and `resume` continues, in this page or after a reload. */
  pause(): Promise<void>
  resume(): void
  /** After `failed`: asks the server how far it is, and continues. */
  retry(): void
  /** Stops, and removes the upload from the server. */
  cancel(): Promise<void>
  /** Unfinished uploads of a file that this browser remembers, the latest first. */
  findPrevious(file: File | Blob): Promise<tus.PreviousUpload[]>
}

/** tus-js-client's own options, but for the callbacks, which the hook needs; and one for the end. */
export interface UseUploadOptions
  extends Omit<
    tus.UploadOptions,
    'endpoint' | 'onProgress' | 'onSuccess' | 'onError' | 'onShouldRetry' | 'onUploadUrlAvailable'
  > {
  endpoint: string
  onDone?: (result: UploadResult) => void
}

const IDLE: UploadState = {
  status: 'idle',
  sent: 0,
  total: null,
  resumed: false,
  url: null,
  error: null,
  result: null,
}

/** What the server refuses will be refused again, but for a stale offset, a busy upload, a spoilt chunk. */
const PASSING = new Set([409, 423, 460])

/** One upload. `isWanted`: it is to be sent, and either is or soon will be. `hasBegun`: it was, once. */
interface Sending {
  upload: tus.Upload
  isWanted: boolean
  hasBegun: boolean
  isDone: boolean
}

export function useUpload(options: UseUploadOptions): UploadState & UploadActions {
  const [state, setState] = useState(IDLE)
  const current = useRef<Sending | null>(null)
  const latest = useRef(options)
  useEffect(() => {
    latest.current = options
  })

  const update = useCallback((sending: Sending, change: Partial<UploadState>) => {
    // A request that was on its way when its upload was replaced has nothing to say any more.
    if (current.current === sending) setState((before) => ({ ...before, ...change }))
  }, [])

  // Looks for an earlier upload of the file first, unless it was paused or replaced meanwhile.
  const begin = useCallback(
    async (sending: Sending) => {
      const { upload } = sending
      const [found] = await latestFirst(upload)
      if (current.current !== sending || !sending.isWanted || sending.hasBegun) return
      sending.hasBegun = true
      if (found) {
        upload.resumeFromPreviousUpload(found)
        update(sending, { resumed: true, url: found.uploadUrl })
      }
      upload.start()
    },
    [update],
  )

  const start = useCallback(
    async (file: File | Blob) => {
      const previous = current.current
      const { onDone, ...given } = latest.current
      const upload: tus.Upload = new tus.Upload(file, {
        ...given,
        metadata: { ...describe(file), ...given.metadata },
        removeFingerprintOnSuccess: true,
        onUploadUrlAvailable: () => update(sending, { url: upload.url }),
        onProgress: (sent, total) => update(sending, { status: 'uploading', sent, total }),
        onShouldRetry: (error) => {
          const passes = mayPass(error)
          if (passes) update(sending, { status: 'waiting', error })
          return passes
        },
        onError: (error) => {
          sending.isWanted = false
          update(sending, { status: 'failed', error })
        },
        onSuccess: ({ lastResponse }) => {
          sending.isDone = true
          const result = readResult(upload, lastResponse)
          update(sending, { status: 'done', error: null, result })
          if (current.current === sending) onDone?.(result)
        },
      })
      const sending: Sending = { upload, isWanted: true, hasBegun: false, isDone: false }
      current.current = sending
      setState({ ...IDLE, status: 'uploading', total: sizeOf(file) })
      await previous?.upload.abort()
      await begin(sending)
    },
    [begin, update],
  )

  const pause = useCallback(async () => {
    const sending = current.current
    if (!sending?.isWanted || sending.isDone) return
    sending.isWanted = false
    await sending.upload.abort()
    if (!sending.isWanted) update(sending, { status: 'paused' })
  }, [update])

  const resume = useCallback(() => {
    const sending = current.current
    if (!sending || sending.isWanted) return
    sending.isWanted = true
    update(sending, { status: 'uploading', error: null })
    if (sending.hasBegun) sending.upload.start()
    else void begin(sending)
  }, [begin, update])

  const cancel = useCallback(async () => {
    const sending = current.current
    current.current = null
    setState(IDLE)
    await sending?.upload.abort(true)
  }, [])

  const findPrevious = useCallback(
    (file: File | Blob) => latestFirst(new tus.Upload(file, latest.current)),
    [],
  )

  // tus-js-client does not try again while the browser is offline; this is the moment to.
  useEffect(() => {
    if (state.status !== 'failed' || !isOfNetwork(state.error)) return
    window.addEventListener('online', resume)
    return () => window.removeEventListener('online', resume)
  }, [state.status, state.error, resume])

  // A page that is left sends nothing more, and leaves what has arrived where it is.
  useEffect(
    () => () => {
      void current.current?.upload.abort()
      current.current = null
    },
    [],
  )

  return { ...state, start, pause, resume, retry: resume, cancel, findPrevious }
}

function describe(file: File | Blob): Record<string, string> {
  const name = 'name' in file ? { filename: file.name } : {}
  return file.type ? { ...name, filetype: file.type } : name
}

function sizeOf(file: File | Blob): number | null {
  return file.size ?? null
}

async function latestFirst(upload: tus.Upload): Promise<tus.PreviousUpload[]> {
  const found = await upload.findPreviousUploads()
  return found.sort((a, b) => Date.parse(b.creationTime) - Date.parse(a.creationTime))
}

function isOfNetwork(error: Error | null): boolean {
  return error instanceof tus.DetailedError && !error.originalResponse
}

function mayPass(error: tus.DetailedError): boolean {
  const status = error.originalResponse?.getStatus() ?? 0
  const isOnline = typeof navigator === 'undefined' || navigator.onLine !== false
  return isOnline && (status < 400 || status >= 500 || PASSING.has(status))
}

function readResult(upload: tus.Upload, last: tus.HttpResponse): UploadResult {
  const url = upload.url ?? ''
  const location = last.getHeader('Content-Location')
  return {
    id: new URL(url).pathname.split('/').filter(Boolean).pop() ?? '',
    url,
    location: location ? new URL(location, url).href : null,
  }
}
