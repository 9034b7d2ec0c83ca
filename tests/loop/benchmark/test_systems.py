"""Systems side by side: what the arms are, what a protocol gives, what the judge counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec
from niobe.loop.benchmark.generative import Run
from niobe.loop.benchmark.systems import (
    IN_EQUAL,
    PROTOCOLS,
    SHORT,
    SYSTEMS,
    Rules,
    Spent,
    Unit,
    arms,
    beside,
    beside_in_equal,
    campaign,
    compared,
    curves,
    in_equal,
    rediscovered,
)
from niobe.loop.documents.records import Status, StructureRecord
from tests.loop.factory import element, nbo, rocksalt, rutile, validated

RULES = Rules(calls=30, batch=10, candidates=60)


@pytest.fixture
def known(tmp_path: Path) -> list[str]:
    file = tmp_path / "cscl.cif"
    cscl("Al", "Ni").to(filename=str(file))
    return [str(file)]


def cscl(one: str, other: str) -> Structure:
    return Structure(Lattice.cubic(2.9), [one, other], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


def test_eighteen_systems_and_eight_of_them() -> None:
    assert len(set(SYSTEMS)) == 18
    assert len(SHORT) == 8
    assert set(SHORT) < set(SYSTEMS)
    assert all(system == "-".join(sorted(system.split("-"))) for system in SYSTEMS)


def test_a_protocol_gives_what_is_known_or_keeps_it_out(known: list[str]) -> None:
    specs = {protocol: campaign("Al-Ni", protocol, known, RULES) for protocol in PROTOCOLS}
    assert specs["kept-out"].seeds.exclude == tuple(known)
    assert specs["kept-out"].seeds.files == ()
    assert specs["given"].seeds.files == tuple(known)
    assert specs["given"].seeds.exclude == ()
    assert (specs["made"].budget.validations, specs["made"].limits.max_atoms) == (50, 20)
    assert {spec.seeds.max_prototypes for spec in specs.values()} == {0}
    assert len({spec.id for spec in specs.values()}) == 3


def test_arms_differ_in_what_they_name_alone(known: list[str]) -> None:
    found = {arm.name: arm.spec for arm in arms(campaign("Al-Ni", "kept-out", known, RULES))}
    assert list(found) == ["random", "ranked", "plain", "niobe"]
    assert _generators(found["random"]) == ["random"]
    assert (found["random"].prerelax, found["random"].acquisition.function) == (None, "random")
    assert found["ranked"].prerelax is not None
    assert (found["ranked"].acquisition.function, found["ranked"].surrogate.retrain) == ("greedy", False)
    assert found["plain"].prerelax is None
    assert "offspring" in _generators(found["niobe"])
    spent = {(spec.budget, spec.acquisition.batch, spec.generation.candidates) for spec in found.values()}
    assert len(spent) == 1


def _generators(spec: CampaignSpec) -> list[str]:
    return [part.name for part in spec.generation.mix]


ELEMENTS = [validated(element("Nb"), -10.0, index=0), validated(element("O", 3.0), -5.0, index=1)]
LABELS = {"peer": "a peer", "niobe": "Niobe"}


def run(name: str, *calls: Structure, seeds: tuple[StructureRecord, ...] = tuple(ELEMENTS)) -> Run:
    """A run of half an hour; NbO at -9 eV/atom, other crystals at -8."""
    records = [
        validated(
            structure,
            -9.0 if structure.composition.reduced_formula == "NbO" else -8.0,
            round_number=1,
            index=index,
        )
        for index, structure in enumerate(calls)
    ]
    return Run(setting=name, seed=1, seeds=seeds, calls=tuple(records), seconds=1800.0)


def test_one_judge_counts_unique_finds_at_each_tolerance() -> None:
    peer, niobe = run("peer", nbo(), nbo(4.21), seeds=()), run("niobe", nbo(), rutile())
    known = [validated(nbo(), -9.0), *ELEMENTS]
    theirs, ours = compared([peer, niobe], known, LABELS, ["Nb", "O"], calls=4)
    assert [theirs[f"finds, ε {tolerance}"] for tolerance in ("0", "0.02", "0.1")] == [1, 1, 1]
    assert (theirs["arm"], theirs["known found"], theirs["known"], theirs["calls"]) == ("a peer", 1, 1, 2)
    assert (ours["finds, ε 0.1"], ours["minutes"], ours["finds an hour"]) == (2, 30, 4)
    drawn = curves([peer, niobe], known, LABELS, ["Nb", "O"], calls=4)
    assert drawn == {"a peer": [[True, False, False, False]], "Niobe": [[True, True, False, False]]}


@pytest.mark.parametrize("depth", [-11.0, -60.0])
def test_an_unphysical_minimum_of_a_peer_spoils_no_ones_finds(depth: float) -> None:
    """Elements at -10 and -5 eV/atom: -6.67 on average in rutile, which lies 4.3 or 53 below; only the second
    is deeper than any solid. Peers' calls have no verdicts."""
    deep = validated(rutile(), depth, round_number=1, index=1)
    peer = run("peer", nbo(), seeds=())
    peer = peer.model_copy(update={"calls": (*peer.calls, deep)})
    known = [validated(nbo(), -9.0), *ELEMENTS]
    theirs, ours = compared([peer, run("niobe", nbo())], known, LABELS, ["Nb", "O"], calls=4)
    found = (theirs["finds, ε 0.1"], ours["finds, ε 0.1"])
    assert found == ((1, 1) if depth < -20 else (1, 0))


