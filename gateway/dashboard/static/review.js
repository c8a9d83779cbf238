// The last 30 seconds at a glance, newest at the right, with a tick for each beat that is not N.

import { drawShape } from "./beat_marks.js";
import { PX_PER_MM, fitCanvas, strokeColours } from "./paper.js";
import { drawSignal } from "./trace.js";

const SHOWN_S = 30;
const MM_PER_MV = 5;
const BASELINE = 0.66;
const LANE = 14;
const QUIET_SAMPLES = 2 * 187; // silence below two frames is not worth drawing

export class Review {
  constructor(canvas, model) {
    this.canvas = canvas;
    this.model = model;
  }

  draw(nowMs) {
    const { context, width, height } = fitCanvas(this.canvas);
    const { model } = this;
    if (!width || !model.hasSignal) return;
    const colours = strokeColours(this.canvas);
    const silent = Math.floor(model.sampleAt(nowMs)) - QUIET_SAMPLES;
    const to = Math.max(model.end - 1, silent);
    const from = to - SHOWN_S * model.sampleRateHz;
    const field = height - LANE;
    const place = {
      x: (sample) => ((sample - from) / (SHOWN_S * model.sampleRateHz)) * width,
      y: (millivolts) => clamp(field * BASELINE - millivolts * MM_PER_MV * PX_PER_MM, 1, field - 1),
      width,
      height: field,
    };
    drawSignal(context, model, from, to, place, colours);
    for (const beat of model.beats) {
      if (beat.r < from || beat.class === "N") continue;
      const ink = colours[beat.class] ?? colours.muted;
      drawShape(context, beat.class, place.x(beat.r), height - LANE / 2, ink);
    }
  }
}

function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}
