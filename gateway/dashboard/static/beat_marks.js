// A beat's mark: shape and colour by class, letter, and p(abnormal) below.

export const MARKS_HEIGHT = 34;
export const MARK_HALF_WIDTH = 16;

const SHAPE_Y = 8;
const RADIUS = 4.5;

const SHAPES = {
  N: (c) => c.arc(0, 0, RADIUS * 0.7, 0, 2 * Math.PI),
  S: (c) => polygon(c, [[0, -RADIUS], [RADIUS, RADIUS], [-RADIUS, RADIUS]]),
  V: (c) => polygon(c, [[0, RADIUS], [RADIUS, -RADIUS], [-RADIUS, -RADIUS]]),
  F: (c) => polygon(c, [[0, -RADIUS - 1], [RADIUS + 1, 0], [0, RADIUS + 1], [-RADIUS - 1, 0]]),
  Q: (c) => c.rect(-RADIUS + 0.5, -RADIUS + 0.5, 2 * RADIUS - 1, 2 * RADIUS - 1),
};
const HOLLOW = new Set(["Q", null]);

/** Draw the mark of a beat whose R peak is at x; `top` is the upper edge of the marks' lane. */
export function drawMark(context, beat, x, top, colours) {
  const ink = colours[beat.class] ?? colours.muted;
  drawShape(context, beat.class, x - (beat.class ? 6 : 0), top + SHAPE_Y, ink);
  if (beat.class === null) return;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = ink;
  context.font = "700 12px system-ui, sans-serif";
  context.fillText(beat.class, x + 1, top + SHAPE_Y + 0.5);
  context.textAlign = "center";
  context.font = `${beat.class === "N" ? 400 : 600} 10px system-ui, sans-serif`;
  context.fillText(beat.p_abnormal.toFixed(2), x, top + 24);
}

export function drawShape(context, beatClass, x, y, ink) {
  context.save();
  context.translate(x, y);
  context.beginPath();
  (SHAPES[beatClass] ?? SHAPES.N)(context);
  context.fillStyle = context.strokeStyle = ink;
  context.lineWidth = 1.5;
  if (HOLLOW.has(beatClass)) context.stroke();
  else context.fill();
  context.restore();
}

function polygon(context, points) {
  context.moveTo(...points[0]);
  for (const point of points.slice(1)) context.lineTo(...point);
  context.closePath();
}
