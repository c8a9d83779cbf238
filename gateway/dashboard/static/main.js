// Joins the event stream to one panel for each bed. A bed alone on the page shows its details.

import { BedModel } from "./bed_model.js";
import { BedPanel } from "./bed_panel.js";
import { Feed } from "./feed.js";
import { clockTime, isCalling } from "./words.js";

const TEXT_INTERVAL_MS = 250;
const DETAILS_INTERVAL_MS = 1000;
const CONNECTION_WORDS = { live: "Live", connecting: "Connecting…", lost: "Not connected" };

const pageTitle = document.title;
const onlyBed = document.body.dataset.bed;
const container = document.getElementById("beds");
const template = document.getElementById("bed-panel");
const panels = new Map();
const announced = new Set();
const query = onlyBed === undefined ? "" : `?bed=${encodeURIComponent(onlyBed)}`;
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
  }
  updateText();
  if (fresh) updateDetails();
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
  document.getElementById("no-beds").hidden = !feed.alive || panels.size > 0;
  showConnection();
  callOut();
}

function updateDetails() {
  if (panels.size !== 1 || feed.nowS === null) return;
  const [panel] = panels.values();
  panel.updateDetails(performance.now(), feed.nowS);
}

function showConnection() {
  const lost = document.getElementById("lost");
  const since = feed.lastMessageS;
  const state = feed.alive ? "live" : since === null ? "connecting" : "lost";
  document.body.dataset.connection = state;
  setText(document.getElementById("connection"), CONNECTION_WORDS[state]);
  lost.hidden = state !== "lost";
  if (state === "lost") {
    setText(lost, `No connection to the gateway since ${clockTime(since)}. Nothing here is current.`);
  }
  if (feed.nowS !== null) setText(document.getElementById("clock"), clockTime(feed.nowS));
}

/** Alarms that nobody has acknowledged: in the title, and once each to a screen reader. */
function callOut() {
  const calling = [];
  const news = [];
  for (const { model } of panels.values()) {
    for (const alarm of model.alarms.filter(isCalling)) {
      const name = `${model.id} ${alarm.kind} ${alarm.onset_s}`;
      calling.push(`${model.label}: ${alarm.kind}`);
      if (!announced.has(name)) news.push(`${model.label}: ${alarm.kind}, ${alarm.priority} priority.`);
      announced.add(name);
    }
  }
  document.title = calling.length ? `! ${calling.join(", ")}` : pageTitle;
  if (news.length) document.getElementById("announcements").textContent = news.join(" ");
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

setInterval(updateText, TEXT_INTERVAL_MS);
setInterval(updateDetails, DETAILS_INTERVAL_MS);
requestAnimationFrame(animate);
