"""Grouping of duplicates: agreement with brute force, speed and growth. Times are processor seconds."""

from __future__ import annotations

import time

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.loop.crystals.grouping import group
from niobe.loop.crystals.similarity import matcher
from tests.benchmarks.publish import publish
from tests.loop.crystals.test_grouping import by_brute_force
from tests.loop.shared_crystals import most_polymorphs, real_structures, with_copies

SEED = 7
COMMAND = "python -m pytest -m benchmark -s tests/benchmarks/test_grouping.py"
DATA = "Structures: ../shared/data/dev_mp_structures.parquet. Times: processor seconds of one process."
LIMIT = (
    "Where many share a composition, the time left is StructureMatcher's own: a reduction of each "
    "structure and a fit for each pair of one composition and size. Leaving out pairs by volume or symmetry "
    "would be faster and was not done: both would change groups."
)
Labelled = list[tuple[str, Structure]]
Row = dict[str, str]


def timed(structures: Labelled) -> tuple[dict[str, str], float]:
    started = time.process_time()
    return group(structures), time.process_time() - started


@pytest.mark.benchmark
@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_groups_are_those_of_brute_force_and_come_sooner() -> None:
    matcher()
    started, real = time.monotonic(), real_structures()
    chosen = np.random.default_rng(SEED).choice(len(real), 1000, replace=False)
    sets = {
        "drawn from the table": [(f"r{i:05d}", real[i]) for i in chosen],
        "500 with most polymorphs, and a disguised copy of each": with_copies(
            most_polymorphs(real, 500), copies=1, seed=SEED
        ),
    }
    rows: list[Row] = []
    for name, structures in sets.items():
        fast, seconds = timed(structures)
        begin = time.process_time()
        agrees = by_brute_force(structures) == fast
        brute = time.process_time() - begin
        rows.append(
            {
                "what": f"1,000 structures, {name}",
                "bar": "identical groups, ≥ 100 × faster",
                "figure": f"{'identical' if agrees else 'DIFFERENT'} ({len(set(fast.values()))} groups), "
                f"{brute:.1f} s / {seconds:.2f} s = {brute / seconds:.0f} ×",
            }
        )
        publish(
            "grouping",
            page="sources",
            title="Duplicates grouped: agreement with brute force",
            command=COMMAND,
            rows=rows,
            seconds=time.monotonic() - started,
            seeds=[SEED],
            notes=[
                DATA,
                "Brute force asks StructureMatcher about every earlier representative in turn.",
                LIMIT,
            ],
        )
        assert agrees


@pytest.mark.benchmark
@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_time_grows_no_faster_than_n_log_n() -> None:
    matcher()
    started, real = time.monotonic(), real_structures()
    rng = np.random.default_rng(SEED)
    rows: list[Row] = []
    before, count_before = 0.0, 0
    for count in (1_000, 10_000, 100_000):
        chosen = [real[i] for i in rng.choice(len(real), count // 8, replace=False)]
        groups, seconds = timed(with_copies(chosen, copies=7, seed=SEED))
        rows.append(_growth_row(count, count_before, len(set(groups.values())), seconds, before))
        publish(
            "grouping-growth",
            page="sources",
            title="Duplicates grouped: growth",
            command=COMMAND,
            rows=rows,
            seconds=time.monotonic() - started,
            seeds=[SEED],
            notes=[DATA, "An eighth are real structures, the others disguised copies of them."],
        )
        before, count_before = seconds, count


def _growth_row(count: int, count_before: int, groups: int, seconds: float, before: float) -> Row:
    bar, growth = "measured", ""
    if before:
        allowed = count * np.log(count) / (count_before * np.log(count_before))
        bar, growth = f"≤ {allowed:.1f} × the row before (N log N)", f", {seconds / before:.1f} ×"
    return {
        "what": f"{count:,} structures",
        "bar": bar,
        "figure": f"{seconds:.1f} s, {groups:,} groups{growth}",
    }
