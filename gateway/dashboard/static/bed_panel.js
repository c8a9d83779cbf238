// One bed's panel: the numbers, words and alarms beside its strip.

import { BedDetails } from "./bed_details.js";
import { Strip } from "./strip.js";
import {
  PRIORITIES, UNKNOWN, alarmInWords, beatInWords, clockTime, isCalling, limitsInWords,
  reasonsInWords,
} from "./words.js";

const GOOD_QUALITY = 0.8;
const FAIR_QUALITY = 0.5;

export class BedPanel {
  constructor(model, template) {
    this.model = model;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.parts = {};
    for (const part of this.element.querySelectorAll("[data-is]")) {
      this.parts[part.dataset.is] = part;
    }
    this.strip = new Strip(this.parts.strip, model);
    this.details = new BedDetails(this.parts, model);
  }

  /** Write what is known at `nowMs`; unchanged text is left alone. */
  update(nowMs) {
    const stale = this.model.isStale(nowMs);
    const notShown = this.#notShown(stale);
    this.element.dataset.state = this.model.state;
    this.element.dataset.stale = stale ? "yes" : "no";
    this.#updateHead();
    this.#updateOverlay(notShown);
    this.#updateRate(notShown);
    this.#updateQuality(notShown);
    this.#updateLastBeat(notShown);
    this.#updateAlarms();
  }

  updateDetails(nowMs, nowS) {
    this.details.update(nowMs, this.#notShown(this.model.isStale(nowMs)), nowS);
  }

  /** Why the bed's signal says nothing now, or null if it does. */
  #notShown(stale) {
    const { model } = this;
    if (model.state === "vacant") return "Vacant";
    if (model.state === "standby") return "On standby, not monitored";
    if (model.lastSignalS === null) return "No signal yet";
    if (stale) return `No signal since ${clockTime(model.lastSignalS)}`;
    if (model.leadOff) return "Electrode off: check the electrodes";
    return null;
  }

  #updateHead() {
    const { model, parts } = this;
    setText(parts.label, model.label);
    const link = `/beds/${encodeURIComponent(model.id)}`;
    if (parts.label.getAttribute("href") !== link) parts.label.setAttribute("href", link);
    setText(parts.state, model.state);
    setText(parts.sensor, this.#sensorInWords());
    setText(parts.limits, limitsInWords(model.rateLimits, model.hasOwnLimits));
    this.strip.canvas.setAttribute("aria-label", `ECG strip of ${model.label}`);
  }

  #sensorInWords() {
    const { sensorName, sensor } = this.model;
    if (sensorName === null) return "no sensor";
    if (sensor === null) return sensorName;
    const battery = sensor.battery_percent === null ? UNKNOWN : `${sensor.battery_percent} %`;
    return `${sensor.connected ? "connected" : "not connected"} · battery ${battery} · ${sensorName}`;
  }

  #updateOverlay(notShown) {
    this.parts.overlay.hidden = notShown === null;
    setText(this.parts.overlay, notShown ?? "");
  }

  #updateRate(notShown) {
    const [text, note] = this.#rate(notShown);
    setText(this.parts.rate, text);
    setText(this.parts["rate-note"], note);
    this.parts.rate.closest(".rate").dataset.known = text === UNKNOWN ? "no" : "yes";
  }

  #rate(notShown) {
    const { vitals } = this.model;
    if (notShown !== null) return [UNKNOWN, ""];
    if (vitals === null) return [UNKNOWN, "waiting for the first beats"];
    if (!vitals.rate_usable) return [UNKNOWN, "hidden: poor signal"];
    if (vitals.heart_rate_bpm === null) return [UNKNOWN, "not known yet"];
    return [String(Math.round(vitals.heart_rate_bpm)), ""];
  }

  #updateQuality(notShown) {
    const vitals = notShown === null ? this.model.vitals : null;
    const level = qualityLevel(vitals);
    this.parts.quality.closest(".quality").dataset.level = level;
    setText(this.parts.quality, vitals ? level : UNKNOWN);
    setText(this.parts["quality-note"], vitals ? reasonsInWords(vitals.reasons) : "");
    this.parts["quality-fill"].style.width = `${vitals ? Math.round(vitals.quality * 100) : 0}%`;
  }

  #updateLastBeat(notShown) {
    const beat = notShown === null ? this.model.beats.at(-1) : undefined;
    setText(this.parts["last-beat"], beat ? beatInWords(beat) : UNKNOWN);
  }

  #updateAlarms() {
    if (this.model.alarms === this.shownAlarms) return;
    this.shownAlarms = this.model.alarms;
    const alarms = this.model.alarms.toSorted(mostUrgentFirst);
    this.parts.alarms.replaceChildren(...alarms.map(alarmItem));
    this.element.dataset.alarm = alarms[0]?.priority ?? "none";
  }
}

function alarmItem(alarm) {
  const item = document.createElement("li");
  item.className = "alarm";
  item.dataset.priority = alarm.priority;
  item.dataset.called = isCalling(alarm) ? "yes" : "no";
  for (const [name, text] of [
    ["priority", alarm.priority], ["kind", alarm.kind], ["since", alarmInWords(alarm)],
  ]) {
    const part = document.createElement("span");
    part.className = name;
    part.textContent = text;
    item.append(part, " ");
  }
  return item;
}

function mostUrgentFirst(a, b) {
  return PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) || b.onset_s - a.onset_s;
}

function qualityLevel(vitals) {
  if (vitals === null) return "unknown";
  if (!vitals.rate_usable || vitals.quality < FAIR_QUALITY) return "poor";
  return vitals.quality < GOOD_QUALITY ? "fair" : "good";
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
