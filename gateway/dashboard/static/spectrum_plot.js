// Magnitude of the ECG's frequencies, 0 to 60 Hz.

import { fitCanvas, styled } from "./paper.js";

const MAX_HZ = 60;
const LABEL_HZ = 10;
const MARGIN = { left: 54, right: 18, top: 6, bottom: 18 };

export class SpectrumPlot {
  constructor(canvas, model) {
    this.canvas = canvas;
    this.model = model;
  }

  draw() {
    const { context, width, height } = fitCanvas(this.canvas);
    if (!width) return;
    const box = {
      x: MARGIN.left,
      y: MARGIN.top,
      width: width - MARGIN.left - MARGIN.right,
      height: height - MARGIN.top - MARGIN.bottom,
    };
    context.font = "11px system-ui, sans-serif";
    this.#drawAxis(context, box);
    if (this.model.spectrum?.magnitude_uv) this.#drawCurve(context, box);
    else this.#drawUnknown(context, box);
  }

  #drawAxis(context, box) {
    context.strokeStyle = styled(this.canvas, "line");
    context.fillStyle = styled(this.canvas, "muted");
    context.textAlign = "center";
    context.textBaseline = "top";
    context.beginPath();
    for (let hertz = 0; hertz <= MAX_HZ; hertz += LABEL_HZ) {
      const x = Math.round(box.x + (hertz / MAX_HZ) * box.width) + 0.5;
      context.moveTo(x, box.y);
      context.lineTo(x, box.y + box.height);
      context.fillText(hertz === MAX_HZ ? `${hertz} Hz` : hertz, x, box.y + box.height + 5);
    }
    context.stroke();
  }

  #drawUnknown(context, box) {
    context.textBaseline = "middle";
    context.fillText("— needs 8 s without a gap", box.x + box.width / 2, box.y + box.height / 2);
  }

  #drawCurve(context, box) {
    const { step_hz: step, magnitude_uv: magnitudes } = this.model.spectrum;
    const top = niceTop(Math.max(...magnitudes));
    context.textAlign = "right";
    context.fillText(`${top} µV`, box.x - 5, box.y);
    context.fillText("0", box.x - 5, box.y + box.height - 9);
    context.beginPath();
    magnitudes.forEach((magnitude, i) => {
      const x = box.x + ((i * step) / MAX_HZ) * box.width;
      context.lineTo(x, box.y + box.height * (1 - magnitude / top));
    });
    context.strokeStyle = styled(this.canvas, "trace");
    context.lineWidth = 1.4;
    context.lineJoin = "round";
    context.stroke();
    context.lineTo(box.x + box.width, box.y + box.height);
    context.lineTo(box.x, box.y + box.height);
    context.fillStyle = styled(this.canvas, "spectrum-fill");
    context.fill();
  }
}

/** The least of 1, 2, 5 × 10ⁿ that is not below the value. */
function niceTop(value) {
  const decade = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((factor) => factor * decade).find((top) => top >= value);
}
