"""Shapes that are kept: the same as made anew, made again where a crystal changed, found as before."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.flows.steps.known import SeenBefore
from niobe.loop.campaign.duplicates import Comparisons, duplicates
from niobe.loop.campaign.seeds import new_record
from niobe.loop.crystals.similarity import KeptShape, SeenStructures, Shape, measures, packed
from niobe.loop.documents.records import Lineage, Prerelaxed, Status, StructureRecord
from niobe.loop.documents.structures import candidate_structure, generated_structure, relaxed_structure
from niobe.loop.store.database import Database
from niobe.loop.store.kept import blocks
from niobe.loop.store.mapping import UNSHAPED
from tests.loop.factory import SPEC, element, nbo, rocksalt, rutile, validated

_BLOCKS = {blocks.BLOCK: {"$exists": True}}
KNOWN = [nbo(), rocksalt(), rutile(), element("Nb"), nbo(5.0)]


def screened(structure: Structure, index: int, status: Status = Status.SCREENED) -> StructureRecord:
    record = new_record(SPEC, 1, index, structure, Lineage(generator="random"))
    return record.model_copy(update={"status": status})


def shaken(structure: Structure, seed: int) -> Structure:
    rng = np.random.default_rng(seed)
    strained = structure.copy()
    strained.apply_strain(rng.normal(0, 0.05, 3))
    return strained.perturb(float(rng.uniform(0, 0.3)), seed=seed)


def contents(database: Database) -> list[dict[str, Any]]:
    return sorted(database.mongo["shapes"].find({}), key=lambda one: str(one["_id"]))


def records() -> list[StructureRecord]:
    fates = (Status.SCREENED, Status.DUPLICATE, Status.INVALID, Status.GENERATED, Status.VETOED)
    drawn = [screened(shaken(KNOWN[i % 5], i), i, fates[i % len(fates)]) for i in range(15)]
    answer = Prerelaxed(potential="p", structure=rutile().as_dict(), energy_per_atom=-8.0, steps=3)
    relaxed = screened(shaken(rutile(), 50), 50).model_copy(update={"prerelaxed": answer})
    return [validated(element("Nb"), -10.0), validated(nbo(), -9.0, index=1), *drawn, relaxed]


def test_what_is_kept_step_by_step_is_what_is_made_anew(database: Database) -> None:
    database.shapes.complete("t")
    for record in records():
        database.records.insert([record])
        database.shapes.complete("t")
    drawn = database.records.find("t", status="generated")
    database.records.update_many({record.id: {"status": Status.SCREENED} for record in drawn})
    found = validated(rutile(), -8.5, round_number=1, index=0)
    first = database.records.find("t", status="screened")[0]
    database.records.update(first.id, status=Status.VALIDATED, validation=found.validation)
    database.shapes.complete("t")
    kept = contents(database)
    assert database.mongo["structures"].count_documents({UNSHAPED: True}) == 0
    database.mongo["shapes"].drop()
    database.shapes.complete("t")
    assert contents(database) == kept
    assert {one["form"] for one in kept if "form" in one} == {"generated", "prerelaxed", "relaxed"}


def test_a_crystal_that_is_relaxed_again_gets_another_shape(database: Database) -> None:
    record = validated(nbo(), -9.0)
    database.records.insert([record])
    database.shapes.complete("t")
    tighter = validated(rutile(), -9.5).validation
    database.records.update(record.id, validation=tighter)
    database.shapes.complete("t")
    kept = database.shapes.relaxed([record.id, "none"])
    assert list(kept) == [record.id]
    assert kept[record.id].same(Shape("", rutile()))
    drawn = database.shapes.generated([record.id, "none"])
    assert list(drawn) == [record.id]
    assert drawn[record.id].same(Shape("", nbo()))
    assert not drawn[record.id].same(Shape("", rutile()))


@pytest.fixture(params=[(1, 2), (2, 3), (3, 512), (32, 512)])
def _sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few shapes and of many."""
    for name, size in zip(("FEWEST", "MOST"), request.param, strict=True):
        monkeypatch.setattr(blocks, name, size)


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("seed", range(4))
def test_the_index_finds_what_comparing_with_all_finds(database: Database, seed: int) -> None:
    database.records.insert(records())
    seen, plain = SeenBefore(database, SPEC), SeenStructures()
    for record in database.records.find("t"):
        if record.status not in {Status.GENERATED, Status.INVALID, Status.DUPLICATE}:
            plain.add(record.id, generated_structure(record))
            if record.prerelaxed:
                plain.add(record.id, candidate_structure(record))
            if record.validation:
                plain.add(record.id, relaxed_structure(record))
    for number, known in enumerate(KNOWN):
        asked = Shape(f"new {number}", shaken(known, 100 + 10 * seed + number))
        found = found_by(plain, asked)
        assert found_by(seen, asked) == found
        assert found_by(seen, asked, {found or ""}) == found_by(plain, asked, {found or ""})
        for one in (seen, plain):
            one.add_shape(asked)


