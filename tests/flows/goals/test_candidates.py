"""Candidates out of range are set aside and counted; what is predicted of the others chooses the batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.config.home import checkpoint
from niobe.config.spec import CampaignSpec
from niobe.flows.goals.candidates import predicted, set_aside_out_of_range, why_out_by_composition
from niobe.flows.goals.measuring import compute_goals
from niobe.flows.goals.ranking import aims_of, chance_in_range
from niobe.flows.steps.acquisition.acquire import acquire
from niobe.flows.steps.acquisition.predict import predict_pool
from niobe.flows.steps.generate import screen
from niobe.loop.campaign.closing import close_round as judge
from niobe.loop.campaign.closing import round_metrics
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.properties import PropertyValue
from niobe.loop.documents.records import Lineage, PredictedValue, Status, StructureRecord
from niobe.loop.goals.properties import PRICE
from niobe.loop.store.database import Database
from niobe.surrogates.models import make_surrogate
from niobe.surrogates.protocols import FloatArray
from tests.loop.factory import element, nbo, rocksalt, rutile, validated


def spec_of(*goals: dict[str, object], **more: object) -> CampaignSpec:
    content = {"id": "t", "elements": ["Nb", "O"], "prerelax": None, "goals": goals, "oracle": {"name": "lj"}}
    return CampaignSpec.model_validate(content | more)


def drawn(structure: Structure, index: int) -> StructureRecord:
    return new_record(spec_of(), 1, index, structure, Lineage(generator="random"))


def screened(database: Database, structures: list[Structure]) -> list[StructureRecord]:
    records = [drawn(structure, 100 + index) for index, structure in enumerate(structures)]
    records = [record.model_copy(update={"status": Status.SCREENED}) for record in records]
    database.records.insert(records)
    return records


def results(database: Database, spec: CampaignSpec, swollen: float = 1.0) -> list[StructureRecord]:
    """Six results, each ``swollen`` times the volume that it was drawn with, judged and measured."""
    known = [element("Nb"), element("O", 3.0), nbo(), rutile(), rocksalt(), rocksalt(4.6)]
    records = []
    for index, structure in enumerate(known):
        record = validated(structure, -9.0 - 0.1 * index, index=index)
        assert record.validation is not None
        structure.scale_lattice(swollen * structure.volume)
        validation = record.validation.model_copy(update={"structure": structure.as_dict()})
        records.append(record.model_copy(update={"validation": validation}))
    hull, verdicts = judge(spec, 0, records)
    database.hulls.store(hull)
    records = [record.model_copy(update={"verdict": verdicts[record.id]}) for record in records]
    database.records.insert(records)
    database.rounds.open(spec.id, 0)
    compute_goals(database, spec, database.rounds.get(spec.id, 0))
    return database.records.find(spec.id, round=0)


def test_a_composition_out_of_range_is_never_relaxed(database: Database) -> None:
    """In pymatgen's table Nb costs 23.19 USD/kg, O 3: NbO 20.23 and NbO2 18.02 by mass."""
    spec = spec_of({"property": "price", "range": [None, 19.0]}, limits={"all_elements": False})
    database.campaigns.create(spec)
    database.rounds.open(spec.id, 1)
    why = why_out_by_composition(spec)
    assert why(drawn(rutile(), 0)) == ""
    assert why(drawn(nbo(), 0)) == "out of range: price 20.23 USD/kg; wanted: at most 19"
    kept, left = drawn(rutile(), 0), drawn(nbo(), 1)
    competing = left.model_copy(update={"id": "c" * 16, "lineage": Lineage(generator="prototype")})
    competing.lineage.origin["subsystem"] = "Nb-O"
    assert why(competing) == ""
    database.records.insert([kept, left])
    screen(database, spec, database.rounds.get(spec.id, 1))
    statuses = Counter(record.status for record in database.records.find(spec.id))
    assert statuses == {Status.SCREENED: 1, Status.INVALID: 1}
    metrics = round_metrics(spec, database.rounds.get(spec.id, 1), database.records.find(spec.id))
    assert metrics.out_of_range == {"price": 1}


@pytest.mark.parametrize(("swollen", "aside"), [(1.0, {0.7, 0.8, 0.9}), (1.1, {0.7}), (1.5, set())])
def test_a_structure_is_set_aside_by_more_than_relaxation_changes(
    database: Database, swollen: float, aside: set[float]
) -> None:
    """Where results swell by a tenth, volumes a tenth below the range may come into it."""
    whole = nbo().volume / len(nbo())
    spec = spec_of({"property": "volume", "range": [whole - 0.01, None]})
    database.campaigns.create(spec)
    results(database, spec, swollen)
    shares = (0.7, 0.8, 0.9, 1.0, 1.1)
    cells = [nbo() for _ in shares]
    for cell, share in zip(cells, shares, strict=True):
        cell.scale_lattice(share * cell.volume)
    records = dict(zip(shares, screened(database, cells), strict=True))
    pinned = screened(database, [rutile()])[0]
    database.records.update(pinned.id, pinned=True)
    set_aside_out_of_range(database, spec)
    found = {s for s, r in records.items() if database.records.get(r.id).status is Status.INVALID}
    assert found == aside
    assert database.records.get(pinned.id).status is Status.SCREENED


