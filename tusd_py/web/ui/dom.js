// Small things about elements.

export const find = (id) => document.getElementById(id)

/** A copy of a template's first element. */
export const stamp = (id) => find(id).content.firstElementChild.cloneNode(true)

/** The element in `within` that is marked data-`name`. */
export const part = (within, name) => within.querySelector(`[data-${name}]`)

/** Set an element's text where it differs: what does not change is not read out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text
}

export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use')
  use.setAttribute('href', `#i-${name}`)
  svg.setAttribute('aria-hidden', 'true')
  svg.append(use)
  return svg
}

/** A button or, with `href`, a link: `label` is shown, `about` tells what it is for. */
export function control({ label, about, name, onClick, href, isPlain = true }) {
  const element = document.createElement(href ? 'a' : 'button')
  if (href) Object.assign(element, { href, target: '_blank', rel: 'noopener' })
  else element.type = 'button'
  if (isPlain) element.className = 'quiet'
  const text = document.createElement('span')
  text.textContent = label
  element.append(icon(name), text)
  element.setAttribute('aria-label', `${label}: ${about}`)
  if (onClick) element.addEventListener('click', onClick)
  return element
}

/** Tell those who do not see it. */
export function announce(text) {
  say(find('news'), text)
}

/** Ask before something is lost; true for yes. */
export function ask(text) {
  const dialog = find('question')
  find('question-text').textContent = text
  dialog.returnValue = 'no'
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true })
  })
}
