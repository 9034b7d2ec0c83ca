"""Many structures asked about at once: by torch-sim on a processor where it is installed, and through a
stand-in that asks one by one, what the steps of a round make of it."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from niobe.config.potentials import BATCHED
from niobe.config.spec import CampaignSpec, Oracle, Prerelaxation
from niobe.flows.oracles.base import (
    Answer,
    AsksTogether,
    UnknownFingerprintError,
    most_stress,
    require_converged,
)
from niobe.flows.oracles.batched import asking
from niobe.flows.oracles.batched.asking import Goal, Outcome, at_once, parts, relaxed, static
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import UnphysicalAnswerError, WallTimeError
from niobe.flows.stages import GPU_SLOTS, PRERELAX_SLOTS, plan
from niobe.flows.steps import prerelax
from niobe.flows.steps.prerelax import prerelax_oracle, prerelax_slot
from niobe.flows.steps.validate import validate_slot
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Lineage, Status, StructureRecord
from niobe.loop.store.database import Database
from tests.loop.factory import nbo, rutile

pytestmark = pytest.mark.filterwarnings("ignore")  # of sevenn, torch-sim and spglib
ALLOY = CampaignSpec(
    id="alloy",
    elements=("Au", "Cu"),
    oracle=Oracle(name="emt", retries=0),
    prerelax=Prerelaxation(potential="lj", steps=30),
)


def cscl(a: float) -> Structure:
    return Structure(Lattice.cubic(a), ["Cu", "Au"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


def ask_together(monkeypatch: pytest.MonkeyPatch, spoilt: Sequence[int] = ()) -> list[int]:
    """As on a GPU, in batches of 6 atoms; a stand-in for torch-sim asks about each alone. Sizes of batches,
    to come. spoilt: batches, from 1, that end in time for none."""
    sizes: list[int] = []

    def one(name: str, structure: Structure, goal: Goal) -> Outcome:
        spec = Oracle(name=name, fmax=goal.fmax, max_steps=goal.steps, device="cpu")
        if len(sizes) in spoilt:
            return WallTimeError("the batch")
        try:
            if goal.stress is None:
                return prerelax_oracle(ALLOY).relax_briefly(structure, Path())
            return ForceFieldOracle(spec).relax(structure, Path())
        except RuntimeError as error:
            return error

    def relaxed(name: str, _: str, structures: Sequence[Structure], goal: Goal) -> list[Outcome]:
        sizes.append(len(structures))
        found = [one(name, structure, goal) for structure in structures]
        return [replace(end, seconds=2.0) if isinstance(end, Answer) else end for end in found]

    monkeypatch.setattr(asking, "at_once", lambda *_: 6)
    monkeypatch.setattr(asking, "relaxed", relaxed)
    return sizes


@pytest.fixture
def databases(database: Database, mongo_uri: str) -> Iterator[tuple[Database, Database]]:
    """Two empty ones."""
    name = f"{database.mongo.name}_other"
    other = Database.connect(mongo_uri, name)
    yield database, other
    other.mongo.client.drop_database(name)
    other.close()


def stored(database: Database, status: Status, structures: Sequence[Structure]) -> list[str]:
    """A round of a campaign whose candidates, and batch, these are."""
    database.campaigns.create(ALLOY)
    records = [
        new_record(ALLOY, 1, index, structure, Lineage(generator="test")).model_copy(
            update={"status": status, "acquired_round": 1}
        )
        for index, structure in enumerate(structures)
    ]
    database.records.insert(records)
    database.rounds.open(ALLOY.id, 1)
    database.rounds.update(ALLOY.id, 1, batch=[record.id for record in records])
    return [record.id for record in records]


CRYSTALS = [cscl(3.0), cscl(3.1), cscl(3.2), cscl(9.0), cscl(3.3)]
"""The fourth came apart: too much volume for any solid."""


@pytest.mark.parametrize("spoilt", [(), (1,), (1, 2)])
def test_pre_relaxed_together_they_are_the_same_records_whatever_became_of_a_batch(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch, spoilt: tuple[int, ...]
) -> None:
    alone, together = databases
    names = stored(alone, Status.SCREENED, CRYSTALS)
    assert names == stored(together, Status.SCREENED, CRYSTALS)
    prerelax_slot(alone, ALLOY, 1, 0, 1)
    batches = ask_together(monkeypatch, spoilt)
    prerelax_slot(together, ALLOY, 1, 0, 1)
    assert batches == [3, 2]
    assert list(map(together.records.get, names)) == list(map(alone.records.get, names))
    states = [together.records.get(name).status for name in names]
    assert states == [Status.INVALID if place == 3 else Status.SCREENED for place in range(5)]


@pytest.mark.parametrize("spoilt", [(), (1,)])
def test_relaxed_together_they_are_the_same_records_but_for_the_seconds(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch, spoilt: tuple[int, ...]
) -> None:
    alone, together = databases
    names = stored(alone, Status.ACQUIRED, CRYSTALS)
    stored(together, Status.ACQUIRED, CRYSTALS)
    validate_slot(alone, ALLOY, 1, 0, 1)
    batches = ask_together(monkeypatch, spoilt)
    validate_slot(together, ALLOY, 1, 0, 1)
    assert batches == [3, 2]
    for name in names:
        one, other = alone.records.get(name), together.records.get(name)
        assert one.status is other.status
        assert (one.failure is None) or (
            other.failure is not None and one.failure.cause == other.failure.cause
        )
        if other.validation and not spoilt:
            assert other.validation.seconds["relax"] >= 2.0
    assert [together.records.get(name).status for name in names].count(Status.FAILED) == 1


def _without_seconds(record: StructureRecord) -> dict[str, Any]:
    told = record.model_dump(mode="json")
    for part in ("validation", "failure"):
        (told[part] or {}).pop("seconds", None)
    return told


def test_a_batch_that_is_cut_short_loses_what_it_asked_and_no_more(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, batches = databases[0], ask_together(monkeypatch)
    names = stored(database, Status.ACQUIRED, CRYSTALS)
    stand_in = asking.relaxed

    def cut_short(*asked: Any) -> list[Outcome]:
        if batches:
            raise KeyboardInterrupt
        return stand_in(*asked)

    monkeypatch.setattr(asking, "relaxed", cut_short)
    with pytest.raises(KeyboardInterrupt):
        validate_slot(database, ALLOY, 1, 0, 1)
    assert [database.records.get(name).status for name in names] == [*["validated"] * 3, *["acquired"] * 2]
    monkeypatch.setattr(asking, "relaxed", stand_in)
    validate_slot(database, ALLOY, 1, 0, 1)
    assert batches == [3, 2]


def test_a_disk_that_fails_is_no_candidates_fault(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> float:
        raise OSError("disk full")

    (name,) = stored(databases[0], Status.SCREENED, CRYSTALS[:1])
    monkeypatch.setattr(prerelax, "correction_of", fails)
    with pytest.raises(OSError, match="disk full"):
        prerelax_slot(databases[0], ALLOY, 1, 0, 1)
    assert databases[0].records.get(name).status is Status.SCREENED


def test_what_is_stored_is_not_asked_about_again(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, batches = databases[0], ask_together(monkeypatch)
    first, *_ = stored(database, Status.ACQUIRED, CRYSTALS[:3])
    database.records.update(first, status=Status.VETOED)
    validate_slot(database, ALLOY, 1, 0, 1)
    validate_slot(database, ALLOY, 1, 0, 1)
    assert batches == [2]
    assert database.records.get(first).status is Status.VETOED


@given(st.lists(st.integers(1, 30)), st.integers(0, 40))
def test_parts_are_in_turn_and_within_the_atoms_or_one_alone(sizes: list[int], atoms: int) -> None:
    found = list(parts(sizes, atoms, lambda size: size))
    assert [size for part in found for size in part] == sizes
    assert all(sum(part) <= atoms or len(part) == 1 for part in found)
    assert all(sum(one) + other[0] > atoms for one, other in itertools.pairwise(found))


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_what_spoils_a_batch_fails_alone(spoils: list[bool]) -> None:
    crystals = [nbo() for _ in spoils]
    spoiling = {id(crystal) for crystal, spoil in zip(crystals, spoils, strict=True) if spoil}

    def ask(some: Sequence[Structure]) -> list[Outcome]:
        if any(id(crystal) in spoiling for crystal in some):
            raise ValueError("an atom without neighbours")
        return [Answer(crystal, 0.0, np.zeros((len(crystal), 3)), 1) for crystal in some]

    found = asking.in_halves(crystals, ask)
    assert [isinstance(outcome, ValueError) for outcome in found] == spoils
    answers = [
        (one, crystal) for one, crystal in zip(found, crystals, strict=True) if isinstance(one, Answer)
    ]
    assert all(answer.structure is crystal for answer, crystal in answers)


def test_the_fault_of_the_machine_is_no_crystals_fault() -> None:
    def ask(_: Sequence[Structure]) -> list[Outcome]:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        asking.in_halves([nbo(), nbo()], ask)


def test_what_does_not_fit_into_the_memory_is_asked_in_halves() -> None:
    asked: list[int] = []

    def ask(some: Sequence[Structure]) -> list[Outcome]:
        asked.append(len(some))
        if len(some) > 2:
            raise torch.cuda.OutOfMemoryError("too many")
        return [Answer(one, 0.0, np.zeros((len(one), 3)), 1) for one in some]

    assert all(isinstance(found, Answer) for found in asking.in_halves([nbo()] * 6, ask))
    assert asked == [6, 3, 1, 2, 3, 1, 2]


def test_only_a_campaign_that_wants_a_gpu_has_few_jobs_share_relaxations() -> None:
    content = ALLOY.model_dump(mode="json")
    content["prerelax"]["potential"] = "chgnet"
    changes: list[dict[str, Any]] = [
        {"oracle": {"name": "7net-0", "device": "cuda"}},
        {"oracle": {"name": "7net-0"}},
        {"oracle": {"name": "7net-mf-0-pbe", "device": "cuda"}},
        {"oracle": {"name": "7net-0", "device": "cuda"}, "conditions": {"pressure": 5.0}},
    ]
    specs = [CampaignSpec.model_validate(content | change) for change in changes]
    few, *rest = [{stage.name: stage.slots for stage in plan(spec, 1)} for spec in specs]
    assert {few["validate"], few["prerelax"]} == {GPU_SLOTS}
    assert {slots["validate"] for slots in rest} == {ALLOY.acquisition.batch}
    assert [slots["prerelax"] for slots in rest] == [PRERELAX_SLOTS, GPU_SLOTS, PRERELAX_SLOTS]
    assert len({slots["phonons"] for slots in (few, *rest)}) == 1


@pytest.mark.parametrize(("name", "device", "pressure"), [("7net-0", "cpu", 0.0), ("7net-0", "auto", 5.0)])
def test_a_processor_and_a_pressure_are_asked_one_by_one(name: str, device: str, pressure: float) -> None:
    assert at_once(name, device, pressure) == 0
    oracle = ForceFieldOracle(Oracle(name="7net-0", device="cpu"))
    assert isinstance(oracle, AsksTogether)
    assert oracle.at_once == 0


def test_whether_an_oracle_asks_together_is_told_before_it_said_what_it_is() -> None:
    class Unasked(ForceFieldOracle):
        @property
        def fingerprint(self) -> str:
            raise UnknownFingerprintError("not asked yet")

    assert isinstance(Unasked(Oracle(name="emt")), AsksTogether)


SHAKEN = [one.perturb(0.05, seed=1) for one in (nbo(4.3), rutile())]
needs_torch_sim = pytest.mark.skipif(
    importlib.util.find_spec("torch_sim") is None,
    reason="torch-sim is not installed: pip install 'niobe-crystals[batched]'",
)


@needs_torch_sim
@pytest.mark.parametrize("name", BATCHED)
def test_a_batch_answers_as_single_structures_do(name: str, tmp_path: Path) -> None:
    """To single precision: 1e-4 eV/atom, 1e-3 eV/Å and 0.01 GPa."""
    alone = ForceFieldOracle(Oracle(name=name, device="cpu")).static(SHAKEN, tmp_path)
    for one, other in zip(alone, static(name, "cpu", SHAKEN), strict=True):
        assert isinstance(other, Answer)
        assert other.energy_per_atom == pytest.approx(one.energy_per_atom, abs=1e-4)
        assert np.abs(other.forces - one.forces).max() < 1e-3
        assert one.stress is not None
        assert other.stress is not None
        assert np.abs(other.stress - one.stress).max() < 0.01
        assert other.structure.species == one.structure.species


@needs_torch_sim
def test_relaxed_in_a_batch_they_end_where_they_end_alone(tmp_path: Path) -> None:
    spec = Oracle(name="chgnet", device="cpu", fmax=0.05)
    goal = Goal(spec.fmax, spec.max_steps, 60.0, most_stress(spec.fmax))
    for start, end in zip(SHAKEN, relaxed("chgnet", "cpu", SHAKEN, goal), strict=True):
        alone = ForceFieldOracle(spec).relax(start, tmp_path)
        assert isinstance(end, Answer)
        assert end.energy_per_atom == pytest.approx(alone.energy_per_atom, abs=2e-3)
        require_converged(end, spec.fmax)
        assert end.seconds > 0


@needs_torch_sim
def test_what_leaves_physics_spoils_no_other() -> None:
    far = nbo(4.2)
    far.scale_lattice(200.0 * len(far))
    first, second, third = relaxed("7net-0", "cpu", [SHAKEN[0], far, SHAKEN[1]], Goal(0.1, 4, 60.0))
    assert isinstance(second, UnphysicalAnswerError)
    assert isinstance(first, Answer)
    assert isinstance(third, Answer)


@needs_torch_sim
def test_what_does_not_end_in_time_has_no_answer_and_what_did_has() -> None:
    """The first of the two is relaxed as it stands."""
    (start,) = relaxed("chgnet", "cpu", [nbo(4.2)], Goal(0.05, 50, 60.0))
    assert isinstance(start, Answer)
    first, second = relaxed("chgnet", "cpu", [start.structure, SHAKEN[1]], Goal(0.05, 50, 0.0))
    assert isinstance(first, Answer)
    assert isinstance(second, WallTimeError)


@needs_torch_sim
def test_of_one_step_a_crystal_stays_as_it_stands() -> None:
    (end,) = relaxed("chgnet", "cpu", SHAKEN[:1], Goal(0.05, 1, 60.0))
    assert isinstance(end, Answer)
    assert end.steps == 1
    assert np.allclose(end.structure.cart_coords, SHAKEN[0].cart_coords, atol=1e-5)


@needs_torch_sim
@pytest.mark.parametrize("name", ["7net-0", "chgnet"])
def test_a_left_handed_cell_is_the_crystal_that_it_describes(name: str) -> None:
    """The same crystal with two edges exchanged: energy, forces, stress, and where it relaxes to."""
    right = SHAKEN[1]
    swap = [1, 0, 2]
    left = Structure(right.lattice.matrix[swap], right.species, right.frac_coords[:, swap])
    assert np.linalg.det(left.lattice.matrix) < 0
    for one, other in [
        static(name, "cpu", [right, left]),
        relaxed(name, "cpu", [right, left], Goal(0.05, 30, 60.0)),
    ]:
        assert isinstance(one, Answer)
        assert isinstance(other, Answer)
        assert other.energy == pytest.approx(one.energy, abs=1e-3)
        assert other.forces == pytest.approx(one.forces, abs=2e-3)
        assert one.stress is not None
        assert other.stress == pytest.approx(one.stress, abs=0.02)
        assert other.structure.lattice.matrix[swap] == pytest.approx(one.structure.lattice.matrix, abs=1e-3)
        assert np.linalg.det(other.structure.lattice.matrix) < 0
