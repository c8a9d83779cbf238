"""`make ec57`: the gateway's beats, runs, episodes and heart rate by the rules of ANSI/AAMI EC57.

    python -m tests.accuracy.ec57_report [--update]

The gateway's own pipeline with the served model over MIT-BIH (and, for ventricular fibrillation,
over `vfdb`), as `ecg-gateway analyse` runs it: channel 0 at its own rate. Writes every record and
the gross and average figures to `build/ec57.md`, prints the gross ones, and fails where one is
worse than in `ratchet.json`, which `--update` tightens.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.accuracy.ec57_beats import score_beats
from tests.accuracy.ec57_episodes import score_episodes
from tests.accuracy.ec57_rates import score_rates
from tests.accuracy.ec57_runs import score_runs
from tests.accuracy.figures import Counted, Figure, Values, average, gross, markdown, values
from tests.accuracy.gateway_run import GatewayRun, for_each, run_gateway
from tests.accuracy.halves import present_halves
from tests.accuracy.r_peaks import DS1, DS2, PACED
from tests.accuracy.ratchet import check
from tests.accuracy.reference import Reference, read_reference

SECTION = "ec57"
REPORT = Path("build/ec57.md")
TABLES: dict[str, Callable[[Reference, GatewayRun], dict[str, Figure]]] = {
    "Beats": score_beats,
    "Ventricular runs": score_runs,
    "Episodes": score_episodes,
    "Heart rate": score_rates,
}
MITDB_GROUPS = {
    "DS1": DS1.split(),
    "DS2": DS2.split(),
    "DS1 and DS2": sorted(f"{DS1} {DS2}".split()),
    "paced": PACED.split(),
}
LEGEND = """Percent (counts); durations in seconds; `rate error bpm` is the root of the mean square.
The rules stand in the docstrings of `tests/accuracy/ec57_*.py`."""
# Of DS2, with runs, fusion, fibrillation and supraventricular beats: every test run repeats them.
QUICK = "200 210 213 219 222 233"
RECORDED = {"DS2": MITDB_GROUPS["DS2"], "quick": QUICK.split()}  # the classifier has seen DS1
Scores = dict[str, dict[str, dict[str, Figure]]]  # record → table → figure


def score_record(
    name: str, folder: Path, tables: Sequence[str] = tuple(TABLES)
) -> dict[str, dict[str, Figure]]:
    """Table → figures of one record."""
    return score_run(read_reference(folder / name), run_gateway(folder / name), tables)


def score_run(
    reference: Reference, run: GatewayRun, tables: Sequence[str] = tuple(TABLES)
) -> dict[str, dict[str, Figure]]:
    return {table: TABLES[table](reference, run) for table in tables}


def gross_figures(scores: Scores, names: list[str]) -> Values:
    """Of every table."""
    tables = next(iter(scores.values()))
    return {
        figure: value
        for table in tables
        for figure, value in values(gross(scores[name][table] for name in names)).items()
    }


def report(title: str, scores: Scores, groups: Mapping[str, list[str]]) -> tuple[str, str]:
    """Every line of every table, and the gross lines alone, as Markdown."""
    full, summary = [], []
    for table in next(iter(scores.values())):
        records = {name: scores[name][table] for name in sorted(scores)}
        counted = {group: [records[name] for name in names] for group, names in groups.items()}
        sums: dict[str, Counted | Values] = {
            f"{group}, gross": gross(of_group) for group, of_group in counted.items()
        }
        means = {f"{group}, average": average(of_group) for group, of_group in counted.items()}
        full.append(markdown(f"{table}, {title}", {**records, **sums, **means}))
        summary.append(markdown(f"{table}, {title}", sums))
    return "\n".join(full), "\n".join(summary)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="tighten the ratchet")
    arguments = parser.parse_args()
    data = Path(os.environ.get("ECG_DATA", "../shared/data"))
    names = [name for group in ("DS1 and DS2", "paced") for name in MITDB_GROUPS[group]]
    mitdb = for_each(partial(score_record, folder=data / "mitdb"), names, "mitdb")
    halves = present_halves(data / "vfdb")
    scored = partial(score_record, folder=data / "vfdb", tables=("Episodes",))
    vfdb = for_each(scored, halves["all"], "vfdb")
    pages = [report("mitdb", mitdb, MITDB_GROUPS), report("vfdb", vfdb, halves)]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(f"# EC57\n\n{LEGEND}\n" + "\n".join(full for full, _ in pages))
    print("\n".join(summary for _, summary in pages))
    print(f"Every record: {REPORT}")
    reached = {group: gross_figures(mitdb, names) for group, names in RECORDED.items()}
    reached |= {f"vfdb {half}": gross_figures(vfdb, halves[half]) for half in ("tune", "report")}
    worse = check(SECTION, reached, arguments.update)
    print(*worse, sep="\n")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
