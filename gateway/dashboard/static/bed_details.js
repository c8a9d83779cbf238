// What only the one bed's page shows: the beats' legend, the spectrum, the alarms so far.

import { drawShape } from "./beat_marks.js";
import { colour } from "./paper.js";
import { SpectrumPlot } from "./spectrum_plot.js";
import { BEAT_CLASSES, UNKNOWN, dayAndTime } from "./words.js";

const HISTORY_ROWS = 50;

export class BedDetails {
  #counts = Object.fromEntries(Object.keys(BEAT_CLASSES).map((name) => [name, 0]));
  #cells = {};

  constructor(bedId) {
    this.bedId = bedId;
    this.plot = new SpectrumPlot(document.getElementById("spectrum"));
    this.legend = document.getElementById("legend");
    this.#drawLegend();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#drawLegend());
  }

  receive(change, nowS) {
    if (change.kind === "spectrum") this.plot.show(change.magnitude_uv ? change : null);
    if (change.kind === "axis") this.plot.show(null);
    if (change.kind === "alarms") this.#loadHistory(nowS);
  }

  #drawLegend() {
    const entries = Object.entries(BEAT_CLASSES).map(([beatClass, words]) => {
      const item = document.createElement("li");
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 32;
      const context = canvas.getContext("2d");
      context.scale(2, 2);
      drawShape(context, beatClass, 8, 8, colour(this.legend, `beat-${beatClass.toLowerCase()}`));
      const letter = document.createElement("b");
      letter.textContent = beatClass;
      item.append(canvas, letter, ` ${words}`);
      return item;
    });
    this.legend.replaceChildren(...entries);
  }

  async #loadHistory(nowS) {
    const query = `bed=${encodeURIComponent(this.bedId)}&limit=${HISTORY_ROWS}`;
    const response = await fetch(`/api/alarms?${query}`);
    if (!response.ok) return;
    const { alarms } = await response.json();
    const rows = alarms.map((alarm) => historyRow(alarm, nowS));
    document.getElementById("history").replaceChildren(...rows);
  }
}

function historyRow(alarm, nowS) {
  const row = document.createElement("tr");
  row.dataset.priority = alarm.priority;
  const ended = alarm.ended_s === null ? UNKNOWN : dayAndTime(alarm.ended_s, nowS);
  for (const text of [dayAndTime(alarm.onset_s, nowS), alarm.kind, alarm.priority, ended]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
  }
  return row;
}
