"""Grouping of duplicates: agreement with brute force, speed and growth."""

from __future__ import annotations

import time

import numpy as np
import pytest
from pymatgen.core import Structure

from loop.grouping import group
from loop.similarity import matcher
from tests.benchmarks.figures import publish
from tests.loop.crystals import most_polymorphs, real_structures, with_copies
from tests.loop.test_grouping import by_brute_force

SEED = 7


def timed(structures: list[tuple[str, Structure]]) -> tuple[dict[str, str], float]:
    started = time.process_time()
    return group(structures), time.process_time() - started


@pytest.mark.benchmark
@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_grouping() -> None:
    """Processor seconds of one process, so that other work on the machine counts little."""
    started = time.monotonic()
    matcher()
    real = real_structures()
    rng = np.random.default_rng(SEED)
    plain = [(f"r{i:05d}", real[i]) for i in rng.choice(len(real), 1000, replace=False)]
    crowded = with_copies(most_polymorphs(real, 500), copies=1, seed=SEED)
    rows = []
    agreements = {}
    for name, structures in (("random real structures", plain), ("most polymorphs, each twice", crowded)):
        fast, seconds = timed(structures)
        begin = time.process_time()
        slow = by_brute_force(structures)
        brute = time.process_time() - begin
        agreements[name] = fast == slow
        rows.append(
            {
                "what": f"10^3, {name}: brute force / grouping",
                "bar": "identical groups, ≥ 100 ×",
                "figure": f"{'identical' if fast == slow else 'DIFFERENT'} "
                f"({len(set(fast.values()))} groups), "
                f"{brute:.1f} s / {seconds:.2f} s = {brute / seconds:.0f} ×",
            }
        )
    times = {}
    for count in (1_000, 10_000, 100_000):
        chosen = [real[i] for i in rng.choice(len(real), count // 8, replace=False)]
        groups, times[count] = timed(with_copies(chosen, copies=7, seed=SEED))
        rows.append(
            {
                "what": f"{count} structures, each real one with 7 disguised copies",
                "bar": "measured",
                "figure": f"{times[count]:.1f} s, {len(set(groups.values()))} groups",
            }
        )
    for small, large in ((1_000, 10_000), (10_000, 100_000)):
        allowed = large * np.log(large) / (small * np.log(small))
        rows.append(
            {
                "what": f"growth from {small} to {large}",
                "bar": f"≤ {allowed:.1f} × (N log N)",
                "figure": f"{times[large] / times[small]:.1f} ×",
            }
        )
    publish(
        "grouping",
        title="Duplicates grouped across sources",
        command="python -m pytest -m benchmark -s tests/benchmarks/test_grouping.py",
        rows=rows,
        seconds=time.monotonic() - started,
        seeds=[SEED],
        notes=[
            "Structures: ../shared/data/dev_mp_structures.parquet. Times: processor seconds, one process.",
            "Brute force asks StructureMatcher about each structure and every representative before it.",
        ],
    )
    assert all(agreements.values())
