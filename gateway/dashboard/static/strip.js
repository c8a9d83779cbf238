// A sweeping ECG strip: 25 mm/s, new signal written over the old behind a short blank.
//
// The screen runs a constant time behind the signal, long enough that a frame which is a little
// late is there before the sweep needs it. Small errors are evened out by running up to 5 % faster
// or slower; only an error of more than a second (a sleeping tab, a stall) is jumped over.

import { MARKS_HEIGHT, MARK_HALF_WIDTH, drawMark } from "./beat_marks.js";
import { MM_PER_S, PX_PER_MM, colour, drawPaper, fitCanvas } from "./paper.js";

const PX_PER_S = MM_PER_S * PX_PER_MM;
const BLANK_PX = 24;
const SAMPLES_PER_FRAME = 187;
const LATENESS_S = 0.3;
const JUMP_S = 1;
const MAX_SPEED_ERROR = 0.05;
const TALL_STRIP_MM = 34; // below it 10 mm/mV would cut an ordinary R peak

export class Strip {
  #head = null; // the newest sample on the screen, fractional
  #drawn = null; // samples before this are on the screen
  #erasedPx = 0; // unrolled position up to which old signal is erased
  #axis = null;
  #lastMs = null;
  #waiting = []; // beats whose mark lies ahead of the sweep

  constructor(figure, model) {
    this.model = model;
    this.paper = figure.querySelector(".paper");
    this.canvas = figure.querySelector(".trace");
    this.scale = figure.querySelector(".scale");
    new ResizeObserver(() => this.layOut()).observe(figure);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.layOut());
  }

  layOut() {
    const { context, width, height } = fitCanvas(this.canvas);
    Object.assign(this, { context, width, height });
    this.traceHeight = height - MARKS_HEIGHT;
    this.mmPerMv = this.traceHeight / PX_PER_MM >= TALL_STRIP_MM ? 10 : 5;
    this.baselineY = Math.round(this.traceHeight * 0.62);
    this.scale.textContent = `${MM_PER_S} mm/s · ${this.mmPerMv} mm/mV`;
    this.#readColours();
    drawPaper(this.paper, this.baselineY);
    this.#redraw();
  }

  beatsArrived(beats) {
    this.#waiting.push(...beats);
  }

  frame(nowMs) {
    if (!this.width || !this.model.hasSignal) return;
    if (this.#axis !== this.model.axis) this.#restart(nowMs);
    this.#advance(nowMs);
    this.#sweep();
  }

  #restart(nowMs) {
    this.#axis = this.model.axis;
    this.#head = this.#target(nowMs);
    this.#lastMs = nowMs;
    this.#waiting = [];
    this.#redraw();
  }

  #target(nowMs) {
    const delayS = SAMPLES_PER_FRAME / this.model.sampleRateHz + LATENESS_S;
    return this.model.sampleAt(nowMs) - delayS * this.model.sampleRateHz;
  }

  #advance(nowMs) {
    const rate = this.model.sampleRateHz;
    const elapsedS = (nowMs - this.#lastMs) / 1000;
    this.#lastMs = nowMs;
    const errorS = (this.#target(nowMs) - this.#head) / rate - elapsedS;
    const correction = Math.max(-MAX_SPEED_ERROR, Math.min(MAX_SPEED_ERROR, errorS));
    if (errorS > JUMP_S) this.#head = this.#target(nowMs);
    else this.#head += elapsedS * rate * (1 + correction);
    this.#head = Math.min(this.#head, this.model.end - 1);
  }

  #px(sample) {
    return (sample / this.model.sampleRateHz) * PX_PER_S;
  }

  #sweep() {
    const to = Math.floor(this.#head);
    if (this.#px(to) + BLANK_PX - this.#erasedPx >= this.width) {
      this.#redraw();
      return;
    }
    this.#erase(this.#px(to) + BLANK_PX);
    this.#drawSignal(this.#drawn, to);
    this.#drawn = Math.max(this.#drawn, to);
    this.#drawWaitingMarks();
  }

  #erase(toPx) {
    let from = this.#erasedPx;
    while (from < toPx) {
      const x = from % this.width;
      const stretch = Math.min(toPx - from, this.width - x);
      this.context.clearRect(x, 0, stretch + 0.01, this.height);
      from += stretch;
    }
    this.#erasedPx = Math.max(this.#erasedPx, toPx);
  }

  #redraw() {
    if (!this.width) return;
    this.context.clearRect(0, 0, this.width, this.height);
    if (this.#head === null || !this.model.hasSignal) return;
    const to = Math.floor(this.#head);
    const shown = ((this.width - BLANK_PX) / PX_PER_S) * this.model.sampleRateHz;
    this.#drawn = to;
    this.#erasedPx = this.#px(to) + BLANK_PX;
    this.#drawSignal(Math.ceil(to - shown), to);
    this.#waiting = this.model.beats.slice();
    this.#drawWaitingMarks();
  }

  /** Samples from..to: known ones as a line, unknown ones hatched. */
  #drawSignal(from, to) {
    const { context, model } = this;
    let pen = false;
    let gapX = null;
    let lastX = -1;
    context.beginPath();
    for (let sample = Math.max(from, model.first); sample <= to; sample++) {
      const x = this.#px(sample) % this.width;
      if (x < lastX) {
        if (gapX !== null) this.#hatch(gapX, this.width);
        pen = false;
        gapX = gapX === null ? null : 0;
      }
      const millivolts = model.millivolts(sample);
      if (Number.isNaN(millivolts)) {
        pen = false;
        gapX ??= Math.floor(x);
      } else {
        if (gapX !== null) this.#hatch(gapX, Math.floor(x));
        gapX = null;
        const y = this.#y(millivolts);
        if (pen) context.lineTo(x, y);
        else context.moveTo(x, y);
        pen = true;
      }
      lastX = x;
    }
    if (gapX !== null) this.#hatch(gapX, Math.floor(lastX));
    context.strokeStyle = this.colours.trace;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.stroke();
  }

  #y(millivolts) {
    const y = this.baselineY - millivolts * this.mmPerMv * PX_PER_MM;
    return Math.max(1, Math.min(this.traceHeight - 1, y));
  }

  #hatch(fromX, toX) {
    this.context.fillStyle = this.colours.hatch;
    this.context.fillRect(fromX, 0, toX - fromX, this.traceHeight);
  }

  #drawWaitingMarks() {
    const head = this.#px(this.#head);
    const oldest = head - this.width + BLANK_PX + MARK_HALF_WIDTH;
    const ahead = [];
    for (const beat of this.#waiting) {
      const px = this.#px(beat.r);
      if (px > head) ahead.push(beat);
      else if (px > oldest) this.#drawMark(beat, px % this.width);
    }
    this.#waiting = ahead;
  }

  #drawMark(beat, px) {
    const x = Math.max(MARK_HALF_WIDTH, Math.min(this.width - MARK_HALF_WIDTH, px));
    drawMark(this.context, beat, x, this.traceHeight, this.colours);
  }

  #readColours() {
    const read = (name) => colour(this.canvas, name);
    this.colours = { trace: read("trace"), muted: read("muted") };
    for (const beatClass of "NSVFQ") this.colours[beatClass] = read(`beat-${beatClass.toLowerCase()}`);
    this.colours.hatch = hatchPattern(this.context, read("hatch"));
  }
}

function hatchPattern(context, ink) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.strokeStyle = ink;
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (const shift of [-8, 0, 8]) {
    pen.moveTo(shift, 8);
    pen.lineTo(shift + 8, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}
