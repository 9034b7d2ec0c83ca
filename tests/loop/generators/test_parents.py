"""Who of a campaign's crystals has offspring."""

from __future__ import annotations

import numpy as np
from pymatgen.core import Lattice, Structure

from niobe.config.loading import with_changes
from niobe.loop.documents.records import Lineage, Prerelaxed, Status, StructureRecord, Verdict
from niobe.loop.generators import Parent
from niobe.loop.generators.offspring import way_shares
from niobe.loop.generators.parents import offspring_parents, surviving_shares
from tests.loop.factory import SPEC, element, nbo, rocksalt, rutile, validated


def candidate(structure: Structure, formation: float, *, brief: bool = False) -> StructureRecord:
    """What the pre-relaxation potential relaxed, its elements being at −10 and −5 eV/atom."""
    elements = -10.0 + 5.0 * structure.composition.get_atomic_fraction("O")
    answer = Prerelaxed(
        potential="test",
        structure=structure.as_dict(),
        energy_per_atom=formation + elements,
        steps=3,
        brief=brief,
    )
    record = validated(structure, -9.0, round_number=1)
    update = {"prerelaxed": answer, "status": Status.SCREENED, "validation": None, "acquired_round": None}
    return record.model_copy(update=update)


def judged(
    record: StructureRecord, formation: float, *, prerelax: float, duplicate: str | None = None
) -> StructureRecord:
    verdict = Verdict(
        formation_energy_per_atom=formation,
        e_above_hull_found=0.0,
        e_above_hull_now=0.0,
        hull_round=0,
        duplicate_of=duplicate,
    )
    answer = Prerelaxed(potential="test", structure=record.structure, energy_per_atom=prerelax, steps=3)
    return record.model_copy(update={"verdict": verdict, "prerelaxed": answer})


ELEMENTS = [
    judged(validated(element("Nb"), -10.0), 0.0, prerelax=-10.0),
    judged(validated(element("O"), -5.0), 0.0, prerelax=-5.0),
]


def test_parents_are_what_came_to_rest_lowest_above_the_joint_hull_first() -> None:
    """The pre-relaxation potential errs by −0.5 on the oxide that both know: what it says of candidates is
    raised by as much."""
    known = judged(validated(rocksalt(), -9.0, round_number=1), -1.5, prerelax=-2.0 - 7.5)
    unjudged = known.model_copy(update={"id": "unjudged", "verdict": None, "prerelaxed": None})
    low, acquired = candidate(nbo(), -2.1), candidate(cesium_chloride(), -1.9)
    acquired = acquired.model_copy(update={"status": Status.ACQUIRED})
    duplicate, briefly = candidate(nbo(4.3), -2.05), candidate(zincblende(), -2.4, brief=True)
    duplicate = candidate(zincblende(), -2.4).model_copy(update={"status": Status.DUPLICATE})
    records = [*ELEMENTS, acquired, known, duplicate, briefly, low, duplicate, unjudged]
    assert [parent.id for parent in offspring_parents(records, SPEC)] == [low.id, known.id, acquired.id]
    small = with_changes(SPEC, {"limits.max_atoms": 5})
    assert [parent.id for parent in offspring_parents(records, small)] == [acquired.id]


def test_one_deep_composition_is_not_all_of_the_parents() -> None:
    """Sixteen crystals of NbO, all lower than the one of NbO2; of one formula they are all there is."""
    deep = [candidate(scattered(n), -2.5 - 0.01 * n) for n in range(16)]
    records = [*ELEMENTS, *deep, candidate(rutile(), -1.0)]
    parents = offspring_parents(records, SPEC)
    assert [parent.structure.composition.reduced_formula for parent in parents] == ["NbO"] * 10 + ["NbO2"]
    alone = offspring_parents(records, with_changes(SPEC, {"formula": "NbO"}))
    assert len(alone) > 10


def scattered(seed: int) -> Structure:
    """Sites at random: no two seeds are alike."""
    places = np.random.default_rng(seed).random((4, 3))
    return Structure(Lattice.cubic(4.2), ["Nb", "Nb", "O", "O"], places)


def test_shares_are_counted_in_the_records() -> None:
    children = [candidate(scattered(n), -2.0) for n in range(4)]
    ways = ["slip", "slip", "strain", "heredity"]
    records = [
        child.model_copy(update={"lineage": Lineage(generator="offspring", origin={"way": way})})
        for child, way in zip(children, ways, strict=True)
    ]
    parents = [Parent(records[0].id, scattered(0)), Parent(records[1].id, scattered(1))]
    shares = surviving_shares([*ELEMENTS, *records], parents)
    assert shares == way_shares({"slip": 2, "strain": 1, "heredity": 1}, {"slip": 2})


def cesium_chloride() -> Structure:
    return Structure(Lattice.cubic(2.8), ["Nb", "O"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


def zincblende() -> Structure:
    return Structure.from_spacegroup(216, Lattice.cubic(4.8), ["Nb", "O"], [[0, 0, 0], [0.25, 0.25, 0.25]])
