// Numbers and failures as people read them.

const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB']

/** Bytes in units of 1024, with as many digits as tell something. */
export function formatSize(bytes) {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 || Number.isInteger(value) ? 0 : 1
  const name = bytes === 1 ? 'byte' : UNITS[unit]
  return `${value.toFixed(digits)} ${name}`
}

/** 65 seconds are 1:05. */
export function formatClock(seconds) {
  const whole = Math.floor(seconds)
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60]
  const tail = String(whole % 60).padStart(2, '0')
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`
}

/** How long it will take, as exactly as it can be known. */
export function formatLeft(seconds) {
  if (seconds < 1) return 'a moment left'
  if (seconds < 60) return `${Math.ceil(seconds)} s left`
  if (seconds < 3600) return `${Math.round(seconds / 60)} min left`
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h left`
  return `${Math.round(seconds / 86400)} days left`
}

/** When something was, from a number of milliseconds: the time today, the date before. */
export function formatWhen(milliseconds) {
  const then = new Date(milliseconds)
  const isToday = then.toDateString() === new Date().toDateString()
  const clock = then.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
  return isToday ? clock : `${then.toLocaleDateString([], { day: 'numeric', month: 'short' })}, ${clock}`
}

/** Something this page has found out itself; its message is for people. */
export class Problem extends Error {}

/** A failed request: its method, the answer's status (0 without one) and error code. */
export class Failure extends Problem {
  constructor({ method, status, code }) {
    super(`${method} ${status} ${code}`)
    Object.assign(this, { method, status, code })
  }

  /** What tus-js-client reports, as one of these; other errors stay as they are. */
  static from(error) {
    if (error.causingError instanceof Problem) return error.causingError
    if (!error.originalRequest) return error
    return Failure.of(error.originalRequest, error.originalResponse)
  }

  static of(request, response) {
    const body = response?.getBody() ?? ''
    const [code] = body.match(/^ERR_[A-Z_]+/) ?? ['']
    return new Failure({ method: request.getMethod(), status: response?.getStatus() ?? 0, code })
  }

  /** Whether the same request may succeed later. */
  get isPassing() {
    if (this.status === 0 || this.status >= 500) return true
    if ([408, 409, 423, 425, 429].includes(this.status)) return true
    return [404, 410].includes(this.status) && this.method === 'PATCH' // the next HEAD sorts it out
  }
}

const BY_CODE = {
  ERR_MAX_SIZE_EXCEEDED: 'It is larger than this server takes.',
  ERR_INSUFFICIENT_STORAGE: 'The server has no space left.',
  ERR_UPLOAD_REJECTED: 'The server does not take this file.',
  ERR_UPLOAD_STOPPED: 'The server has stopped this upload and removed it.',
  ERR_ORIGIN_NOT_ALLOWED: 'The server does not take uploads from this page.',
  ERR_SERVER_SHUTDOWN: 'The server is being restarted.',
}
const BY_STATUS = {
  0: 'The connection broke.',
  401: 'The server wants you to sign in first. Reload the page to do that.',
  403: 'The server does not allow this.',
  404: 'There is no place for uploads at this address.',
  409: 'The upload has moved on elsewhere.',
  413: 'It is larger than the server, or something in between, takes.',
  423: 'Something else is still writing to this upload.',
  429: 'The server is asking for a pause.',
  502: 'The server cannot be reached at the moment.',
  503: 'The server is not available at the moment.',
  504: 'The server does not answer.',
  507: 'The server has no space left.',
}

/** What went wrong, in a sentence. */
export function explain(error) {
  if (!(error instanceof Failure)) return error.message
  const known = BY_CODE[error.code] ?? BY_STATUS[error.status]
  if (known) return known
  if (error.status < 300) return 'The answer did not come from an upload server. Is there a sign-in page in between?'
  if (error.status >= 500) return 'The server has a problem.'
  return `The server refused it (${error.code || error.status}).`
}
