// The page's one event stream. It judges by its own clock whether the line is still alive.

const SILENT_MS = 3000; // the gateway speaks once a second at least
const RETRY_MS = 2000;

export class Feed {
  #source = null;
  #lastMessageMs = null;
  #clockOffsetMs = null;

  /** onUpdate(changes, fresh, secondsToMs): secondsToMs turns a wall time into performance.now(). */
  constructor(url, onUpdate) {
    this.url = url;
    this.onUpdate = onUpdate;
    this.#open();
    setInterval(() => this.#watch(), 500);
  }

  get alive() {
    return this.#lastMessageMs !== null && performance.now() - this.#lastMessageMs < SILENT_MS;
  }

  /** The gateway's wall time now, in Unix seconds; null before the first message. */
  get nowS() {
    return this.#clockOffsetMs === null ? null : (performance.now() + this.#clockOffsetMs) / 1000;
  }

  /** The gateway's wall time of the last message. */
  get lastMessageS() {
    return this.#lastMessageMs === null ? null : (this.#lastMessageMs + this.#clockOffsetMs) / 1000;
  }

  #open() {
    this.#source?.close();
    this.#source = new EventSource(this.url);
    this.openedMs = performance.now();
    this.#source.onmessage = (event) => this.#receive(JSON.parse(event.data));
  }

  #receive({ now_s: nowS, changes, fresh = false }) {
    const nowMs = performance.now();
    this.#lastMessageMs = nowMs;
    this.#clockOffsetMs = nowS * 1000 - nowMs;
    this.onUpdate(changes, fresh, (atS) => nowMs - Math.max(0, nowS - atS) * 1000);
  }

  #watch() {
    const since = Math.max(this.#lastMessageMs ?? 0, this.openedMs);
    if (performance.now() - since > SILENT_MS + RETRY_MS) this.#open();
  }
}
