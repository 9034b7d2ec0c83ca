"""``python -m tests.benchmarks.novelty``: verdicts of cases whose answer is known, and what they cost."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console

from niobe.launchers.embedded import ensure_server, stop_server
from niobe.loop.store.database import Database
from tests.benchmarks.materials import materials
from tests.benchmarks.novelty import cases
from tests.benchmarks.novelty.scores import Score, apart, know, known, ordered, substituted
from tests.benchmarks.publish import publish

SEED = 1
_MOST_LISTED = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.novelty")
    parser.add_argument("--share", type=float, default=1.0, help="of all cases, to try it")
    parser.add_argument("--publish", action="store_true", help="write figures and docs")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            database = Database.connect(ensure_server(Path(folder)), "novelty")
            scores = measured(database, options.share)
            database.close()
        finally:
            stop_server(Path(folder))
    rows = [score.row(what, bar) for what, bar, score in scores]
    notes = [f"{what}: {line}" for what, _, score in scores for line in score.wrong[:_MOST_LISTED]]
    notes += [
        f"{what}: the two disagree on {len(score.disputes)}: {'; '.join(score.disputes[:_MOST_LISTED])}"
        for what, _, score in scores
        if score.disputes
    ]
    Console().print(rows, notes)
    if options.publish:
        publish(
            "novelty",
            page="sources",
            title="What finds are called whose answer is known",
            command="python -m tests.benchmarks.novelty --publish",
            rows=rows,
            notes=notes,
            seconds=time.monotonic() - started,
            seeds=[SEED],
        )


def measured(database: Database, share: float) -> list[tuple[str, str, Score]]:
    """What was asked, its bar and its score, for each kind of case; a share of the full numbers."""
    table = dict(zip(materials().ids, materials().structures, strict=True))
    disguises = list(cases.disguises(round(300 * share), SEED))
    substitutions = list(cases.substitutions(round(100 * share), SEED))
    parents = cases.disordered_parents(SEED)
    orderings = list(cases.orderings(parents, 3, SEED))
    polymorphs = list(cases.polymorphs(round(200 * share), SEED))
    know(database, [(case.of, table[case.of]) for case in [*disguises, *substitutions]])
    know(database, [(f"parent-{name}", parent) for name, parent in parents])
    return [
        ("disguised: setting, supercell, rotation, origin, 2 % strain", "100 %", known(database, disguises)),
        ("substitutions", "≥ 95 %", substituted(database, substitutions, table)),
        (
            "orderings of 10 disordered parents",
            "≥ 90 %",
            ordered(database, orderings),
        ),
        ("polymorphs, not called known as another", "≥ 99 %", apart(database, polymorphs, table)),
    ]


if __name__ == "__main__":
    main()
