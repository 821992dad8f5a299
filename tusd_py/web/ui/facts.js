// What the server has told the page about itself, in attributes of <html>.

const told = document.documentElement.dataset

/** Addresses end with a slash; `published` is '' where finished files are not served; `maxSize` in bytes. */
export const facts = Object.freeze({
  endpoint: told.endpoint,
  published: told.published,
  maxSize: told.maxSize ? Number(told.maxSize) : Infinity,
  termination: Boolean(told.termination),
})
