"""Shares add up, and a bandit follows discoveries without letting any generator die."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niobe.loop.documents.records import Lineage, StructureRecord, Verdict
from niobe.loop.generators.mix import bandit_shares, counts, without
from tests.loop.factory import nbo, validated

SHARES = {"gan": 0.5, "random": 0.5}


def record(generator: str, found: bool) -> StructureRecord:
    verdict = Verdict(
        formation_energy_per_atom=-1.0,
        e_above_hull_found=0.0,
        e_above_hull_now=0.0,
        hull_round=1,
        discovery=found,
        discovery_round=1 if found else None,
    )
    lineage = Lineage(generator=generator)
    return validated(nbo(), -1.0, round_number=1).model_copy(update={"verdict": verdict, "lineage": lineage})


@given(st.dictionaries(st.text(min_size=1), st.floats(0.01, 10), min_size=1), st.integers(0, 500))
def test_counts_add_up_and_none_is_off_by_one(shares: dict[str, float], total: int) -> None:
    found = counts(shares, total)
    assert sum(found.values()) == total
    for name, share in shares.items():
        assert abs(found[name] - total * share / sum(shares.values())) <= 1


def test_the_bandit_leans_towards_the_generator_that_discovers() -> None:
    records = [record("gan", True)] * 8 + [record("gan", False)] * 4 + [record("random", False)] * 12
    found = bandit_shares(SHARES, records, draws=2000, seed=1)
    assert sum(found.values()) == pytest.approx(1)
    assert found["gan"] > 0.7
    assert found["random"] >= 0.25 - 1e-9


def test_the_bandit_knows_nothing_at_first() -> None:
    found = bandit_shares(SHARES, [], draws=20_000, seed=1)
    assert found["gan"] == pytest.approx(0.5, abs=0.02)


def test_without_the_gan_its_part_goes_to_who_is_in_the_mix_or_to_all_that_can() -> None:
    mix = {"gan": 1.0, "random": 0.3, "soft_mode": 0.2}
    assert without(mix, "gan", ("random", "prototype")) == {"random": 0.3}
    assert without({"gan": 1.0}, "gan", ("random", "prototype")) == {"random": 1.0, "prototype": 1.0}
