// Joins the event stream to the panels of the ward page or of the one bed's page.

import { BedModel } from "./bed_model.js";
import { BedPanel } from "./bed_panel.js";
import { BedDetails } from "./bed_details.js";
import { Feed } from "./feed.js";
import { clockTime } from "./words.js";

const TEXT_INTERVAL_MS = 250;

const onlyBed = document.body.dataset.bed ?? null;
const container = document.getElementById("beds");
const template = document.getElementById("bed-panel");
const panels = new Map();
const announced = new Set();
const details = onlyBed === null ? null : new BedDetails(onlyBed);
const query = onlyBed === null ? "" : `?spectrum=1&bed=${encodeURIComponent(onlyBed)}`;
const feed = new Feed(`/stream${query}`, receive);

function receive(changes, fresh, toMs) {
  if (fresh) {
    panels.clear();
    container.replaceChildren();
  }
  for (const change of changes) {
    const panel = panelOf(change.bed);
    panel.model.apply(change, toMs);
    if (change.kind === "beats") panel.strip.beatsArrived(change.beats);
    details?.receive(change, feed.nowS);
  }
  updateText();
}

function panelOf(bedId) {
  if (!panels.has(bedId)) {
    const panel = new BedPanel(new BedModel(bedId), template);
    panels.set(bedId, panel);
    container.append(panel.element);
    container.dataset.count = panels.size;
  }
  return panels.get(bedId);
}

function animate(nowMs) {
  for (const panel of panels.values()) panel.strip.frame(nowMs);
  requestAnimationFrame(animate);
}

function updateText() {
  const nowMs = performance.now();
  for (const panel of panels.values()) panel.update(nowMs);
  document.getElementById("no-beds")?.toggleAttribute("hidden", !feed.alive || panels.size > 0);
  showConnection();
  announceAlarms();
}

function showConnection() {
  const lost = document.getElementById("lost");
  const since = feed.lastMessageS;
  lost.hidden = feed.alive || since === null;
  if (!lost.hidden) {
    lost.textContent = `The line to the gateway is lost since ${clockTime(since)}. Nothing here is current.`;
  }
  const state = feed.alive ? "live" : since === null ? "connecting" : "lost";
  document.body.dataset.connection = state;
  document.getElementById("connection").textContent =
    { live: "Live", connecting: "Connecting…", lost: "Not connected" }[state];
  if (feed.nowS !== null) document.getElementById("clock").textContent = clockTime(feed.nowS);
}

function announceAlarms() {
  const calling = [];
  for (const { model } of panels.values()) {
    for (const alarm of model.alarms) {
      const name = `${model.id} ${alarm.kind} ${alarm.onset_s}`;
      if (alarm.state === "active" && !announced.has(name)) {
        calling.push(`${model.label}: ${alarm.kind}, ${alarm.priority} priority.`);
        announced.add(name);
      }
    }
  }
  if (calling.length) document.getElementById("announcements").textContent = calling.join(" ");
}

setInterval(updateText, TEXT_INTERVAL_MS);
requestAnimationFrame(animate);
