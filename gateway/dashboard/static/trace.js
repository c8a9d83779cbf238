// A stretch of ECG on a canvas: known samples as a line, unknown ones hatched.

const LINE_PX = 1.6;

/**
 * Draw the samples from..to of a model. `place` tells where: x(sample), y(millivolts), and the
 * width and height of the field. Where x jumps back the sweep has begun anew at the left edge.
 */
export function drawSignal(context, model, from, to, place, colours) {
  let pen = false;
  let gapX = null;
  let lastX = -1;
  context.beginPath();
  for (let sample = Math.max(from, model.first); sample <= to; sample++) {
    const x = place.x(sample);
    if (x < lastX) {
      pen = false;
      if (gapX !== null) hatch(gapX, place.width);
      gapX = gapX === null ? null : 0;
    }
    lastX = x;
    const millivolts = model.millivolts(sample);
    if (Number.isNaN(millivolts)) {
      pen = false;
      gapX ??= Math.floor(x);
      continue;
    }
    if (gapX !== null) hatch(gapX, Math.floor(x));
    gapX = null;
    if (pen) context.lineTo(x, place.y(millivolts));
    else context.moveTo(x, place.y(millivolts));
    pen = true;
  }
  if (gapX !== null) hatch(gapX, Math.floor(lastX));
  context.strokeStyle = colours.trace;
  context.lineWidth = LINE_PX;
  context.lineJoin = "round";
  context.stroke();

  function hatch(fromX, toX) {
    context.fillStyle = colours.hatch;
    context.fillRect(fromX, 0, toX - fromX, place.height);
  }
}

export function hatchPattern(context, ink) {
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
