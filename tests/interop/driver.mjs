// What the tests ask of tus-js-client, the same in Node and in a page.
//
// A host (client.mjs, page.mjs) says how to open a source and where URLs are stored, and gets a
// function that takes one command and answers it:
//
//   {do: "start", source, options, ...}                start an upload; answered once it runs
//   {do: "pause"} {do: "continue"}                     as a person does it
//   {do: "terminate"}                                  abort(true); answered when the promise is settled
//   {do: "stored"}                                     answered when the URL storage knows the upload
//   {do: "result"}                                     answered when it succeeded, failed or paused
//
// `options` are tus-js-client's own. With `resume`, a previous upload is taken up from the URL
// storage if one is found. With `pauseAt`, it pauses, once, when that many bytes are accepted. With
// `withCredentials`, a page sends its cookies.

// After the end, time for anything that must not happen any more, such as a second success.
const QUIET_MS = 50

class Transfer {
  constructor(tus, source, { options, pauseAt, withCredentials }) {
    this.report = { outcome: null, url: null, successes: 0, errors: [], accepted: [], found: 0 }
    this.wakers = []
    this.upload = new tus.Upload(source, {
      ...options,
      onBeforeRequest: (request) => {
        if (withCredentials) request.getUnderlyingObject().withCredentials = true
      },
      onSuccess: () => {
        this.report.successes += 1
        this.settle('success')
      },
      onError: (error) => {
        this.report.errors.push(String(error))
        this.settle('error')
      },
      onChunkComplete: (_, accepted) => {
        this.report.accepted.push(accepted)
        if (pauseAt && accepted >= pauseAt) {
          pauseAt = null
          this.pause()
        }
      },
    })
  }

  settle(outcome) {
    this.report.outcome = outcome
    for (const wake of this.wakers.splice(0)) wake()
  }

  async pause() {
    await this.upload.abort()
    this.settle('paused')
  }

  continue() {
    this.report.outcome = null
    this.upload.start()
  }

  async stored() {
    while ((await this.upload.findPreviousUploads()).length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async result() {
    if (this.report.outcome === null) await new Promise((resolve) => this.wakers.push(resolve))
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS))
    return { ...this.report, url: this.upload.url }
  }
}

export function createDriver({ tus, openSource, urlStorage }) {
  let transfer = null

  const commands = {
    async start(job) {
      const storage = urlStorage ? { urlStorage } : {}
      const options = { ...storage, ...job.options }
      transfer = new Transfer(tus, await openSource(job.source), { ...job, options })
      if (job.resume) {
        const previous = await transfer.upload.findPreviousUploads()
        transfer.report.found = previous.length
        if (previous.length > 0) transfer.upload.resumeFromPreviousUpload(previous[0])
      }
      transfer.upload.start()
    },
    pause: () => transfer.pause(),
    continue: () => transfer.continue(),
    terminate: () => transfer.upload.abort(true),
    stored: () => transfer.stored(),
    result: () => transfer.result(),
  }

  return async (command) => (await commands[command.do](command)) ?? null
}
