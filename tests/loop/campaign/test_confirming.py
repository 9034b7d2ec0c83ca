"""Opinions of other oracles: each on a hull of its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from niobe.loop.campaign.closing import close_round
from niobe.loop.campaign.confirming import (
    SecondOracle,
    agreements,
    height_corrections,
    kendall_tau,
    least_work_first,
    opinions,
    rests_on,
    spread,
)
from niobe.loop.documents.answers import SecondAnswer
from niobe.loop.documents.claims import Opinion
from niobe.loop.documents.records import Failure, StructureRecord
from tests.loop.factory import SPEC, element, fcc, nbo, rutile, validated

NB, OX = validated(element("Nb"), -10.0), validated(element("O", 3.0), -5.0, index=1)
RUTILE = validated(rutile(), -8.5, index=2)
FIND = validated(nbo(), -9.0, round_number=1)
OTHER = SecondOracle("other", "other 1", agree=0.1)
ALL = [NB, OX, RUTILE, FIND]


def judged() -> StructureRecord:
    """NbO at -1.5 eV/atom of formation, with NbO2 at -11/6: on the hull, 0.125 below Nb and NbO2."""
    _, verdicts = close_round(SPEC, 1, ALL)
    return FIND.model_copy(update={"verdict": verdicts[FIND.id]})


def answer(record: StructureRecord, energy: float) -> SecondAnswer:
    assert record.validation is not None
    validation = record.validation.model_copy(update={"oracle": "other 1", "energy_per_atom": energy})
    return SecondAnswer(id=record.id, campaign="t", content="c", validation=validation)


def known() -> dict[str, StructureRecord]:
    return {record.id: record for record in ALL}


def test_a_find_rests_on_what_it_falls_into_and_on_its_elements() -> None:
    assert {record.id for record in rests_on(judged(), known())} == {r.id for r in ALL}


def test_dft_is_asked_first_about_small_and_symmetric_crystals() -> None:
    """Six atoms of rutile are less work than three without symmetry, as NbO's are: its k-points are few."""
    askew = Structure(
        Lattice.from_parameters(3.0, 3.3, 3.9, 81, 95, 103), ["Nb", "O", "O"], np.eye(3) * [0.1, 0.45, 0.83]
    )
    finds = [
        validated(structure, -9.0, index=index, round_number=1)
        for index, structure in enumerate([askew, rutile(), nbo(), fcc("Nb")])
    ]
    found = least_work_first(finds, {record.id: record for record in [*finds, NB, OX]})
    assert [record.formula for record in found] == ["Nb", "NbO", "NbO2", "NbO2"]
    assert found[-1].id == finds[0].id


def test_the_lowest_crystal_of_an_element_rests_on_the_next_one_that_is_another() -> None:
    """Not on its own duplicate: an oracle asked for a find alone could only agree."""
    _, verdicts = close_round(SPEC, 1, ALL)
    same = NB.model_copy(
        update={"id": "same", "verdict": verdicts[NB.id].model_copy(update={"duplicate_of": NB.id})}
    )
    higher = validated(fcc("Nb"), -9.9, index=3)
    found = rests_on(NB, {record.id: record for record in (NB, same, higher)})
    assert [record.id for record in found] == [NB.id, higher.id]


def test_each_oracle_has_a_hull_of_its_own() -> None:
    """The other's zero of energy is elsewhere: Nb at 0, O at 1, NbO at -1.1, NbO2 at -0.8333.

    Its formation energies are -1.6 and -1.5, and Nb with NbO2 lies at -1.125 at NbO's composition.
    """
    answers = {NB.id: answer(NB, 0.0), OX.id: answer(OX, 1.0), FIND.id: answer(FIND, -1.1)}
    answers[RUTILE.id] = answer(RUTILE, 2 / 3 - 1.5)
    (opinion,) = opinions(OTHER, [judged()], known(), answers).values()
    assert opinion.fingerprint == "other 1"
    assert (opinion.e_above_hull, opinion.agrees) == (0.0, True)
    assert opinion.above_products == pytest.approx(-1.6 + 1.5 * 0.75)


def test_an_oracle_that_puts_it_beyond_the_tolerance_disagrees() -> None:
    answers = {NB.id: answer(NB, 0.0), OX.id: answer(OX, 0.0), FIND.id: answer(FIND, -0.9)}
    answers[RUTILE.id] = answer(RUTILE, -1.6)
    (opinion,) = opinions(OTHER, [judged()], known(), answers).values()
    assert opinion.e_above_hull == pytest.approx(1.6 * 0.75 - 0.9)
    assert opinion.above_products == pytest.approx(opinion.e_above_hull)
    assert not opinion.agrees


@pytest.mark.parametrize(
    ("message", "said"), [("", ""), ("GPAW: no\n  convergence " + 300 * "x", " (GPAW: no convergence [...])")]
)
def test_who_failed_on_what_it_rests_on_has_no_opinion_and_says_why(message: str, said: str) -> None:
    failure = Failure(step="relax", cause="not_converged", exception="E", message=message)
    answers = {record.id: answer(record, -1.0) for record in ALL}
    answers[RUTILE.id] = SecondAnswer(id="a", campaign="t", content="c", failure=failure)
    (opinion,) = opinions(OTHER, [judged()], known(), answers).values()
    assert (opinion.e_above_hull, opinion.agrees) == (None, False)
    assert opinion.reason == f"NbO2: not_converged{said}"


