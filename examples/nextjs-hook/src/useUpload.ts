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

export function useUpload(options: UseUploadOptions): UploadState & UploadActions {
  const [state, setState] = useState(IDLE)
  const current = useRef<tus.Upload | null>(null)
  const latest = useRef(options)
  useEffect(() => {
    latest.current = options
  })

  const update = useCallback((upload: tus.Upload, change: Partial<UploadState>) => {
    // A request that was on its way when its upload was replaced has nothing to say any more.
    if (current.current === upload) setState((before) => ({ ...before, ...change }))
  }, [])

  const start = useCallback(
    async (file: File | Blob) => {
      const previous = current.current
      const { onDone, ...given } = latest.current
      const upload: tus.Upload = new tus.Upload(file, {
        ...given,
        metadata: { ...describe(file), ...given.metadata },
        removeFingerprintOnSuccess: true,
        onUploadUrlAvailable: () => update(upload, { url: upload.url }),
        onProgress: (sent, total) => update(upload, { status: 'uploading', sent, total }),
        onShouldRetry: (error) => {
          const passes = mayPass(error)
          if (passes) update(upload, { status: 'waiting', error })
          return passes
        },
        onError: (error) => update(upload, { status: 'failed', error }),
        onSuccess: ({ lastResponse }) => {
          const result = readResult(upload, lastResponse)
          update(upload, { status: 'done', error: null, result })
          if (current.current === upload) onDone?.(result)
        },
      })
      current.current = upload
      setState({ ...IDLE, status: 'uploading', total: sizeOf(file) })
      await previous?.abort()
      const [found] = await latestFirst(upload)
      if (current.current !== upload) return // replaced, paused or cancelled meanwhile
      if (found) {
        upload.resumeFromPreviousUpload(found)
        update(upload, { resumed: true, url: found.uploadUrl })
      }
      upload.start()
    },
    [update],
  )

  const pause = useCallback(async () => {
    const upload = current.current
    if (!upload) return
    await upload.abort()
    update(upload, { status: 'paused' })
  }, [update])

  const resume = useCallback(() => {
    const upload = current.current
    if (!upload) return
    update(upload, { status: 'uploading', error: null })
    upload.start()
  }, [update])

  const cancel = useCallback(async () => {
    const upload = current.current
    current.current = null
    setState(IDLE)
    await upload?.abort(true)
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
      void current.current?.abort()
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
