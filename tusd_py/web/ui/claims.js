// Which tab has which upload: two at work on one would cut each other off.

const releases = new Map()

/**
 * Wait until no other tab has `name`, then have it until `release` or the page's end.
 * Where the browser cannot say (no secure context), it is had at once.
 */
export function claim(name) {
  if (!navigator.locks || releases.has(name)) return Promise.resolve()
  return new Promise((resolve) => {
    navigator.locks.request(`tusd-py ${name}`, () => {
      resolve()
      return new Promise((release) => releases.set(name, release))
    })
  })
}

/** Let others have it. */
export function release(name) {
  releases.get(name)?.()
  releases.delete(name)
}
