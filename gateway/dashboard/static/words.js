// What the page says, in a nurse's words.

export const UNKNOWN = "—";

const QUALITY_REASONS = {
  "gap": "samples missing",
  "lead off": "electrode off",
  "flat": "flat line",
  "clipped": "signal cut off at the limit",
  "mains": "mains hum",
  "baseline wander": "baseline wander",
  "muscle": "muscle noise",
  "electrode motion": "electrode movement",
  "implausible rate": "rate not plausible",
  "detector disagreement": "beats uncertain",
  "template mismatch": "beats do not match each other",
};

export const PRIORITIES = ["high", "medium", "low"];

const ALARM_STATES = {
  active: "",
  acknowledged: "acknowledged",
  latched: "over, not acknowledged",
  ended: "ended",
};

/** AAMI classes, and null for a beat whose signal did not allow one. */
export const BEAT_CLASSES = new Map([
  ["N", "normal"],
  ["S", "supraventricular"],
  ["V", "ventricular"],
  ["F", "fusion"],
  ["Q", "unclassifiable"],
  [null, "not classified"],
]);

const clockFormat = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const dayFormat = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export function clockTime(unixSeconds) {
  return clockFormat.format(unixSeconds * 1000);
}

export function dayAndTime(unixSeconds, nowS) {
  const day = dayFormat.format(unixSeconds * 1000);
  const today = dayFormat.format(nowS * 1000);
  return day === today ? clockTime(unixSeconds) : `${day} ${clockTime(unixSeconds)}`;
}

export function reasonsInWords(reasons) {
  return reasons.map((reason) => QUALITY_REASONS[reason] ?? reason).join(", ");
}

/** Whether an alarm still waits for somebody: one that is over, but was never seen, does too. */
export function isCalling(alarm) {
  return alarm.state === "active" || alarm.state === "latched";
}

export function alarmInWords(alarm) {
  const escalated = isCalling(alarm) && alarm.escalated_s ? "escalated" : "";
  const words = [ALARM_STATES[alarm.state], escalated].filter(Boolean);
  return [`since ${clockTime(alarm.onset_s)}`, ...words].join(", ");
}

/** The rates between which nothing alarms; a patient's own are marked. */
export function limitsInWords(rateLimits, areOwn) {
  if (rateLimits === null) return UNKNOWN;
  return `${rateLimits.join("–")}${areOwn ? " own" : ""}`;
}

/** Pairs of a measure's name and its value; what is not known is "—". */
export function variabilityInWords(variability) {
  const measures = [
    ["SDNN", "sdnn_ms", 0, " ms"],
    ["RMSSD", "rmssd_ms", 0, " ms"],
    ["pNN50", "pnn50_percent", 0, " %"],
    ["LF/HF", "lf_hf", 1, ""],
  ];
  return measures.map(([name, key, digits, unit]) => {
    const value = variability?.[key] ?? null;
    return [name, value === null ? UNKNOWN : `${value.toFixed(digits)}${unit}`];
  });
}

export function spectrumInWords(spectrum) {
  if (!spectrum?.magnitude_uv) return UNKNOWN;
  const { peak_hz: peak, mains_hz: mains, mains_uv: hum, baseline_uv: wander } = spectrum;
  return `peak ${peak.toFixed(1)} Hz · ${mains} Hz mains ${hum.toFixed(0)} µV · baseline ${wander.toFixed(0)} µV`;
}

export function beatInWords(beat) {
  const words = BEAT_CLASSES.get(beat.class);
  if (beat.class === null) return words;
  return `${beat.class} · ${words}, p(abnormal) ${beat.p_abnormal.toFixed(2)}`;
}