def found_by(seen: SeenBefore | SeenStructures, asked: Shape, exclude: Collection[str] = ()) -> str | None:
    found = seen.find_shape(asked, exclude=exclude)
    return None if found is None else found.id


def bucket(database: Database, structure: Structure) -> list[tuple[str, list[float]]]:
    """What a shape is compared with, in order."""
    found = database.shapes.like("t", Shape("", structure))
    return [(shape.id, measures(shape)) for shape in found]


def as_documents_say(database: Database, structure: Structure) -> list[tuple[str, list[float]]]:
    shape = Shape("", structure)
    found = database.mongo["shapes"].find({"campaign": "t", "formula": shape.formula, "sites": shape.sites})
    alone = sorted((one for one in found if "record" in one), key=lambda one: list(one["turn"]))
    return [(one["record"], measures(KeptShape(one["record"], one))) for one in alone]


def count_of_blocks(database: Database) -> int:
    return database.mongo["shapes"].count_documents(_BLOCKS)


@pytest.mark.usefixtures("_sizes")
def test_blocks_hold_what_the_documents_do_as_shapes_come(database: Database) -> None:
    """In any order of rounds, some pre-relaxed since, some relaxed into a larger cell."""
    made = [validated(shaken(rutile(), i), -8.0, round_number=1 + i % 3, index=i) for i in range(12)]
    for record in [*made, *records()]:
        database.records.insert([record])
        database.shapes.complete("t")
        assert bucket(database, rutile()) == as_documents_say(database, rutile())
    answer = Prerelaxed(potential="p", structure=nbo().as_dict(), energy_per_atom=-8.0, steps=3)
    for record in made[::4]:
        database.records.update(record.id, prerelaxed=answer)
    for record, form in zip(made[1::4], (nbo(), rutile(), shaken(rutile(), 90)), strict=True):
        relaxed = validated(form, -8.4).validation
        database.records.update(record.id, validation=relaxed)
    database.shapes.complete("t")
    for _ in range(2):
        for form in (rutile(), nbo()):
            assert bucket(database, form) == as_documents_say(database, form)


@pytest.mark.usefixtures("_sizes")
def test_shapes_of_before_are_put_into_blocks(database: Database) -> None:
    """None of them says that it is loose. Once they are, nothing is written any more."""
    database.records.insert(records())
    database.shapes.complete("t")
    database.mongo["shapes"].update_many({}, {"$unset": {blocks.LOOSE: ""}})
    for _ in range(2):
        assert bucket(database, rutile()) == as_documents_say(database, rutile())
    before = list(database.mongo["shapes"].find({}))
    assert bucket(database, rutile()) == as_documents_say(database, rutile())
    assert list(database.mongo["shapes"].find({})) == before