def test_answers_of_other_settings_are_on_another_hull() -> None:
    answers = {record.id: answer(record, -1.0) for record in ALL}
    other = answers[RUTILE.id].validation
    assert other is not None
    moved = other.model_copy(update={"oracle": "other 2"})
    answers[RUTILE.id] = answers[RUTILE.id].model_copy(update={"validation": moved})
    (opinion,) = opinions(OTHER, [judged()], known(), answers).values()
    assert (opinion.e_above_hull, opinion.agrees) == (None, False)
    assert opinion.reason == "NbO2: answered by other settings"


@pytest.mark.parametrize(("potcar", "agrees"), [("O 1", True), ("O 2", False)])
def test_answers_by_another_potcar_are_on_another_hull(potcar: str, agrees: bool) -> None:
    def by(found: SecondAnswer, **potcars: str) -> SecondAnswer:
        assert found.validation is not None
        return found.model_copy(
            update={"validation": found.validation.model_copy(update={"potcars": potcars})}
        )

    answers = {record.id: answer(record, -9.0 - (record is FIND)) for record in ALL}
    answers[FIND.id] = by(answers[FIND.id], Nb="Nb_pv 1", O="O 1")
    answers[OX.id] = by(answers[OX.id], O=potcar)
    opinion = opinions(OTHER, [judged()], known(), answers)[FIND.id]
    assert opinion.agrees is agrees
    assert opinion.reason == ("" if agrees else f"{OX.formula}: answered by other settings")


def test_who_was_not_asked_about_all_of_it_has_no_opinion_yet() -> None:
    assert opinions(OTHER, [judged()], known(), {FIND.id: answer(FIND, -1.0)}) == {}


def test_the_verdict_says_how_many_agree_and_how_far_apart_they_are() -> None:
    said = [
        Opinion(oracle="a", fingerprint="a", e_above_hull=0.0, above_products=-0.025, agrees=True),
        Opinion(oracle="b", fingerprint="b", e_above_hull=0.3, above_products=0.3),
    ]
    find = FIND.model_copy(update={"opinions": said})
    _, verdicts = close_round(SPEC, 1, [NB, OX, RUTILE, find])
    verdict = verdicts[find.id]
    assert (verdict.opinions_agreeing, verdict.opinions_asked) == (1, 2)
    assert verdict.above_products == pytest.approx(-0.125)
    assert verdict.spread == pytest.approx(0.425)
    assert spread(verdict, []) is None


def test_agreement_is_counted_over_finds() -> None:
    verdict = judged().verdict
    assert verdict is not None
    finds = []
    for rank, (own, theirs) in enumerate([(-0.1, -0.2), (0.0, 0.1), (0.05, 0.0)]):
        opinion = Opinion(oracle="a", fingerprint="a", e_above_hull=max(theirs, 0.0), above_products=theirs)
        update = {"agrees": theirs < 0.05}
        found = FIND.model_copy(
            update={
                "id": str(rank),
                "verdict": verdict.model_copy(update={"above_products": own}),
                "opinions": [opinion.model_copy(update=update)],
            }
        )
        finds.append(found)
    (agreement,) = agreements(finds)
    assert (agreement.oracle, agreement.agreeing, agreement.asked) == ("a", 2, 3)
    assert agreement.tau == pytest.approx(1 / 3)
    assert agreement.difference == pytest.approx(-0.05)


def by_dft(added: float, structure: Structure, index: int) -> StructureRecord:
    """A find on the hull that DFT puts so much higher (eV/atom)."""
    said = Opinion(
        oracle="d", fingerprint="d", e_above_hull=max(added, 0.0), above_products=added, is_dft=True
    )
    verdict = judged().verdict
    assert verdict is not None
    update = {"verdict": verdict.model_copy(update={"above_products": 0.0}), "opinions": [said]}
    return validated(structure, -9.0, index=index).model_copy(update=update)


def test_dft_corrects_rankings_by_composition_from_six_finds_on() -> None:
    """NbO is 0.04 too low and NbO2 0.10; between them, and far away, something between; elements stay."""
    finds = [by_dft(0.04, nbo(), n) for n in range(3)] + [by_dft(0.1, rutile(), n) for n in range(3, 6)]
    assert height_corrections(ALL, finds[:5]) is None
    assert height_corrections([], finds) is None
    added = height_corrections(ALL, finds)
    assert added is not None
    nb, ox, rut, find = added
    assert nb == ox == 0.0
    assert 0.04 < find < 0.07 < rut < 0.1
    assert height_corrections(ALL, [FIND] * 9) is None


def test_two_finds_have_no_order_worth_a_number() -> None:
    assert kendall_tau([0.1, 0.2], [0.1, 0.2]) is None
    assert kendall_tau([0.1, 0.2, 0.3], [0.0, 0.0, 0.0]) is None


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=9, unique=True))
def test_an_order_agrees_with_itself_and_is_opposed_by_its_reverse(heights: list[float]) -> None:
    assert kendall_tau(heights, heights) == pytest.approx(1)
    assert kendall_tau(heights, [-height for height in heights]) == pytest.approx(-1)
