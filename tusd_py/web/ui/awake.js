// A phone whose screen goes dark may stop listening: while it records, it is asked to stay awake.

let lock = null
let isWanted = false

async function ask() {
  if (!isWanted || lock || !navigator.wakeLock || document.hidden) return
  try {
    lock = await navigator.wakeLock.request('screen')
    lock.addEventListener('release', () => {
      lock = null // also when the page was hidden
    })
    if (!isWanted) lock.release()
  } catch {
    // It may refuse, on a low battery for instance: recording goes on as long as it goes on.
  }
}

document.addEventListener('visibilitychange', ask)

export function stayAwake(wanted) {
  isWanted = wanted
  if (wanted) ask()
  else lock?.release()
}
