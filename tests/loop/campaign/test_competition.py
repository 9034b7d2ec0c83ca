"""Which competing phases are asked about first, and what a claim has beside it."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec, Limits, Prerelaxation, Seeds
from niobe.loop.campaign.closing import close_round
from niobe.loop.campaign.competition import competition, deeper
from niobe.loop.campaign.seeds import new_record, seed_records
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Lineage, Prerelaxed, Status, StructureRecord, Verdict
from tests.loop.factory import element, nbo, rocksalt, rutile, validated

SPEC = CampaignSpec(
    id="t",
    elements=("Nb", "O"),
    seeds=Seeds(max_prototypes=3),
    prerelax=Prerelaxation(potential="lj"),
)


def prototype(structure: Structure, index: int, energy: float) -> StructureRecord:
    lineage = Lineage(generator="reference" if len(structure.composition) == 1 else "prototype")
    answer = Prerelaxed(potential="p", structure=structure.as_dict(), energy_per_atom=energy, steps=3)
    record = new_record(SPEC, 0, index, structure, lineage)
    return record.model_copy(update={"prerelaxed": answer, "status": Status.SCREENED})


def caesium_chloride(a: float) -> Structure:
    return Structure(Lattice.cubic(a), ["Nb", "O"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


ELEMENTS = [prototype(element("Nb"), 0, 0.0), prototype(element("O"), 1, 0.0)]


def chosen(*records: StructureRecord, seen: SeenStructures | None = None) -> list[StructureRecord]:
    return competition(SPEC, [*ELEMENTS, *records], seen or SeenStructures(), SeenStructures())


def test_the_lowest_of_each_composition_come_first_whatever_their_names() -> None:
    """Hull: NbO at −1. NbO2 lies 0.1 above, another NbO 0.04 and one 0.2 above, Nb3O too far."""
    low = prototype(nbo(), 2, -1.0)
    second, high = prototype(rocksalt(), 3, -0.96), prototype(caesium_chloride(2.9), 4, -0.8)
    oxide = prototype(rutile(), 5, -2 / 3 + 0.1)
    far = new_record(SPEC, 0, 6, nbo(9.0), Lineage(generator="prototype"))
    assert chosen(far, high, oxide, second, low) == [low, second, oxide]


def test_none_like_another_is_asked_and_none_without_an_answer() -> None:
    low, same = prototype(nbo(), 2, -1.0), prototype(nbo(4.25), 3, -0.99)
    unknown = new_record(SPEC, 0, 4, rutile(), Lineage(generator="prototype"))
    assert chosen(low, same, unknown) == [low]
    assert chosen(low, same, seen=SeenStructures([("there", nbo())])) == []


def test_prototypes_of_every_subsystem_wait_and_no_system_goes_without() -> None:
    spec = CampaignSpec(id="t", elements=("Al", "Ni", "Zr"), limits=Limits(max_atoms=4), prerelax=None)
    records = seed_records(spec)[0]
    waiting = [record for record in records if record.status is Status.SCREENED]
    systems = {"Al-Ni": 258, "Al-Zr": 258, "Ni-Zr": 258, "Al-Ni-Zr": 186}
    assert {s: sum(r.chemsys == s for r in waiting) for s in systems} == systems
    few = spec.model_copy(update={"seeds": Seeds(max_prototypes=2)})
    asked = competition(few, records, SeenStructures(), SeenStructures())
    assert {s: [r.formula for r in asked if r.chemsys == s] for s in ("Al-Ni", "Ni-Zr")} == {
        "Al-Ni": ["AlNi", "AlNi2"],
        "Ni-Zr": ["ZrNi", "Zr2Ni"],
    }


def test_a_claim_has_its_products_and_how_well_they_were_searched() -> None:
    """NbO2 on the hull of Nb, NbO and O2; a failed NbO counts as asked."""
    records = [
        validated(element("Nb"), -10.0),
        validated(element("O", 3.0), -5.0, index=1),
        validated(nbo(), -9.5, index=2),
        validated(rutile(), -8.5, index=3, round_number=1),
        validated(rocksalt(), -9.2, index=4).model_copy(update={"status": Status.FAILED, "validation": None}),
    ]
    hull, verdicts = close_round(SPEC, 1, records)
    verdict = verdicts[records[3].id]
    assert {p.formula: p.asked for p in verdict.products} == {"NbO": 2, "O2": 1}
    assert {p.formula: p.share for p in verdict.products} == pytest.approx(
        {"NbO": 2 / 3, "O2": 1 / 3}, abs=1e-6
    )
    assert verdict.above_products == pytest.approx(-8.5 + 2 / 3 * 9.5 + 5 / 3)
    assert [(s.chemsys, s.asked, s.failed) for s in hull.searched] == [
        ("Nb", 1, 0),
        ("O", 1, 0),
        ("Nb-O", 3, 1),
    ]


def test_a_round_asks_deeper_where_a_claim_may_fall() -> None:
    """What lies beside a claim comes first; nothing that was asked or lies too far comes at all."""
    elements = [record.model_copy(update={"status": Status.DUPLICATE}) for record in ELEMENTS]
    oxides = [prototype(rutile(), 2, -0.6), prototype(nbo(), 3, -0.85), prototype(rocksalt(), 4, -0.86)]
    oxides += [prototype(caesium_chloride(2.9), 5, -0.7)]
    assert [r.index for r in deeper(SPEC, [*elements, *oxides])] == [2, 4, 3]
    verdict = Verdict(
        formation_energy_per_atom=-0.5,
        e_above_hull_found=0.0,
        e_above_hull_now=0.0,
        hull_round=1,
        discovery=True,
    )
    claim = validated(caesium_chloride(3.3), -0.5, round_number=1).model_copy(update={"verdict": verdict})
    assert [r.index for r in deeper(SPEC, [*elements, *oxides, claim])] == [4, 3, 2]