def test_figures_over_calls_are_against_the_search_at_random() -> None:
    """Of four calls chance makes its only find by the second, Niobe by the first: areas of 3 and 4 tenths.
    NbO lies half an electronvolt above the known one."""
    chance, niobe = run("random", nbo(), rutile()), run("niobe", rutile(), nbo())
    known = [validated(nbo(), -9.5), *ELEMENTS]
    labels = {"random": "at random", "niobe": "Niobe"}
    rows = compared([chance, niobe], known, labels, ["Nb", "O"], calls=4)
    found = [(row["finds, ε 0.1"], row["mSUN"], row["AUDC"], row["AF 50%"]) for row in rows]
    assert found == [(1, 0.25, 0.3, 1), (1, 0.25, 0.4, 2)]
    alone = compared([niobe], known, labels, ["Nb", "O"], calls=4)
    assert [row["AF 50%"] for row in alone] == [None]


def test_known_compounds_are_found_by_what_calls_relaxed_into() -> None:
    known = [validated(nbo(), -9.0), validated(rutile(), -9.0, index=1), *ELEMENTS]
    assert rediscovered(run("niobe", rocksalt(), nbo(4.25), nbo()), known) == 1


def test_ratios_are_medians_over_systems_and_say_the_least() -> None:
    rows = [
        {"system": system, "protocol": "given", "arm": arm, "finds, ε 0.1": finds}
        for system, arm, finds in [
            *(("A-B", "Niobe", 6.0), ("A-B", "peer", 2.0)),
            *(("C-D", "Niobe", 4.0), ("C-D", "peer", 4.0), ("E-F", "peer", 9.0)),
        ]
    ]
    assert beside(rows, "Niobe") == {"peer": "2.00 ×, least 1.00 × over 2"}


def test_in_equal_time_counts_what_was_over_when_the_first_ended() -> None:
    """Niobe is over after 100 s; by then the peer made one of its two finds."""
    peer, niobe = Spent("peer", (50.0, 150.0), 200.0), Spent("niobe", (40.0, 90.0, 90.0), 100.0)
    assert in_equal("time", [peer], [niobe]) == {"finds in equal time": 1, "Niobe's by then": 3}
    assert in_equal("time", [Spent("peer", (50.0,), 50.0)], [niobe])["Niobe's by then"] == 1
    unknown = Spent("peer", None, 0.0)
    assert set(in_equal("time", [unknown], [niobe]).values()) == {None}


def test_a_call_is_timed_by_when_it_was_over() -> None:
    calls = run("peer", nbo(), rutile()).model_copy(update={"ended": (10.0, 20.0)})
    assert Spent.of("time", calls, [False, True, False]) == Spent("peer", (20.0,), 1800.0)
    assert Spent.of("time", calls.model_copy(update={"ended": ()}), [True, True]).finds is None
    assert Spent.of("time", calls.model_copy(update={"seconds": None}), [True, True]).finds is None


def test_evaluations_are_the_geometries_asked_about() -> None:
    """Of three relaxations of 4, unknown and 6 geometries the failed one counts as the longest; each has a
    symmetrised end."""
    records = run("niobe", nbo(), rutile(), rocksalt()).calls
    assert records[0].validation and records[2].validation
    steps = (4, 0, 6)
    told = [
        record.model_copy(update={"validation": record.validation.model_copy(update={"steps": own})})
        for record, own in zip(records, steps, strict=True)
        if record.validation
    ]
    told[1] = told[1].model_copy(update={"validation": None, "status": Status.FAILED})
    campaign_run = Run.of("niobe", 1, told, 60.0)
    assert campaign_run.evaluated == (5, 12, 19)
    assert Spent.of("evaluations", campaign_run, [True, False, True]) == Spent("niobe", (5, 19), 19)
    assert Spent.of("evaluations", campaign_run.model_copy(update={"evaluated": ()}), [True]).finds is None
    peer = Spent("peer", (9.0, 30.0), 40.0)
    found = in_equal("evaluations", [peer], [Spent.of("evaluations", campaign_run, [True, False, True])])
    assert found == {"finds in equal evaluations": 1, "Niobe's in as many": 2}


@pytest.mark.parametrize("unit", IN_EQUAL)
def test_ratios_in_equal_time_or_evaluations_leave_out_what_is_not_known(unit: Unit) -> None:
    theirs, mine = IN_EQUAL[unit]
    rows: list[dict[str, Any]] = [
        {"arm": "peer", theirs: 2, mine: 5},
        {"arm": "other", theirs: None, mine: None},
        {"arm": "Niobe", theirs: 5, mine: 5},
    ]
    assert beside_in_equal(unit, rows, "Niobe") == {"peer": "2.50 ×, least 2.50 × over 1"}
