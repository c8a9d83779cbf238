// Magnitude of the ECG's frequencies, 0 to 60 Hz.

import { colour, fitCanvas } from "./paper.js";

const MAX_HZ = 60;
const LABEL_HZ = 10;
const MARGIN = { left: 34, right: 8, top: 8, bottom: 18 };

export class SpectrumPlot {
  #spectrum = null;

  constructor(canvas) {
    this.canvas = canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /** {step_hz, magnitude_uv: [...]}, or null where it is not known. */
  show(spectrum) {
    this.#spectrum = spectrum;
    this.#draw();
  }

  #draw() {
    const { context, width, height } = fitCanvas(this.canvas);
    if (!width) return;
    const box = { x: MARGIN.left, y: MARGIN.top };
    box.width = width - MARGIN.left - MARGIN.right;
    box.height = height - MARGIN.top - MARGIN.bottom;
    context.font = "11px system-ui, sans-serif";
    this.#drawAxis(context, box);
    if (this.#spectrum === null) this.#drawUnknown(context, box);
    else this.#drawCurve(context, box);
  }

  #drawAxis(context, box) {
    context.strokeStyle = colour(this.canvas, "line");
    context.fillStyle = colour(this.canvas, "muted");
    context.textAlign = "center";
    context.textBaseline = "top";
    for (let hertz = 0; hertz <= MAX_HZ; hertz += LABEL_HZ) {
      const x = Math.round(box.x + (hertz / MAX_HZ) * box.width) + 0.5;
      context.beginPath();
      context.moveTo(x, box.y);
      context.lineTo(x, box.y + box.height);
      context.stroke();
      context.fillText(hertz === MAX_HZ ? "Hz" : hertz, Math.min(x, box.x + box.width - 6), box.y + box.height + 5);
    }
  }

  #drawUnknown(context, box) {
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText("— no 8 s without a gap", box.x + box.width / 2, box.y + box.height / 2);
  }

  #drawCurve(context, box) {
    const { step_hz: step, magnitude_uv: magnitudes } = this.#spectrum;
    const top = niceTop(Math.max(...magnitudes));
    context.textAlign = "right";
    context.textBaseline = "top";
    context.fillText(`${top} µV`, box.x - 4, box.y);
    const point = (i) => [
      box.x + ((i * step) / MAX_HZ) * box.width,
      box.y + box.height * (1 - Math.min(1, magnitudes[i] / top)),
    ];
    context.beginPath();
    context.moveTo(box.x, box.y + box.height);
    for (let i = 0; i < magnitudes.length; i++) context.lineTo(...point(i));
    context.lineTo(box.x + box.width, box.y + box.height);
    context.fillStyle = colour(this.canvas, "spectrum-fill");
    context.fill();
    context.strokeStyle = colour(this.canvas, "trace");
    context.lineWidth = 1.3;
    context.stroke();
  }
}

/** The least of 1, 2, 5 × 10ⁿ that is not below the value. */
function niceTop(value) {
  const decade = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((factor) => factor * decade).find((top) => top >= value);
}
