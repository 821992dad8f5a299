'use client'

// A file input, a bar, and the buttons that make sense at the moment. Style it as you like.

import { useId } from 'react'
import { type UploadStatus, type UseUploadOptions, useUpload } from './useUpload.js'

const SAYS: Record<UploadStatus, string> = {
  idle: 'No file chosen.',
  uploading: 'Uploading.',
  waiting: 'The connection broke. Trying again.',
  paused: 'Paused. What has arrived is kept.',
  failed: 'It did not work.',
  done: 'Done.',
}

export function Uploader(props: UseUploadOptions) {
  const upload = useUpload(props)
  const label = useId()
  const isRunning = upload.status === 'uploading' || upload.status === 'waiting'

  return (
    <section aria-labelledby={label}>
      <h2 id={label}>Upload</h2>
      <input
        type="file"
        aria-label="File"
        disabled={isRunning}
        onChange={(event) => {
          const file = event.target.files?.[0]
          if (file) void upload.start(file)
        }}
      />
      {upload.total !== null && (
        <progress aria-label="Uploaded" value={upload.sent} max={upload.total || 1} />
      )}
      <p role="status">
        {SAYS[upload.status]}
        {upload.status === 'failed' && ` ${upload.error?.message}`}
      </p>
      {isRunning && <button onClick={() => void upload.pause()}>Pause</button>}
      {upload.status === 'paused' && <button onClick={upload.resume}>Resume</button>}
      {upload.status === 'failed' && <button onClick={upload.retry}>Try again</button>}
      {(isRunning || upload.status === 'paused') && (
        <button onClick={() => void upload.cancel()}>Cancel</button>
      )}
      {upload.result?.location && <a href={upload.result.location}>Open the file</a>}
    </section>
  )
}
