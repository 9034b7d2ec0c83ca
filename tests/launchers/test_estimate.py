"""What a campaign would cost: counts that follow the file, and time that follows the counts."""

from __future__ import annotations

from typing import Any

import pytest

from niobe.config.loading import with_changes
from niobe.config.spec import CampaignSpec
from niobe.launchers.estimate import estimate

SPEC = CampaignSpec(id="a", elements=("Nb", "O"))


def of(**changes: Any) -> dict[str, Any]:
    return estimate(with_changes(SPEC, {key.replace("__", "."): value for key, value in changes.items()}))


def test_validations_are_those_that_budget_and_batch_allow() -> None:
    few = of(budget={"rounds": 3, "validations": 100}, acquisition__batch=4)
    assert (few["validations"], few["candidates"]) == (12, 3 * SPEC.generation.candidates)
    assert of(budget={"rounds": 3, "validations": 7}, acquisition__batch=4)["validations"] == 7


def test_a_prior_takes_time_and_less_where_only_a_share_is_relaxed_further() -> None:
    without, default = of(prerelax=None), of()
    sparing = of(prerelax={"potential": "chgnet", "first_steps": 5, "steps": 50, "keep": 0.1})
    assert (without["prerelax"], without["pre-relaxation minutes"]) == ("none", 0)
    assert default["pre-relaxation minutes"] == pytest.approx(
        2.5 * sparing["pre-relaxation minutes"], rel=0.05
    )
    assert default["oracle minutes"] < without["oracle minutes"]  # fewer crystals of each element


def test_a_slower_judge_of_phonons_makes_validations_dearer_and_seeds_not() -> None:
    judge = {"oracle": "7net-l3i5"}
    few, many = {"budget": {"rounds": 1, "validations": 4}}, {"budget": {"rounds": 1, "validations": 8}}
    more = [
        of(**most, phonons=judge)["oracle minutes"] - of(**most)["oracle minutes"] for most in (few, many)
    ]
    assert more[1] == pytest.approx(2 * more[0], abs=0.2) and more[0] > 0
    off = {"enabled": False}
    assert of(**few, phonons=off)["oracle minutes"] == of(**few, phonons=off | judge)["oracle minutes"]


def test_seeds_are_those_of_files_and_sources_too() -> None:
    plain = of()["seeds up to"]
    assert estimate(SPEC, own=7)["seeds up to"] == plain + 7
    sources = [{"name": "oqmd", "kind": "oqmd"}]
    without = of(sources=[])["seeds up to"]
    assert of(sources=sources, recompute__budget=9)["seeds up to"] == without + 9


def test_every_subsystem_has_competing_phases() -> None:
    """Of three elements three binary systems and one ternary, each with as many as the file allows, twice."""
    asked = [
        of(elements=["Al", "Ni", "Zr"], seeds__max_prototypes=most)["seeds up to"] for most in (0, 1, 10)
    ]
    assert [count - asked[0] for count in asked] == [0, 8, 80]


def test_workers_share_oracle_and_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIOBE_WORKERS", "1")
    one = of()
    monkeypatch.setenv("NIOBE_WORKERS", "4")
    four = of()
    shared = one["oracle minutes"] + one["pre-relaxation minutes"]
    assert one["wall minutes"] - four["wall minutes"] == pytest.approx(0.75 * shared, abs=0.2)


def test_what_goals_and_a_temperature_ask_of_the_oracle_is_counted() -> None:
    """Bulk moduli of 24 results a round at most, or of all; force constants of competing compositions."""
    small = {"budget": {"rounds": 2, "validations": 8}, "seeds__max_prototypes": 0}
    plain, modulus = of(**small), {"property": "bulk_modulus", "maximize": True}
    assert "asked for goals up to" not in plain and "force constants up to" not in plain
    stiff = of(**small, goals=[modulus])
    results = plain["validations"] + plain["seeds up to"]
    assert stiff["asked for goals up to"] == min(results, 72)
    assert stiff["oracle minutes"] > plain["oracle minutes"]
    many = of(budget={"rounds": 2, "validations": 900}, acquisition__batch=450, goals=[modulus])
    assert many["asked for goals up to"] == 72
    light = of(**small, goals=[{"property": "density", "range": [None, 3]}])
    assert "asked for goals up to" not in light
    hot = of(**small, conditions={"temperature": 300})
    assert hot["force constants up to"] == 2 and hot["oracle minutes"] > plain["oracle minutes"]


def test_dft_that_confirms_costs_its_budget_of_seconds() -> None:
    def of_finds(**confirm: Any) -> float:
        asked = of(challenge={"enabled": False}, confirm={"oracles": ["gpaw"]} | confirm)
        return float(asked["challenge and confirm minutes up to"])

    assert of_finds(seconds=2400) == 40.0
    assert of_finds(seconds=2400, enabled=False) == 0.0
    assert 0 < of_finds(share=0.1) == pytest.approx(of_finds(share=0.2) / 2, abs=0.1)
