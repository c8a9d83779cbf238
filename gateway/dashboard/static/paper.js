// ECG paper: 1 mm and 5 mm squares, in CSS millimetres.

import { hatchPattern } from "./trace.js";

export const PX_PER_MM = 96 / 25.4;
export const MM_PER_S = 25;

/** Give the canvas one pixel for each of the screen's; coordinates stay CSS pixels. */
export function fitCanvas(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}

export function onThemeChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

/** The value of a custom property of the style sheet. */
export function styled(element, name) {
  return getComputedStyle(element).getPropertyValue(`--${name}`).trim();
}

export function strokeColours(canvas) {
  const colours = { trace: styled(canvas, "trace"), muted: styled(canvas, "muted") };
  for (const beatClass of "NSVFQ") {
    colours[beatClass] = styled(canvas, `beat-${beatClass.toLowerCase()}`);
  }
  colours.hatch = hatchPattern(canvas.getContext("2d"), styled(canvas, "hatch"));
  return colours;
}

/** Rule the field above `fieldHeight`; the baseline lies on a 5 mm line. */
export function drawPaper(canvas, fieldHeight, baselineY) {
  const { context, width, height } = fitCanvas(canvas);
  context.fillStyle = styled(canvas, "lane");
  context.fillRect(0, 0, width, height);
  context.fillStyle = styled(canvas, "paper");
  context.fillRect(0, 0, width, fieldHeight);
  for (const [millimetres, name] of [[1, "grid-minor"], [5, "grid-major"]]) {
    context.strokeStyle = styled(canvas, name);
    context.lineWidth = 1;
    context.beginPath();
    rule(context, millimetres * PX_PER_MM, baselineY, width, fieldHeight);
    context.stroke();
  }
}

function rule(context, pitch, baselineY, width, height) {
  for (let x = 0; x <= width; x += pitch) {
    context.moveTo(Math.round(x) + 0.5, 0);
    context.lineTo(Math.round(x) + 0.5, height);
  }
  for (let y = baselineY % pitch; y <= height; y += pitch) {
    context.moveTo(0, Math.round(y) + 0.5);
    context.lineTo(width, Math.round(y) + 0.5);
  }
}
