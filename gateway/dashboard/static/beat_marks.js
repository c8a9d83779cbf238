// A beat's mark in the lane below the strip: shape and colour by class, letter, p(abnormal).

export const LANE_HEIGHT = 36;
export const MARK_HALF_WIDTH = 13;

const SHAPE_Y = 10;
const P_Y = 26;
const RADIUS = 4.5;

const SHAPES = {
  N: (pen) => pen.arc(0, 0, RADIUS * 0.7, 0, 2 * Math.PI),
  S: (pen) => polygon(pen, [[0, -RADIUS], [RADIUS, RADIUS], [-RADIUS, RADIUS]]),
  V: (pen) => polygon(pen, [[0, RADIUS], [RADIUS, -RADIUS], [-RADIUS, -RADIUS]]),
  F: (pen) => polygon(pen, [[0, -RADIUS - 1], [RADIUS + 1, 0], [0, RADIUS + 1], [-RADIUS - 1, 0]]),
  Q: (pen) => pen.rect(0.5 - RADIUS, 0.5 - RADIUS, 2 * RADIUS - 1, 2 * RADIUS - 1),
};
const UNLABELLED = (pen) => pen.arc(0, 0, RADIUS * 0.8, 0, 2 * Math.PI);
const HOLLOW = ["Q", null];

/** Draw the mark of a beat whose R peak is at x; `top` is the lane's upper edge. */
export function drawMark(pen, beat, x, top, colours) {
  const ink = colours[beat.class] ?? colours.muted;
  if (beat.class === null) {
    drawShape(pen, null, x, top + SHAPE_Y, ink);
    return;
  }
  drawShape(pen, beat.class, x - 6, top + SHAPE_Y, ink);
  pen.fillStyle = ink;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.font = "700 12px system-ui, sans-serif";
  pen.fillText(beat.class, x + 1, top + SHAPE_Y + 0.5);
  pen.textAlign = "center";
  pen.font = `${beat.class === "N" ? 400 : 600} 10px system-ui, sans-serif`;
  pen.fillText(beat.p_abnormal.toFixed(2), x, top + P_Y);
}

export function clearMark(pen, x, top) {
  pen.clearRect(x - MARK_HALF_WIDTH, top, 2 * MARK_HALF_WIDTH, LANE_HEIGHT);
}

export function drawShape(pen, beatClass, x, y, ink) {
  pen.save();
  pen.translate(x, y);
  pen.beginPath();
  (SHAPES[beatClass] ?? UNLABELLED)(pen);
  pen.fillStyle = pen.strokeStyle = ink;
  pen.lineWidth = 1.5;
  if (HOLLOW.includes(beatClass)) pen.stroke();
  else pen.fill();
  pen.restore();
}

function polygon(pen, points) {
  pen.moveTo(...points[0]);
  for (const point of points.slice(1)) pen.lineTo(...point);
  pen.closePath();
}
