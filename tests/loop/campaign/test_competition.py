"""Which competing phases are asked about first, and what a claim has beside it."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec, Limits, Prerelaxation, Seeds
from niobe.loop.campaign.closing import close_round
from niobe.loop.campaign.competition import competition, deeper, further
from niobe.loop.campaign.seeds import new_record, seed_records
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Lineage, Prerelaxed, Status, StructureRecord, Verdict
from niobe.loop.documents.structures import generated_structure
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


def asked(*records: StructureRecord, seen: SeenStructures | None = None) -> list[StructureRecord]:
    return competition(SPEC, records, seen or SeenStructures(), SeenStructures())


def chosen(*records: StructureRecord, seen: SeenStructures | None = None) -> list[StructureRecord]:
    """Beside elements with one crystal each, which are asked for."""
    found = asked(*ELEMENTS, *records, seen=seen)
    assert found[:2] == ELEMENTS
    return found[2:]


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


def test_of_an_element_the_lowest_six_within_a_window_are_asked_and_all_where_none_has_an_answer() -> None:
    waiting = [record for record in seed_records(SPEC)[0] if record.chemsys == "O"]
    assert {record.lineage.generator for record in waiting} == {"reference"}
    energies = [-3.9 + 0.01 * rank for rank in range(len(waiting))]
    energies[1] = -3.7
    crystals = [
        prototype(generated_structure(record), record.index, energy)
        for record, energy in zip(waiting, energies, strict=True)
    ]
    found = asked(ELEMENTS[0], *reversed(crystals))[1:]
    assert [r.index for r in found] == [crystals[rank].index for rank in (0, 2, 3, 4, 5, 6)]
    mute = [record.model_copy(update={"prerelaxed": None}) for record in crystals]
    assert asked(ELEMENTS[0], *mute)[1:] == mute[:6]


def test_crystals_of_an_element_go_by_what_the_campaigns_own_potential_says_of_them() -> None:
    """By pre-relaxation fcc is lowest and bcc 0.5 above; by the oracle bcc, sc 0.04 above, none for fcc. hcp
    is low by pre-relaxation only."""
    groups = {"Fm-3m": (4.2, -5.0, None), "Im-3m": (3.3, -4.5, -10.0), "Pm-3m": (2.7, -4.4, -9.96)}
    fcc, bcc, simple = (
        opinion(prototype(cubic(group, a), index, cheap), own)
        for index, (group, (a, cheap, own)) in enumerate(groups.items())
    )
    assert asked(fcc, simple, bcc, ELEMENTS[1]) == [bcc, simple, ELEMENTS[1]]
    answered = [validated(rocksalt(), -3.0, index=9), validated(element("O"), -5.0, index=8)]
    answered.append(validated(element("Nb"), -10.0, index=7))
    waiting = [fcc, simple]
    assert further(SPEC, answered, waiting, SeenStructures(), SeenStructures()) == [simple]


def cubic(group: str, a: float) -> Structure:
    return Structure.from_spacegroup(group, Lattice.cubic(a), ["Nb"], [[0, 0, 0]])


def opinion(record: StructureRecord, energy: float | None) -> StructureRecord:
    """The record with what the campaign's own potential says of it as pre-relaxed, eV/atom."""
    assert record.prerelaxed is not None
    answer = record.prerelaxed.model_copy(update={"oracle": "own", "by_oracle": energy})
    return record.model_copy(update={"prerelaxed": answer})


ANSWERED = [
    answer.model_copy(update={"prerelaxed": waiting.prerelaxed})
    for answer, waiting in zip(
        [validated(element("Nb"), -10.0), validated(element("O"), -5.0, index=1)], ELEMENTS, strict=True
    )
]


def test_the_answers_say_where_further_polymorphs_are_asked() -> None:
    """NbO by the cheap potential −1, by the oracle −0.2: others within 0.05 of it may lie on the hull."""
    answer = validated(nbo(), -7.7, index=2)
    low = answer.model_copy(update={"prerelaxed": prototype(nbo(), 2, -1.0).prerelaxed})
    near, far = prototype(rocksalt(), 3, -0.96), prototype(caesium_chloride(2.9), 4, -0.9)
    found = further(SPEC, [*ANSWERED, low], [near, far], SeenStructures(), SeenStructures())
    assert found == [near]
    assert further(SPEC, [*ANSWERED, low], [near], SeenStructures([("", rocksalt())]), SeenStructures()) == []


def test_an_element_without_an_answer_has_its_other_crystals_asked() -> None:
    waiting = [prototype(element("O"), 5, 1.0), prototype(rutile(), 6, -1.0)]
    assert further(SPEC, ANSWERED[:1], waiting, SeenStructures(), SeenStructures()) == waiting[:1]


def test_prototypes_of_every_subsystem_wait_and_no_system_goes_without() -> None:
    spec = CampaignSpec(id="t", elements=("Al", "Ni", "Zr"), limits=Limits(max_atoms=4), prerelax=None)
    records = seed_records(spec)[0]
    waiting = [record for record in records if record.status is Status.SCREENED]
    systems = {"Al-Ni": 418, "Al-Zr": 418, "Ni-Zr": 418, "Al-Ni-Zr": 346}
    assert {s: sum(r.chemsys == s for r in waiting) for s in systems} == systems
    few = spec.model_copy(update={"seeds": Seeds(max_prototypes=2)})
    found = competition(few, records, SeenStructures(), SeenStructures())
    assert [r for r in found if r.nelements == 1] == [r for r in waiting if r.nelements == 1]
    assert {s: [r.formula for r in found if r.chemsys == s] for s in ("Al-Ni", "Ni-Zr")} == {
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