def test_shapes_made_anew_are_put_into_blocks_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "FEWEST", 2)
    database.records.insert(records())
    database.shapes.complete("t")
    made = count_of_blocks(database)
    assert made > 0
    for form in KNOWN:
        assert bucket(database, form) == as_documents_say(database, form)
    assert count_of_blocks(database) == made


def test_what_two_put_into_blocks_at_once_is_found_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "FEWEST", 2)
    of_nbo = _BLOCKS | {"formula": "NbO"}
    database.records.insert(records())
    database.shapes.complete("t")
    assert bucket(database, nbo()) == as_documents_say(database, nbo())
    twice = [one | {"_id": f"{one['_id']} 2"} for one in database.mongo["shapes"].find(of_nbo)]
    database.mongo["shapes"].insert_many(twice)
    assert bucket(database, nbo()) == as_documents_say(database, nbo())
    assert database.mongo["shapes"].count_documents(of_nbo) == len(twice)
    database.mongo["shapes"].delete_many(of_nbo)
    assert bucket(database, nbo()) == as_documents_say(database, nbo())
    assert database.mongo["shapes"].count_documents(of_nbo) == len(twice)


def test_what_screening_reduced_is_not_reduced_again(database: Database) -> None:
    drawn = [screened(nbo(), 0), screened(rutile(), 1), screened(rocksalt(), 2, Status.INVALID)]
    database.records.insert(drawn)
    database.shapes.keep(
        drawn, {record.id: Shape(record.id, generated_structure(record)) for record in drawn}
    )
    assert database.mongo["structures"].count_documents({UNSHAPED: True}) == 0
    kept = contents(database)
    assert {one["record"] for one in kept} == {record.id for record in drawn[:2]}
    database.mongo["shapes"].drop()
    database.shapes.complete("t")
    assert [one for one in contents(database) if "form" in one] == kept


def test_what_became_a_duplicate_since_is_nobody_s_original(database: Database) -> None:
    first, second = screened(nbo(), 0), screened(nbo(4.25), 1)
    database.records.insert([first, second])
    database.shapes.complete("t")
    database.records.update(first.id, status=Status.DUPLICATE)
    assert found_by(SeenBefore(database, SPEC), Shape("", nbo())) == second.id


@pytest.mark.parametrize("structure", [*KNOWN, shaken(rutile(), 3)])
def test_a_kept_shape_answers_as_the_crystal_does(structure: Structure) -> None:
    shape = Shape("a", structure)
    kept = KeptShape("a", packed(shape))
    assert (kept.formula, kept.sites, kept.edges) == (shape.formula, shape.sites, shape.edges)
    for other in KNOWN:
        assert kept.same(Shape("", other)) == shape.same(Shape("", other))


def test_a_pair_is_compared_once(database: Database) -> None:
    """Closing again asks about new results alone, and says the same."""
    results = [validated(shaken(nbo(), i), -9.0 + 1e-4 * i, round_number=1, index=i) for i in range(4)]
    database.records.insert(results)
    database.shapes.complete("t")
    first = Comparisons()
    said = duplicates(results, comparisons=first)
    database.shapes.remember("t", first.new)

    def never(records: Sequence[StructureRecord]) -> list[Shape]:
        assert not records, "compared again"
        return []

    again = Comparisons(never, database.shapes.answers)
    assert duplicates(results, comparisons=again) == said
    assert again.new == {}


def test_shapes_written_as_before_are_made_anew(database: Database) -> None:
    database.records.insert(records())
    database.shapes.complete("t")
    made = contents(database)
    of_old = {"key": "t NbO 6", "form": "generated", "of": "", "turn": [1, 0, 0], "campaign": "t"}
    database.mongo["shapes"].update_many(
        {"cell": {"$exists": True}}, {"$set": of_old, "$unset": {"cell": ""}}
    )
    database.mongo["shapes"].update_one({"_id": "all of t"}, {"$unset": {"written_as": ""}})
    assert len(database.shapes.like("t", Shape("", nbo()))) == 0
    database.shapes.complete("t")
    assert contents(database) == made
