"""Properties of results: computed once, the oracle asked near the hull only, code imported where trusted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.metadata import version as installed
from pathlib import Path
from types import SimpleNamespace

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.eos import EquationOfState
from ase.units import GPa

from niobe.config.errors import ConfigError
from niobe.config.loading import campaign_of
from niobe.config.spec import CampaignSpec
from niobe.flows.goals import resolving
from niobe.flows.goals.measuring import ask_goals, compute_goals
from niobe.flows.goals.resolving import check_goals, properties_of, trust_named
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import WallTimeError
from niobe.flows.steps.competing import compete
from niobe.flows.steps.seed import seed_campaign
from niobe.flows.steps.validate import choose_phonons, settle, validate_slot
from niobe.loop.documents.properties import PropertyValue
from niobe.loop.documents.records import Status
from niobe.loop.store.database import Database

GOALS = [
    {"property": "density", "range": [None, 8.6]},
    {"property": "bulk_modulus", "range": [100, None]},
    {"property": "heavy_crystals:cell_mass", "unit": "u", "range": [1, 1000]},
]
MODULE = """
def cell_mass(structure):
    if len(structure) == 2:
        raise RuntimeError("no pairs")
    return structure.composition.weight / len(structure)
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CampaignSpec:
    (tmp_path / "heavy_crystals.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "heavy_crystals", raising=False)
    content = {
        "id": "measured",
        "elements": ["Cu"],
        "goals": GOALS,
        "oracle": {"name": "emt"},
        "phonons": {"enabled": False},
    }
    return campaign_of(content, "c.yaml", tmp_path)


def settled(database: Database, spec: CampaignSpec) -> list[str]:
    """Ids of what the oracle is to be asked about, once round 0 is validated."""
    trust_named(spec)
    database.campaigns.create(spec)
    seed_campaign(database, spec, database.rounds.open(spec.id, 0))
    database.rounds.update(spec.id, 0, steps__seed=0.1)
    compete(database, spec, database.rounds.get(spec.id, 0))
    validate_slot(database, spec, 0, 0, 1)
    choose_phonons(database, spec, database.rounds.get(spec.id, 0))
    settle(database, spec, database.rounds.get(spec.id, 0).phonons, ())
    return named(database, spec)


def named(database: Database, spec: CampaignSpec) -> list[str]:
    compute_goals(database, spec, database.rounds.get(spec.id, 0))
    return database.rounds.get(spec.id, 0).asked_for_goals


@pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally
def test_results_are_measured_once(
    database: Database, spec: CampaignSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = settled(database, spec)
    ask_goals(database, spec, 0, 0, 1)
    records = database.records.find(spec.id, status=Status.VALIDATED.value)
    assert 0 < len(waiting) < len(records)
    assert {record.id for record in records if "bulk_modulus" in record.properties} == set(waiting)
    (fcc,) = [record for record in records if record.group == 225]
    density, modulus, mass = (fcc.properties[n] for n in ("density", "bulk_modulus", "cell_mass"))
    assert density.value == pytest.approx(63.546 / 0.602214076 / fcc.validation.volume_per_atom, rel=1e-4)  # type: ignore[union-attr]
    assert (density.unit, density.met, modulus.unit, modulus.met) == ("g/cm³", False, "GPa", True)
    assert modulus.value == pytest.approx(by_ase(), rel=0.01)
    assert modulus.source.endswith(fcc.validation.oracle)  # type: ignore[union-attr]
    assert mass.value == pytest.approx(63.546) and mass.unit == "u"
    reasons = {r.n_atoms: r.properties["cell_mass"].reason for r in records}
    assert reasons[2] == "RuntimeError: no pairs" and reasons[1] == ""

    def refuse(*_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(ForceFieldOracle, "static", refuse)
    assert named(database, spec) == []
    again = database.records.find(spec.id, status=Status.VALIDATED.value)
    assert {r.properties["cell_mass"].attempts for r in again if r.n_atoms == 2} == {2}
    assert [r for r in again if r.n_atoms != 2] == [r for r in records if r.n_atoms != 2]
    assert named(database, spec) == []
    assert database.records.find(spec.id, status=Status.VALIDATED.value) == again


@pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally
def test_what_may_be_the_machine_s_fault_is_asked_again_and_all_that_it_takes_counts(
    database: Database, spec: CampaignSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wall time, memory and files: in later rounds, ``oracle.retries`` times."""
    spec = spec.model_copy(update={"goals": spec.goals[1:2]})
    first, *_ = waiting = settled(database, spec)

    def spent() -> float:
        validation = database.records.get(first).validation
        assert validation is not None
        return validation.seconds.get("goals", 0.0)

    other = PropertyValue(unit="GPa", source="another oracle")
    memory = (MemoryError("no room"), RuntimeError("CUDA out of memory"))
    for cause in (*memory, OSError("disk full"), WallTimeError("late")):
        database.records.update(first, **{"properties.bulk_modulus": other})
        for attempt in (1, 2):
            assert first in named(database, spec)
            before = spent()
            monkeypatch.setattr(ForceFieldOracle, "static", raising(cause))
            ask_goals(database, spec, 0, 0, 1)
            found = database.records.get(first).properties["bulk_modulus"]
            assert (found.value, found.attempts) == (None, attempt)
            assert found.reason == f"{type(cause).__name__}: {cause}" and spent() > before
        assert first not in named(database, spec)
    monkeypatch.undo()
    retried = spec.model_copy(update={"oracle": spec.oracle.model_copy(update={"retries": 2})})
    assert set(named(database, retried)) == set(waiting)
    ask_goals(database, retried, 0, 0, 1)
    found = database.records.get(first).properties["bulk_modulus"]
    assert found.value == pytest.approx(by_ase(), rel=0.01) and (found.attempts, found.reason) == (0, "")
    assert named(database, retried) == []


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        time.sleep(0.01)
        raise error

    return fail


def by_ase() -> float:
    """Bulk modulus of copper by EMT, GPa, at five volumes of ASE's own choice."""
    volumes, energies = [], []
    for a in (3.53, 3.56, 3.59, 3.62, 3.65):
        atoms = bulk("Cu", a=a)
        atoms.calc = EMT()
        volumes.append(atoms.get_volume())
        energies.append(atoms.get_potential_energy())
    return float(EquationOfState(volumes, energies).fit()[2] / GPa)


def test_a_stored_campaign_imports_nothing_that_no_file_here_has_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: CampaignSpec
) -> None:
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    check_goals(spec)
    with pytest.raises(ConfigError, match="heavy_crystals:cell_mass is code that nobody here has named"):
        properties_of(spec)
    assert "heavy_crystals" not in sys.modules
    trust_named(spec)
    assert properties_of(spec)["cell_mass"].source.startswith("heavy_crystals:cell_mass ")


PROPERTY = """
from niobe.loop.goals.properties import Property
MASS = Property("u", "mean mass", "structure", lambda s: s.composition.weight / len(s))
"""


def test_the_version_of_what_computes_a_property_is_in_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that values are computed anew once it changes: of a Property by path as of a function."""
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(tmp_path))
    content = {"id": "a", "elements": ["Cu"], "goals": [{"property": "masses_of:MASS", "range": [0, 1]}]}
    sources = []
    for version in (PROPERTY, PROPERTY + "# corrected"):
        (tmp_path / "masses_of.py").write_text(version)
        monkeypatch.delitem(sys.modules, "masses_of", raising=False)
        spec = campaign_of(content, "c.yaml", tmp_path)
        trust_named(spec)
        sources.append(properties_of(spec)["MASS"].source)
    assert len(set(sources)) == 2
    assert all(source.startswith("masses_of:MASS ") and source.endswith(": mean mass") for source in sources)
    priced = campaign_of(content | {"goals": [{"property": "price", "range": [0, 1]}]}, "c.yaml", tmp_path)
    assert properties_of(priced)["price"].source.startswith(f"pymatgen {installed('pymatgen')} CostDB")


def test_the_version_of_a_package_is_in_the_source_of_what_it_registers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Registered:
        dist = SimpleNamespace(name="acme-niobe", version="1.2")

    monkeypatch.setattr(resolving, "registered", lambda _: {"density": Registered, "volume": Registered})
    spec = CampaignSpec.model_validate(
        {"id": "a", "elements": ["Cu"], "goals": [{"property": "density", "range": [0, 1]}]}
    )
    assert properties_of(spec)["density"].source == "the structure; acme-niobe 1.2"


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        (
            {"property": "nobody.has:it", "unit": "u"},
            "goals: nobody.has:it: no package 'nobody' is installed",
        ),
        ({"property": "heavy_crystals:no_such", "unit": "u"}, "goals: heavy_crystals:no_such: AttributeErr"),
        ({"property": "heavy_crystals:cell_mass"}, "goals: heavy_crystals:cell_mass: unit: missing; say wh"),
        ({"property": "math:pi", "unit": "u"}, "goals: math:pi: is no function"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    goal: dict[str, object],
    says: str,
    spec: CampaignSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    content = {"id": "a", "elements": ["Cu"], "goals": [goal | {"range": [0, 1]}]}
    asked = campaign_of(content, "c.yaml", tmp_path)
    trust_named(asked)
    with pytest.raises(ConfigError) as refused:
        check_goals(asked)
        properties_of(asked)
    assert str(refused.value).startswith(says), refused.value
