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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.accuracy.challenge2015 import KINDS, Answer, answer_record, score_answer
from tests.accuracy.ec57_report import QUICK
from tests.accuracy.false_alarms import URGENT, JudgedRecord, false_alarm_lines, judge_record
from tests.accuracy.figures import Figure, Values, gross, markdown
from tests.accuracy.gateway_run import for_each
from tests.accuracy.halves import present_halves
from tests.accuracy.lethal_rhythms import score_lethal
from tests.accuracy.r_peaks import DS2
from tests.accuracy.ratchet import check

SECTION = "alarms"
REPORT = Path("build/alarms.md")
ALL_KINDS = "all kinds"
LETHAL, FALSE = "VT and VF within 10 s, vfdb", "False alarms, DS2"
FALSE_QUICK = f"False alarms, {QUICK}"
Tables = dict[str, dict[str, dict[str, Figure]]]  # title → line → figure
HELD = {  # title → line, and its figures that may not get worse
    "Challenge 2015, tune": (ALL_KINDS, ("score",)),
    "Challenge 2015, report": (ALL_KINDS, ("score",)),
    LETHAL: ("report", ("VT or VF Se", "VF Se")),
    FALSE: (URGENT, ("false /h", "false where none is /h")),
    FALSE_QUICK: (URGENT, ("false /h", "false where none is /h")),
}


def challenge_lines(answers: Sequence[Answer]) -> dict[str, dict[str, Figure]]:
    """A line for each kind of alarm and one for all of them."""
    kinds = {name: [each for each in answers if each.alarm.name == name] for name in KINDS}
    return {
        name: gross(map(score_answer, of_kind))
        for name, of_kind in {**kinds, ALL_KINDS: answers}.items()
        if of_kind
    }


def wrong_answers(
    answers: Mapping[str, Answer], judged: Mapping[str, JudgedRecord]
) -> Iterator[str]:
    """A line for each alarm that was wrongly kept, suppressed or raised."""
    for record, answer in answers.items():
        if answer.agrees != answer.alarm.is_true:
            word = "missed" if answer.alarm.is_true else "not suppressed"
            yield f"- challenge2015 {record}: {answer.alarm.name} {word}"
    for record, found in judged.items():
        for alarm in found.false:
            since = f"since {alarm.onset_s:.1f} s, raised at {alarm.raised_s:.1f} s"
            yield f"- mitdb {record}: {alarm.kind} {since}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="tighten the ratchet")
    arguments = parser.parse_args()
    data = Path(os.environ.get("ECG_DATA", "../shared/data"))
    challenge, vfdb = (present_halves(data / name) for name in ("challenge2015", "vfdb"))
    answers = for_each(
        partial(answer_record, folder=data / "challenge2015"), challenge["all"], "challenge2015"
    )
    lethal = for_each(partial(score_lethal, folder=data / "vfdb"), vfdb["all"], "vfdb")
    judged = for_each(partial(judge_record, folder=data / "mitdb"), DS2.split(), "mitdb")
    tables: Tables = {
        f"Challenge 2015, {half}": challenge_lines([answers[name] for name in names])
        for half, names in challenge.items()
    }
    tables[LETHAL] = {half: gross(lethal[name] for name in names) for half, names in vfdb.items()}
    tables[FALSE] = false_alarm_lines([*judged.values()])
    tables[FALSE_QUICK] = false_alarm_lines([judged[name] for name in QUICK.split()])
    return _tell(tables, wrong_answers(answers, judged), arguments.update)


def _tell(tables: Tables, wrong: Iterable[str], update: bool) -> int:
    text = "\n".join(markdown(title, lines) for title, lines in tables.items())
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join([f"# Alarms\n\n{text}\n## Wrong answers\n", *wrong, ""]))
    print(f"{text}\nEvery wrong answer: {REPORT}")
    worse = check(SECTION, held_to_ratchet(tables), update)
    print(*worse, sep="\n")
    return 1 if worse else 0


def held_to_ratchet(tables: Tables) -> dict[str, Values]:
    """Of the tables that are there; what one kind of alarm rests on is too few alarms."""
    return {
        title: {figure: tables[title][line][figure].value for figure in figures}
        for title, (line, figures) in HELD.items()
        if title in tables
    }


if __name__ == "__main__":
    sys.exit(main())
