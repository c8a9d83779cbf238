// What a bed shows only where it is alone on the page: the last 30 s, counts, variability,
// spectrum, alarms.

import { drawShape } from "./beat_marks.js";
import { onThemeChange, strokeColours } from "./paper.js";
import { Review } from "./review.js";
import { SpectrumPlot } from "./spectrum_plot.js";
import { BEAT_CLASSES, UNKNOWN, dayAndTime, spectrumInWords, variabilityInWords } from "./words.js";

const COUNTED_S = 30;
const SHAPE_PX = 16;

export class BedDetails {
  #counts = new Map();
  #shownAlarms = null;

  constructor(parts, model) {
    this.parts = parts;
    this.model = model;
    this.review = new Review(parts.review, model);
    this.plot = new SpectrumPlot(parts.spectrum, model);
    onThemeChange(() => this.#counts.clear());
  }

  /** `notShown` as the panel has it: why the signal says nothing now, or null. */
  update(nowMs, notShown, nowS) {
    this.review.draw(nowMs);
    this.plot.draw();
    if (this.#counts.size === 0) this.#drawLegend();
    this.#count(notShown);
    this.#tellVariability(notShown);
    this.parts["spectrum-figures"].textContent = spectrumInWords(this.model.spectrum);
    if (this.model.alarms !== this.#shownAlarms) {
      this.#shownAlarms = this.model.alarms;
      this.#loadHistory(nowS);
    }
  }

  #drawLegend() {
    const colours = strokeColours(this.parts.review);
    const items = [...BEAT_CLASSES].map(([beatClass, words]) => {
      const shape = shapeCanvas(beatClass, colours[beatClass] ?? colours.muted);
      const count = textElement("output", UNKNOWN);
      this.#counts.set(beatClass, count);
      const item = document.createElement("li");
      item.append(shape, textElement("b", beatClass ?? ""), textElement("span", words), count);
      return item;
    });
    this.parts.legend.replaceChildren(...items);
  }

  #count(notShown) {
    const from = this.model.end - COUNTED_S * this.model.sampleRateHz;
    for (const [beatClass, output] of this.#counts) {
      const beats = this.model.beats.filter((beat) => beat.class === beatClass && beat.r >= from);
      output.textContent = notShown === null ? String(beats.length) : UNKNOWN;
    }
  }

  #tellVariability(notShown) {
    const rows = variabilityInWords(notShown === null ? this.model.variability : null);
    this.parts.variability.replaceChildren(
      ...rows.flatMap(([name, value]) => [textElement("dt", name), textElement("dd", value)]),
    );
  }

  async #loadHistory(nowS) {
    const alarms = await pastAlarms(this.model.id);
    const rows = (alarms ?? []).map((alarm) => historyRow(alarm, nowS));
    this.parts.history.replaceChildren(...rows);
    this.parts["no-history"].textContent = alarms === null ? UNKNOWN : alarms.length ? "" : "none";
  }
}

/** The stay's alarms, or null if the gateway does not answer. */
async function pastAlarms(bedId) {
  try {
    const response = await fetch(`/api/alarms?bed=${encodeURIComponent(bedId)}`);
    return response.ok ? (await response.json()).alarms : null;
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

function historyRow(alarm, nowS) {
  const row = document.createElement("tr");
  row.dataset.priority = alarm.priority;
  const ended = alarm.ended_s === null ? UNKNOWN : dayAndTime(alarm.ended_s, nowS);
  const cloud = alarm.cloud ?? UNKNOWN;
  const texts = [dayAndTime(alarm.onset_s, nowS), alarm.kind, alarm.priority, ended, cloud];
  row.append(...texts.map((text) => textElement("td", text)));
  return row;
}

function shapeCanvas(beatClass, ink) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 2 * SHAPE_PX;
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  drawShape(context, beatClass, SHAPE_PX / 2, SHAPE_PX / 2, ink);
  return canvas;
}

function textElement(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
