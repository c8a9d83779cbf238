// Which sample the screen shows now.
//
// It runs a constant time behind the signal, long enough that a frame which is a little late is
// there before the sweep needs it. Small errors are evened out by running up to 5 % faster or
// slower; only one of more than a second (a sleeping tab, a stalled link) is jumped over.

const SAMPLES_PER_FRAME = 187;
const LATENESS_S = 0.3;
const JUMP_S = 1;
const MAX_SPEED_ERROR = 0.05;

export class Playhead {
  #lastMs;

  constructor(model, nowMs) {
    this.model = model;
    this.sample = this.#target(nowMs);
    this.#lastMs = nowMs;
  }

  advance(nowMs) {
    const rate = this.model.sampleRateHz;
    const elapsedS = (nowMs - this.#lastMs) / 1000;
    this.#lastMs = nowMs;
    const target = this.#target(nowMs);
    const errorS = (target - this.sample) / rate - elapsedS;
    const correction = Math.max(-MAX_SPEED_ERROR, Math.min(MAX_SPEED_ERROR, errorS));
    if (errorS > JUMP_S) this.sample = target;
    else this.sample += elapsedS * rate * (1 + correction);
    this.sample = Math.min(this.sample, this.model.end - 1);
  }

  #target(nowMs) {
    const delay = SAMPLES_PER_FRAME + LATENESS_S * this.model.sampleRateHz;
    return Math.min(this.model.sampleAt(nowMs) - delay, this.model.end - 1);
  }
}
