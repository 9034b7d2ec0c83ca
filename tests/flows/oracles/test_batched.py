"""Many structures asked about at once: by torch-sim on a processor where it is installed, and through a
stand-in that asks one by one, what the steps of a round make of it."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec, Oracle, Prerelaxation
from niobe.flows.oracles.base import Answer, AsksTogether, UnknownFingerprintError, require_converged
from niobe.flows.oracles.batched import asking
from niobe.flows.oracles.batched.asking import Goal, Outcome, at_once, parts, relaxed, static
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import UnphysicalAnswerError, WallTimeError, wall_time
from niobe.flows.stages import GPU_SLOTS, plan
from niobe.flows.steps.prerelax import prerelax_oracle, prerelax_slot
from niobe.flows.steps.validate import validate_slot
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Lineage, Status
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


def ask_together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """As on a GPU, in batches; a stand-in for torch-sim asks about each alone. Sizes of batches, to come."""
    sizes: list[int] = []

    def one(name: str, structure: Structure, goal: Goal) -> Outcome:
        spec = Oracle(name=name, fmax=goal.fmax, max_steps=goal.steps, device="cpu")
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


def test_pre_relaxed_together_they_are_the_same_records(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, together = databases
    names = stored(alone, Status.SCREENED, CRYSTALS)
    assert names == stored(together, Status.SCREENED, CRYSTALS)
    prerelax_slot(alone, ALLOY, 1, 0, 1)
    batches = ask_together(monkeypatch)
    prerelax_slot(together, ALLOY, 1, 0, 1)
    assert batches == [3, 2]
    assert list(map(together.records.get, names)) == list(map(alone.records.get, names))
    states = [together.records.get(name).status for name in names]
    assert states == [Status.INVALID if place == 3 else Status.SCREENED for place in range(5)]


def test_relaxed_together_they_are_the_same_records_but_for_the_seconds(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, together = databases
    names = stored(alone, Status.ACQUIRED, CRYSTALS)
    stored(together, Status.ACQUIRED, CRYSTALS)
    validate_slot(alone, ALLOY, 1, 0, 1)
    batches = ask_together(monkeypatch)
    validate_slot(together, ALLOY, 1, 0, 1)
    assert batches == [5]
    for name in names:
        one, other = alone.records.get(name), together.records.get(name)
        assert one.status is other.status
        assert (one.failure is None) or (
            other.failure is not None and one.failure.cause == other.failure.cause
        )
        if one.validation and other.validation:
            unlike = {"seconds": one.validation.seconds}
            assert other.validation.model_copy(update=unlike) == one.validation
            assert other.validation.seconds["relax"] >= 2.0
    assert [together.records.get(name).status for name in names].count(Status.FAILED) == 1


def test_what_is_stored_is_not_asked_about_again(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, batches = databases[0], ask_together(monkeypatch)
    first, *_ = stored(database, Status.ACQUIRED, CRYSTALS[:3])
    database.records.update(first, status=Status.VETOED)
    validate_slot(database, ALLOY, 1, 0, 1)
    validate_slot(database, ALLOY, 1, 0, 1)
    assert batches == [2, 0]
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


@pytest.mark.parametrize("error", [OSError("disk full"), torch.cuda.OutOfMemoryError("one is too large")])
def test_the_fault_of_the_machine_is_no_crystals_fault(error: Exception) -> None:
    def ask(_: Sequence[Structure]) -> list[Outcome]:
        raise error

    with pytest.raises(type(error)):
        asking.in_halves([nbo(), nbo()], ask)


def test_only_a_campaign_that_wants_a_gpu_has_few_jobs_share_relaxations() -> None:
    content = ALLOY.model_dump(mode="json")
    wanted = CampaignSpec.model_validate(content | {"oracle": {"name": "emt", "device": "cuda"}})
    slots = [{stage.name: stage.slots for stage in plan(spec, 1)} for spec in (ALLOY, wanted)]
    assert slots[0]["validate"] == ALLOY.acquisition.batch
    assert {slots[1]["validate"], slots[1]["prerelax"]} == {GPU_SLOTS}
    assert slots[1]["phonons"] == slots[0]["phonons"]


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
@pytest.mark.parametrize("name", asking.BATCHED)
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
    goal = Goal.converged(spec.fmax, spec.max_steps)
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
    first, second, third = relaxed("7net-0", "cpu", [SHAKEN[0], far, SHAKEN[1]], Goal(0.1, 4))
    assert isinstance(second, UnphysicalAnswerError)
    assert isinstance(first, Answer)
    assert isinstance(third, Answer)


@needs_torch_sim
def test_what_does_not_end_in_time_has_no_answer() -> None:
    with wall_time(0.0):
        found = relaxed("7net-0", "cpu", SHAKEN, Goal(1e-6, 50))
    assert all(isinstance(outcome, WallTimeError) for outcome in found)
