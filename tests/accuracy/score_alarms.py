"""`make score-alarms`: are the alarms right, and how many are false?

    python -m tests.accuracy.score_alarms [--update]

The gateway's own pipeline with the served model and the default limits, on one ECG lead, as
`ecg-gateway analyse` runs it:

- the alarms of the PhysioNet/CinC Challenge 2015 (`challenge2015`), beside the baseline that
  suppresses none of them;
- ventricular tachycardia and fibrillation of `vfdb`, found within 10 s (`lethal_rhythms`);
- false alarms an hour on DS2 of MIT-BIH (`alarm_truth`), of each kind and of high and medium ones
  together, on all records and on those without an episode of the kind.

Of `vfdb` and the challenge one half was there to choose by, the other reports. Writes the tables
and every wrong answer to `build/alarms.md`, prints the tables, and fails where a figure is worse
than in `ratchet.json`, which `--update` tightens.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.accuracy.challenge2015 import (
    KINDS,
    MonitorAlarm,
    gateway_agrees,
    read_alarms,
    score_alarm,
    score_unsuppressed,
)
from tests.accuracy.false_alarms import URGENT, JudgedRecord, false_alarm_lines, judge_record
from tests.accuracy.figures import Counted, Values, gross, markdown, values
from tests.accuracy.gateway_run import for_each
from tests.accuracy.halves import read_halves
from tests.accuracy.lethal_rhythms import score_lethal
from tests.accuracy.r_peaks import DS2
from tests.accuracy.ratchet import check

SECTION = "alarms"
REPORT = Path("build/alarms.md")


def halves_of(database: str) -> dict[str, list[str]]:
    """`tune`, `report` and `all` → the records of a database."""
    named = read_halves()
    halves = {half: named[f"{database}_{half}"] for half in ("tune", "report")}
    return {**halves, "all": sorted(halves["tune"] + halves["report"])}


def challenge_lines(
    alarms: Mapping[str, MonitorAlarm], agrees: Mapping[str, bool], records: Iterable[str]
) -> dict[str, Counted]:
    """A line for each kind of alarm and one for all of them."""
    answers = [(alarms[record], agrees[record]) for record in records]
    scored = [
        (alarm.name, {**score_alarm(alarm, agreed), **score_unsuppressed(alarm)})
        for alarm, agreed in answers
    ]
    kinds = {name: [figures for of, figures in scored if of == name] for name in KINDS}
    lines = {name: gross(figures) for name, figures in kinds.items() if figures}
    return {**lines, "all kinds": gross(figures for _, figures in scored)}


def wrong_answers(
    alarms: Mapping[str, MonitorAlarm],
    agrees: Mapping[str, bool],
    judged: Mapping[str, JudgedRecord],
) -> Iterator[str]:
    """A line for each alarm that was wrongly kept, suppressed or raised."""
    for record, alarm in alarms.items():
        if agrees[record] != alarm.is_true:
            word = "missed" if alarm.is_true else "not suppressed"
            yield f"- challenge2015 {record}: {alarm.name} {word}"
    for record, found in judged.items():
        for alarm in found.false:
            since = f"since {alarm.onset_s:.1f} s, raised at {alarm.raised_s:.1f} s"
            yield f"- mitdb {record}: {alarm.kind} {since}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="tighten the ratchet")
    arguments = parser.parse_args()
    data = Path(os.environ.get("ECG_DATA", "../shared/data"))
    alarms = read_alarms(data / "challenge2015")
    agrees = for_each(
        partial(gateway_agrees, folder=data / "challenge2015"), sorted(alarms), "challenge2015"
    )
    vfdb = halves_of("vfdb")
    lethal = for_each(partial(score_lethal, folder=data / "vfdb"), vfdb["all"], "vfdb")
    judged = for_each(partial(judge_record, folder=data / "mitdb"), DS2.split(), "mitdb")
    tables = {
        f"Challenge 2015, {half}": challenge_lines(alarms, agrees, records)
        for half, records in halves_of("challenge2015").items()
    }
    tables["Ventricular tachycardia and fibrillation within 10 s, vfdb"] = {
        half: gross(lethal[name] for name in names) for half, names in vfdb.items()
    }
    tables["False alarms, DS2 of mitdb"] = false_alarm_lines([*judged.values()])
    return _tell(tables, wrong_answers(alarms, agrees, judged), arguments.update)


def _tell(tables: dict[str, dict[str, Counted]], wrong: Iterable[str], update: bool) -> int:
    text = "\n".join(markdown(title, lines) for title, lines in tables.items())
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join([f"# Alarms\n\n{text}\n## Wrong answers\n", *wrong, ""]))
    print(f"{text}\nEvery wrong answer: {REPORT}")
    worse = check(SECTION, held_to_ratchet(tables), update)
    print(*worse, sep="\n")
    return 1 if worse else 0


def held_to_ratchet(tables: Mapping[str, Mapping[str, Counted]]) -> dict[str, Values]:
    """The figures of all kinds together; those of one kind rest on a handful of alarms."""
    return {
        f"{title}, {name}": values(figures)
        for title, lines in tables.items()
        for name, figures in lines.items()
        if name in ("all kinds", "tune", "report", URGENT)
    }


if __name__ == "__main__":
    sys.exit(main())
