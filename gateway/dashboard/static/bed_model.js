// What is known of one bed. Samples that are not known are NaN, never a guess.

const KEPT_S = 40; // a little more than the gateway sends after a reconnect
const MV_PER_STEP = 0.005;
const ARRIVALS = 10;

export class BedModel {
  constructor(id) {
    this.id = id;
    this.label = id;
    this.state = "vacant";
    this.sensorName = null;
    this.rateLimits = null;
    this.hasOwnLimits = false;
    this.sensor = null;
    this.alarms = [];
    this.#restart({ sample_rate_hz: null, stale_after_s: 2 });
  }

  apply(change, toMs) {
    this["_" + change.kind]?.(change, toMs);
  }

  /** Whether there is a sample to place in time. */
  get hasSignal() {
    return this.arrivals.length > 0;
  }

  /** Said by the sensor's status or by the signal's own quality, whichever knows. */
  get leadOff() {
    return this.sensor?.lead_off === true || this.vitals?.reasons.includes("lead off") === true;
  }

  isStale(nowMs) {
    return this.heardMs === null || nowMs - this.heardMs > this.staleAfterMs;
  }

  /** Millivolts of a sample, or NaN. */
  millivolts(sample) {
    const known = sample >= this.first && sample < this.end && sample >= this.end - this.ring.length;
    return known ? this.ring[sample % this.ring.length] : NaN;
  }

  /** The sample that is being taken now, judged by the quickest of the last arrivals. */
  sampleAt(nowMs) {
    return ((nowMs - Math.min(...this.arrivals)) / 1000) * this.sampleRateHz;
  }

  #restart(axis) {
    this.axis = axis.axis ?? 0;
    this.sampleRateHz = axis.sample_rate_hz;
    this.staleAfterMs = axis.stale_after_s * 1000;
    this.ring = new Float32Array(KEPT_S * (axis.sample_rate_hz ?? 0));
    this.first = this.end = 0;
    this.beats = [];
    this.arrivals = [];
    this.vitals = null;
    this.variability = null;
    this.spectrum = null;
    this.heardMs = null;
    this.lastSignalS = null;
  }

  _axis(change) {
    this.#restart(change);
  }

  _bed(change) {
    this.label = change.label;
    this.state = change.state;
    this.sensorName = change.sensor_name;
    this.rateLimits = [change.heart_rate_low_bpm, change.heart_rate_high_bpm];
    this.hasOwnLimits = change.has_own_limits;
  }

  _sensor(change) {
    this.sensor = change;
  }

  _vitals(change) {
    this.vitals = change;
  }

  _variability(change) {
    this.variability = change;
  }

  _spectrum(change) {
    this.spectrum = change;
  }

  _alarms(change) {
    this.alarms = change.alarms;
  }

  _beats(change) {
    this.beats.push(...change.beats);
    const oldest = this.end - this.ring.length;
    while (this.beats.length && this.beats[0].r < oldest) this.beats.shift();
  }

  _gap(change, toMs) {
    if (change.reason === "invalid") this.#hear(change, toMs);
    this.#extend(change.start, change.start + change.length);
  }

  _signal(change, toMs) {
    const steps = decodeSteps(change.steps);
    this.#extend(change.start, change.start + steps.length);
    for (let i = 0; i < steps.length; i++) {
      this.ring[(change.start + i) % this.ring.length] = steps[i] * MV_PER_STEP;
    }
    this.#hear(change, toMs);
    this.arrivals.push(toMs(change.at_s) - (this.end / this.sampleRateHz) * 1000);
    if (this.arrivals.length > ARRIVALS) this.arrivals.shift();
  }

  #hear(change, toMs) {
    this.heardMs = toMs(change.at_s);
    this.lastSignalS = change.at_s;
  }

  /** Move the end to `end`; all between the old end and there is unknown until it is written. */
  #extend(start, end) {
    if (this.end === this.first) this.first = this.end = start;
    const from = Math.max(this.end, end - this.ring.length);
    for (let sample = from; sample < end; sample++) this.ring[sample % this.ring.length] = NaN;
    this.end = Math.max(this.end, end);
  }
}

function decodeSteps(base64) {
  const text = atob(base64);
  const view = new DataView(new ArrayBuffer(text.length));
  for (let i = 0; i < text.length; i++) view.setUint8(i, text.charCodeAt(i));
  const steps = new Int16Array(text.length / 2);
  for (let i = 0; i < steps.length; i++) steps[i] = view.getInt16(2 * i, true);
  return steps;
}
