// A sweeping ECG strip at 25 mm/s: new signal is written over the old behind a short blank.

import { LANE_HEIGHT, MARK_HALF_WIDTH, clearMark, drawMark } from "./beat_marks.js";
import {
  MM_PER_S, PX_PER_MM, drawPaper, fitCanvas, onThemeChange, strokeColours, styled,
} from "./paper.js";
import { Playhead } from "./playhead.js";
import { drawSignal } from "./trace.js";

const PX_PER_S = MM_PER_S * PX_PER_MM;
const BLANK_PX = 24;
const BASELINE = 0.64; // of the field's height: R peaks need more room than S waves

export class Strip {
  #playhead = null;
  #axis = null;
  #drawn = 0; // samples before this are on the screen
  #erasedPx = 0; // position, counted on over all sweeps, up to which old signal is erased
  #waiting = []; // beats whose R peak lies ahead of the sweep
  #marks = []; // positions of the marks on the screen, oldest first

  constructor(figure, model) {
    this.model = model;
    this.paper = figure.querySelector(".paper");
    this.canvas = figure.querySelector(".trace");
    this.scale = figure.querySelector(".scale");
    new ResizeObserver(() => this.#layOut()).observe(figure);
    onThemeChange(() => this.#layOut());
  }

  beatsArrived(beats) {
    this.#waiting.push(...beats);
  }

  frame(nowMs) {
    if (!this.width || !this.model.hasSignal) return;
    if (this.#axis !== this.model.axis) {
      this.#axis = this.model.axis;
      this.#playhead = new Playhead(this.model, nowMs);
      this.#redraw();
    }
    this.#playhead.advance(nowMs);
    this.#sweep(Math.floor(this.#playhead.sample));
  }

  #layOut() {
    const { context, width, height } = fitCanvas(this.canvas);
    Object.assign(this, { context, width, height });
    this.fieldHeight = height - LANE_HEIGHT;
    this.mmPerMv = Number(styled(this.canvas, "mm-per-mv"));
    this.baselineY = Math.round(this.fieldHeight * BASELINE);
    this.scale.textContent = `${MM_PER_S} mm/s · ${this.mmPerMv} mm/mV`;
    this.colours = strokeColours(this.canvas);
    this.place = {
      x: (sample) => this.#px(sample) % width,
      y: (millivolts) => this.#y(millivolts),
      width,
      height: this.fieldHeight,
    };
    drawPaper(this.paper, this.fieldHeight, this.baselineY);
    this.#redraw();
  }

  /** Where a sample lies, in pixels since the axis began. */
  #px(sample) {
    return (sample / this.model.sampleRateHz) * PX_PER_S;
  }

  #y(millivolts) {
    const y = this.baselineY - millivolts * this.mmPerMv * PX_PER_MM;
    return Math.max(1, Math.min(this.fieldHeight - 1, y));
  }

  #sweep(to) {
    const front = this.#px(to) + BLANK_PX;
    if (front - this.#erasedPx >= this.width) {
      this.#redraw();
      return;
    }
    this.#erase(front);
    if (to > this.#drawn) {
      drawSignal(this.context, this.model, this.#drawn, to, this.place, this.colours);
      this.#drawn = to;
    }
    this.#drawWaitingMarks();
  }

  #erase(front) {
    for (let from = this.#erasedPx; from < front; ) {
      const x = from % this.width;
      const stretch = Math.min(front - from, this.width - x);
      // Whole pixels and one more: of a pixel that is cleared in part, old signal shines through.
      const left = Math.floor(x) - 1;
      this.context.clearRect(left, 0, Math.ceil(x + stretch) + 1 - left, this.fieldHeight);
      from += stretch;
    }
    this.#erasedPx = Math.max(this.#erasedPx, front);
    while (this.#marks.length && this.#marks[0] - MARK_HALF_WIDTH < front - this.width) {
      clearMark(this.context, this.#markX(this.#marks.shift()), this.fieldHeight);
    }
  }

  #redraw() {
    if (!this.width) return;
    this.context.clearRect(0, 0, this.width, this.height);
    this.#marks = [];
    if (this.#playhead === null || !this.model.hasSignal) return;
    const to = Math.floor(this.#playhead.sample);
    const shown = ((this.width - BLANK_PX) / PX_PER_S) * this.model.sampleRateHz;
    drawSignal(this.context, this.model, Math.ceil(to - shown), to, this.place, this.colours);
    this.#drawn = to;
    this.#erasedPx = this.#px(to) + BLANK_PX;
    this.#waiting = this.model.beats.slice();
    this.#drawWaitingMarks();
  }

  #drawWaitingMarks() {
    const head = this.#px(this.#playhead.sample);
    const oldest = head + BLANK_PX + MARK_HALF_WIDTH - this.width;
    const ahead = [];
    for (const beat of this.#waiting) {
      const px = this.#px(beat.r);
      if (px > head) ahead.push(beat);
      else if (px > oldest) this.#drawMark(beat, px);
    }
    this.#waiting = ahead;
  }

  #drawMark(beat, px) {
    drawMark(this.context, beat, this.#markX(px), this.fieldHeight, this.colours);
    this.#marks.push(px);
  }

  #markX(px) {
    const x = px % this.width;
    return Math.max(MARK_HALF_WIDTH, Math.min(this.width - MARK_HALF_WIDTH, x));
  }
}
