"""Beyond 0 K and 0 GPa: nothing of other pressures is taken over; finds are ranked at a temperature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.claims.finds import spent_on_all_else
from niobe.flows.steps.claims.thermal import force_constants_slot
from niobe.flows.steps.competing import compete
from niobe.flows.steps.known import asked_before, competitors_elsewhere
from niobe.flows.steps.seed import seed_campaign
from niobe.flows.steps.validate import close_round, settle, validate_slot
from niobe.launchers.thermo import harmonic_rows, quasi_harmonic_rows, told_once
from niobe.loop.campaign.policy import force_constant_seconds
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import Lineage, Status, StructureRecord, Validation
from niobe.loop.store.database import Database

pytestmark = pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally


def spec_of(id: str, elements: list[str], **content: Any) -> CampaignSpec:
    given = {"seeds": {"prototypes": False}, "oracle": {"name": "emt"}, "sources": []}
    return CampaignSpec.model_validate({"id": id, "elements": elements} | given | content)


def seeded(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    """The first two crystals of its element, asked about as round 0 does."""
    database.campaigns.create(spec)
    seed_campaign(database, spec, database.rounds.open(spec.id, 0))
    database.rounds.update(spec.id, 0, steps__seed=0.1)
    compete(database, spec, database.rounds.get(spec.id, 0))
    batch = database.rounds.get(spec.id, 0).batch[:2]
    database.rounds.update(spec.id, 0, batch=batch)
    validate_slot(database, spec, 0, 0, 1)
    return [database.records.get(identifier) for identifier in batch]


def test_a_campaign_under_pressure_is_denser_and_takes_nothing_over(database: Database) -> None:
    at_ease = seeded(database, spec_of("ease", ["Cu"]))
    spec = spec_of("deep", ["Cu"], conditions={"pressure": 20})
    assert asked_before(database, spec) == {}
    deep = seeded(database, spec)
    assert competitors_elsewhere(database, spec) == []
    assert [r.fingerprint for r in deep] == [r.fingerprint for r in at_ease]
    for one, other in zip(deep, at_ease, strict=True):
        assert one.validation is not None and other.validation is not None
        assert one.validation.volume_per_atom < 0.95 * other.validation.volume_per_atom
        assert one.validation.energy_per_atom > other.validation.energy_per_atom + 1.0
        assert one.validation.oracle == f"{other.validation.oracle}, enthalpies at 20 GPa"
    same = spec_of("deep-2", ["Cu"], conditions={"pressure": 20, "temperature": 300})
    assert {r.id for r in deep} <= set(asked_before(database, same).values())


def asked(database: Database, spec: CampaignSpec, index: int, number: int, structure: Structure) -> str:
    """The id of a record that EMT has answered for."""
    record = new_record(spec, number, index, structure, Lineage(generator="random"))
    work = Path(str(index))
    answer = validate_structure(spec, make_oracle(spec.oracle), structure, work)
    assert isinstance(answer, Validation)
    update = {"status": Status.VALIDATED, "validation": answer, "acquired_round": number}
    database.records.insert([record.model_copy(update=update)])
    return record.id


HOT = spec_of(
    "hot",
    ["Au", "Cu"],
    conditions={"temperature": 500},
    phonons={"min_length": 5.0, "confirm_length": 6.0},
)
FCC = [[0.0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
UNDECIDED = {"validation.phonon.outcome": Stability.UNDECIDED.value}


def with_a_find(database: Database) -> tuple[list[str], str]:
    """Ids of gold and copper, whose phonons nobody waits for, and of a find of round 1."""
    database.campaigns.create(HOT)
    crystals = [Structure(Lattice.cubic(a), [s] * 4, FCC) for s, a in (("Au", 4.06), ("Cu", 3.6))]
    elements = [asked(database, HOT, i, 0, c.get_primitive_structure()) for i, c in enumerate(crystals)]
    for name in elements:
        database.records.update(name, **UNDECIDED)
    find = asked(database, HOT, 2, 1, Structure(Lattice.cubic(3.75), ["Au", *["Cu"] * 3], FCC))
    for number in (0, 1):
        database.rounds.open(HOT.id, number)
    database.rounds.update(HOT.id, 1, batch=[find], steps__acquire=0.1, steps__generate=0.1)
    settle(database, HOT, [find], [find])
    return elements, find


def test_a_find_is_ranked_by_free_energies_of_itself_and_what_it_competes_with(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (elements, find), spec = with_a_find(database), HOT
    own = database.phonons.find_one(find)
    before = spent_on_all_else(database, spec)
    for slot in (0, 1):
        force_constants_slot(database, spec, 1, slot, 2)
    stored = [database.phonons.find_one(name) for name in (*elements, find)]
    assert len({phonon.oracle for phonon in stored if phonon}) == 1 and all(stored)
    assert stored[2] == own
    told = database.rounds.get(spec.id, 1).force_constants
    assert told.keys() == set(elements) and all(asked.cause == "" for asked in told.values())
    cost = sum(asked.seconds for asked in told.values())
    assert cost > 0 and spent_on_all_else(database, spec) == pytest.approx(before + cost)
    assert all(database.records.get(name).validation.phonon.outcome == "undecided" for name in elements)  # type: ignore[union-attr]
    close_round(database, spec, database.rounds.get(spec.id, 1))
    verdict = database.records.get(find).verdict
    assert verdict is not None and verdict.is_find and verdict.thermal is not None
    hot = verdict.thermal
    assert hot.missing == [] and hot.products == pytest.approx({"Au": 0.25, "Cu": 0.75})
    assert hot.free_energy is not None and hot.above is not None and verdict.above_products is not None
    assert -0.2 < hot.free_energy < 0  # Dulong and Petit's 3 kT is 0.13 eV at 500 K
    gold, copper = (harmonic_rows(database, name, [500.0])[0]["F_vib (eV/atom)"] for name in elements)
    by_hand = verdict.formation_energy_per_atom + hot.free_energy - 0.25 * gold - 0.75 * copper
    assert hot.above == pytest.approx(by_hand, abs=1e-6)
    monkeypatch.setattr(ForceFieldOracle, "relax", _refuse)
    force_constants_slot(database, spec, 1, 0, 1)  # all is stored
    monkeypatch.undo()
    rows = harmonic_rows(database, find, [0.0, 500.0])
    assert rows[1]["F_vib (eV/atom)"] == pytest.approx(hot.free_energy)
    shown, said = told_once(rows)
    assert said == f"forces by {hot.oracle}, at 0 GPa" and rows[0]["forces by"] == hot.oracle
    assert shown[1] == {key: value for key, value in rows[1].items() if key not in {"forces by", "GPa"}}
    (hot_copper,) = quasi_harmonic_rows(database, elements[1], [300.0], 600.0)
    assert 15 < hot_copper["mean linear expansion (1e-6/K)"] < 25  # 16.5 as measured, 21 by EMT
    assert (hot_copper["energies and forces by"], hot_copper["GPa"]) == (hot.oracle, 0.0)
    with pytest.raises(ConfigError, match="not quasi-harmonic: wall time"):
        quasi_harmonic_rows(database, elements[1], [300.0], 1e-6)


def _refuse(*_: object) -> None:
    raise AssertionError("asked again")


def test_what_waits_for_phonons_is_left_to_them_and_nothing_is_overwritten(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (gold, copper), find = with_a_find(database)
    database.records.update(gold, **{"validation.phonon.outcome": Stability.PENDING.value})
    own = database.phonons.find_one(find)
    assert own is not None
    database.phonons.store(own.model_copy(update={"record_id": copper}))
    force_constants_slot(database, HOT, 1, 0, 1)
    assert database.phonons.find_one(gold) is None and database.rounds.get(HOT.id, 1).force_constants == {}
    database.phonons.add(own.model_copy(update={"record_id": copper, "oracle": "late"}))
    kept = database.phonons.find_one(copper)
    assert kept is not None and kept.oracle == own.oracle
    database.phonons.store(own.model_copy(update={"record_id": gold, "phonopy": ""}))  # of an older Niobe
    database.phonons.add(own.model_copy(update={"record_id": gold}))
    added = database.phonons.find_one(gold)
    assert added is not None and added.phonopy == own.phonopy


@pytest.mark.parametrize(
    ("change", "cause", "rounds"),
    [
        ({"phonons": {"min_length": 5.0, "max_supercell_atoms": 4}}, "no_phonons", 1),
        ({"oracle": {"name": "emt", "wall_time": 1e-9}}, "wall_time", 2),
        ({"oracle": {"name": "emt", "wall_time": 1e-9, "retries": 0}}, "wall_time", 1),
    ],
)
def test_what_fails_is_said_counted_and_not_asked_for_ever(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    cause: str,
    rounds: int,
) -> None:
    """What may be the machine's fault is asked again in a later round, ``oracle.retries`` times."""
    monkeypatch.chdir(tmp_path)
    elements, find = with_a_find(database)
    failing = CampaignSpec.model_validate(HOT.model_dump() | change)
    for number in (1, 2, 3, 4):
        database.rounds.open(HOT.id, number)
        force_constants_slot(database, failing, number, 0, 1)
        force_constants_slot(database, failing, number, 0, 1)  # a slot that was killed runs again
    told = [database.rounds.get(HOT.id, number).force_constants for number in (1, 2, 3, 4)]
    assert [set(asked) for asked in told] == [set(elements)] * rounds + [set()] * (4 - rounds)
    assert {asked.cause for one in told for asked in one.values()} == {cause}
    seconds = sum(asked.seconds for one in told for asked in one.values())
    assert force_constant_seconds(database.rounds.find(HOT.id)) == pytest.approx(seconds)
    close_round(database, failing, database.rounds.get(HOT.id, 1))
    verdict = database.records.get(find).verdict
    assert verdict is not None and verdict.thermal is not None
    reason = told[0][elements[0]].reason
    assert reason and f"Au {elements[0]}: no force constants: {reason}" in verdict.thermal.missing


def test_without_a_find_nothing_is_asked(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, find = with_a_find(database)
    database.records.update(find, **{"validation.phonon.outcome": Stability.UNSTABLE.value})
    monkeypatch.setattr(ForceFieldOracle, "relax", _refuse)
    force_constants_slot(database, HOT, 1, 0, 1)
    assert database.rounds.get(HOT.id, 1).force_constants == {}
