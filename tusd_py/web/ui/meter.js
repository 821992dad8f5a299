// How loud it is, so that a person sees that the microphone hears them.

const BAR = 3
const GAP = 3
const FLOOR = 0.04 // of the height: silence is a line, not nothing
const QUIET = 100 // milliseconds between two bars

export class Meter {
  #canvas
  #context = null
  #frame = 0
  #levels = []
  #notedAt = 0

  constructor(canvas) {
    this.#canvas = canvas
  }

  start(stream) {
    this.#context = new AudioContext()
    const analyser = this.#context.createAnalyser()
    analyser.fftSize = 2048
    this.#context.createMediaStreamSource(stream).connect(analyser)
    const wave = new Float32Array(analyser.fftSize)
    this.#levels = []
    const step = (now) => {
      this.#frame = requestAnimationFrame(step)
      if (now - this.#notedAt < QUIET) return
      this.#notedAt = now
      analyser.getFloatTimeDomainData(wave)
      this.#draw(Math.sqrt(wave.reduce((sum, it) => sum + it * it, 0) / wave.length))
    }
    this.#frame = requestAnimationFrame(step)
  }

  stop() {
    cancelAnimationFrame(this.#frame)
    this.#context?.close()
    this.#context = null
  }

  #draw(loudness) {
    const canvas = this.#canvas
    const scale = window.devicePixelRatio || 1
    const [width, height] = [canvas.clientWidth, canvas.clientHeight]
    if (canvas.width !== Math.round(width * scale)) {
      canvas.width = Math.round(width * scale)
      canvas.height = Math.round(height * scale)
    }
    const room = Math.floor(width / (BAR + GAP))
    const silence = Array(Math.max(0, room - this.#levels.length)).fill(0)
    this.#levels = [...silence, ...this.#levels, Math.min(1, loudness * 4)].slice(-room)
    const paint = canvas.getContext('2d')
    paint.setTransform(scale, 0, 0, scale, 0, 0)
    paint.clearRect(0, 0, width, height)
    paint.fillStyle = getComputedStyle(canvas).color
    const left = width - this.#levels.length * (BAR + GAP)
    this.#levels.forEach((level, place) => {
      const tall = Math.max(FLOOR, level) * height
      paint.beginPath()
      paint.roundRect(left + place * (BAR + GAP), (height - tall) / 2, BAR, tall, BAR / 2)
      paint.fill()
    })
  }
}