def test_few_results_set_nothing_aside_and_make_no_objective(database: Database) -> None:
    spec = spec_of({"property": "density", "range": [None, 1.0], "minimize": True})
    database.campaigns.create(spec)
    (lone,) = screened(database, [nbo()])
    set_aside_out_of_range(database, spec)
    assert database.records.get(lone.id).status is Status.SCREENED
    function, wanted, notes = aims_of(spec, [lone], [])
    assert (function, wanted) == ("p_hull", None)
    assert notes == ["goals: density has 0 of the 5 values that make an objective; chosen by p_hull"]


def volumes(structures: Sequence[Structure]) -> FloatArray:
    return np.array([[s.volume / len(s), len(s)] for s in structures], dtype=float)


def test_what_the_oracle_has_to_be_asked_for_is_learned(database: Database) -> None:
    """A modulus that falls with the volume is predicted where results tell, and less surely far from them."""
    spec = spec_of({"property": "bulk_modulus", "range": [None, 100], "maximize": True})
    known = []
    for index, a in enumerate(np.linspace(4.0, 4.5, 9)):
        value = PropertyValue(value=400 - 80 * float(a), unit="GPa", source="s", met=True)
        record = validated(nbo(float(a)), -9.0, index=index)
        known.append(record.model_copy(update={"properties": {"bulk_modulus": value}}))
    pool = [drawn(nbo(4.22), 0), drawn(nbo(5.5), 1)]
    ask = partial(predicted, spec, pool, features=volumes, number=1)
    found = ask(known=known)["bulk_modulus"]
    assert found.mean[0] == pytest.approx(400 - 80 * 4.22, abs=1.0) and found.std[1] > 5 * found.std[0]
    assert ask(known=known[:4]) == {}


def test_a_chance_to_be_in_range_is_that_of_a_normal() -> None:
    spec = spec_of({"property": "bulk_modulus", "range": [100, 120]}, {"property": "price", "range": [0, 1]})
    record = drawn(nbo(), 0)
    told = {"bulk_modulus": PredictedValue(mean=110.0, std=10.0, in_domain=True)}
    chance = chance_in_range(spec, [record.model_copy(update={"prediction": told}), record])
    assert chance == pytest.approx([0.6827, 1.0], abs=1e-4)
    assert chance_in_range(spec_of(), [record]) is None


@pytest.mark.parametrize("std", [0.0, 1e-300, 5.0])
@pytest.mark.parametrize("value", [100.0, 120.0, 110.0, 99.9, 120.1])
def test_a_chance_is_a_number_and_of_what_is_exact_one_or_none(value: float, std: float) -> None:
    """On the limits too, which a range includes; in a range of one number too."""
    record = drawn(nbo(), 0)
    told = {"bulk_modulus": PredictedValue(mean=value, std=std, in_domain=True)}
    for limits in ([100, 120], [100, None], [None, 120], [value, value]):
        spec = spec_of({"property": "bulk_modulus", "range": limits})
        chance = chance_in_range(spec, [record.model_copy(update={"prediction": told})])
        assert chance is not None and np.isfinite(chance).all() and (chance >= 0).all()
        low, high = spec.goals[0].limits
        if std == 0:
            assert chance.tolist() == [float(low <= value <= high)]


def test_a_composition_on_the_limit_is_in_range(database: Database) -> None:
    """As its value is judged once it is a result: met where low <= value <= high."""
    price = PRICE.value(nbo().composition)
    less = np.nextafter(price, 0)
    for limits, out in (([None, price], False), ([price, None], False), ([None, less], True)):
        spec = spec_of({"property": "price", "range": limits})
        assert bool(why_out_by_composition(spec)(drawn(nbo(), 0))) is out
        found = predicted(spec, [drawn(nbo(), 0)], [], volumes, 1)["price"]
        told = {"price": PredictedValue(mean=float(found.mean[0]), std=float(found.std[0]), in_domain=True)}
        chance = chance_in_range(spec, [drawn(nbo(), 0).model_copy(update={"prediction": told})])
        assert chance is not None and chance.tolist() == [float(not out)]


def test_a_batch_is_chosen_by_objectives_and_again_the_same(database: Database) -> None:
    spec = spec_of({"property": "density", "minimize": True}, acquisition={"batch": 3, "control_share": 0.0})
    assert spec.acquisition.function == "qlognehvi"
    database.campaigns.create(spec)
    results(database, spec)
    surrogate = make_surrogate("gbt", members=2, epochs=5)
    structures = [rocksalt(a) for a in np.linspace(4.2, 4.9, 12)]
    surrogate.fit(structures, {"formation_energy_per_atom": np.linspace(-1.0, -0.5, 12)}, seed=1)
    folder = checkpoint(spec.id, 1, "surrogate")
    folder.mkdir(parents=True)
    surrogate.save(folder)
    screened(database, structures)
    database.rounds.open("t", 1)
    predict_pool(database, spec, 1)
    pool = database.records.pool("t")
    assert [record.prediction["density"].mean for record in pool] == [
        pytest.approx(structure.density) for structure in structures
    ]
    acquire(database, spec, database.rounds.get("t", 1))
    batch = database.rounds.get("t", 1).batch
    choices = [database.records.get(identifier).choice for identifier in batch]
    assert len(batch) == 3 and {choice.function for choice in choices if choice} == {"qlognehvi"}
    for identifier in batch[1:]:
        database.records.update(identifier, status=Status.SCREENED, acquired_round=None, choice=None)
    acquire(database, spec, database.rounds.get("t", 1))
    assert database.rounds.get("t", 1).batch == batch
    assert [database.records.get(identifier).choice for identifier in batch] == choices
    assert all(choice and choice.score is not None and np.isfinite(choice.score) for choice in choices)
