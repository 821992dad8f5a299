// Forms as a page sends them. A command is {do: "send", url, parts} or {do: "post", url, json}; a part is
// [name, text], or [name, {path, name, type}] for a file to be fetched first. The answer is {status, json}.

const content = async ({ path, name, type }) => {
  const response = await fetch(path)
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  const blob = new Blob([await response.blob()], { type })
  return name ? new File([blob], name, { type }) : blob
}

const answer = async (response) => ({ status: response.status, json: await response.json() })

const commands = {
  async send({ url, parts }) {
    const form = new FormData()
    for (const [name, value] of parts) {
      form.append(name, typeof value === 'string' ? value : await content(value))
    }
    return answer(await fetch(url, { method: 'POST', body: form }))
  },
  async post({ url, json }) {
    const headers = { 'Content-Type': 'application/json' }
    return answer(await fetch(url, { method: 'POST', headers, body: JSON.stringify(json) }))
  },
}

window.handle = (command) => commands[command.do](command)
