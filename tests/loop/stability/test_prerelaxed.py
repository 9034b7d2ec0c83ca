"""Formation energies by the pre-relaxation potential, checked by hand."""

import numpy as np
import pytest

from niobe.flows.steps.train import training_set
from niobe.loop.documents.records import Prerelaxed, StructureRecord, Verdict
from niobe.loop.stability.prerelaxed import (
    above_joint_hull,
    mean_corrections,
    prerelaxed_formation_energies,
    prerelaxed_references,
    spread_of_corrections,
    understatement,
    waiting,
)
from tests.loop.factory import element, nbo, rocksalt, rutile, validated


def with_prerelaxed(record: StructureRecord, energy: float) -> StructureRecord:
    relaxed = nbo(4.1).as_dict() if record.formula == "NbO" else record.structure
    answer = Prerelaxed(potential="test", structure=relaxed, energy_per_atom=energy, steps=3)
    verdict = Verdict(
        formation_energy_per_atom=-2.0, e_above_hull_found=0.0, e_above_hull_now=0.0, hull_round=0
    )
    return record.model_copy(update={"prerelaxed": answer, "verdict": verdict})


NIOBIUM = [with_prerelaxed(validated(element("Nb"), -10.0), energy) for energy in (-9.5, -10.0)]
OXYGEN = with_prerelaxed(validated(element("O"), -5.0), -5.0)
OXIDE = with_prerelaxed(validated(nbo(), -9.0), -9.4)


def test_the_lowest_energy_of_each_element_is_its_reference() -> None:
    assert prerelaxed_references([*NIOBIUM, OXYGEN, OXIDE]) == {"Nb": -10.0, "O": -5.0}


def test_formation_energy_is_the_difference_to_the_elements() -> None:
    without = validated(nbo(), -9.0)
    energies = prerelaxed_formation_energies([OXIDE, OXYGEN, without], {"Nb": -10.0, "O": -5.0})
    assert energies[:2] == pytest.approx([-1.9, 0.0])
    assert np.isnan(energies[2])


def test_the_mean_correction_is_a_mean_over_like_compositions() -> None:
    """NbO is −0.1 off and NbO2 −0.4. Their fractions are √2/6 apart, at which a neighbour weighs `far`.
    Another NbO asks both; each of the two asks the other only as far as that weighs, which is half of `far`.
    """
    references = {"Nb": -10.0, "O": -5.0}
    dioxide = with_prerelaxed(validated(rutile(), -9.0), -1.6 - 20 / 3)
    third = with_prerelaxed(validated(rocksalt(), -9.0), -9.0)
    far = np.exp(-(2 / 36) / (2 * 0.15**2))
    among_both = (1.001 * -0.1 + (far + 1e-3) * -0.4) / (1.001 + far + 1e-3)
    found = mean_corrections([third, OXIDE, dioxide, OXYGEN], [*NIOBIUM, OXIDE, dioxide, OXYGEN], references)
    assert found == pytest.approx([among_both, -0.1 - far / 2 * 0.3, -0.4 + far / 2 * 0.3, 0.0])
    assert mean_corrections([third], NIOBIUM, references) == pytest.approx([0.0])


def test_what_mean_corrections_miss_of_compounds_that_have_no_part_in_them() -> None:
    """NbO is −0.1 off and NbO2 −0.4: each is the other's only neighbour, and 0.3 away. With another NbO, −0.2
    off, each of the two has the other but for what `far` weighs, and NbO2 has their mean."""
    references = {"Nb": -10.0, "O": -5.0}
    dioxide = with_prerelaxed(validated(rutile(), -9.0), -1.6 - 20 / 3)
    assert spread_of_corrections([*NIOBIUM, OXIDE, OXYGEN], references) == 0.1
    assert spread_of_corrections([*NIOBIUM, OXIDE, dioxide], references) == pytest.approx(0.3)
    third = with_prerelaxed(validated(rocksalt(), -9.0, index=2), -9.3).model_copy(update={"round": 1})
    far = np.exp(-(2 / 36) / (2 * 0.15**2))
    of_oxide = -0.1 - (1.001 * -0.2 + (far + 1e-3) * -0.4) / (1.002 + far)
    of_third = -0.2 - (1.001 * -0.1 + (far + 1e-3) * -0.4) / (1.002 + far)
    expected = np.sqrt(np.mean(np.square([of_oxide, of_third, -0.4 + 0.15])))
    assert spread_of_corrections([OXIDE, third, dioxide], references) == pytest.approx(expected)


def test_of_few_compounds_what_is_left_to_learn_says_too_little_of_errors() -> None:
    """NbO and NbO2 miss each other by 0.3; half of `far` of that is left, the rest each tells itself.
    Among many of a composition none has a part in its own mean. Of one nothing is left, and little known."""
    references = {"Nb": -10.0, "O": -5.0}
    dioxide = with_prerelaxed(validated(rutile(), -9.0), -1.6 - 20 / 3)
    far = np.exp(-(2 / 36) / (2 * 0.15**2))
    assert understatement([*NIOBIUM, OXIDE, dioxide], references) == pytest.approx(2 / far)
    alike = [
        with_prerelaxed(validated(nbo(), -9.0, index=index), energy)
        for index, energy in enumerate((-9.4, -9.3, -9.1, -9.0))
    ]
    assert understatement(alike, references) == pytest.approx(1.0)
    assert understatement([*NIOBIUM, OXIDE], references) > 1e6
    assert understatement(NIOBIUM, references) > 1e6


def test_what_is_learned_and_the_mean_correction_add_up_where_a_compound_stands_alone() -> None:
    """One compound is all that is known: its whole error is the mean correction there, and nothing is left to
    learn."""
    references = {"Nb": -10.0, "O": -5.0}
    _, targets = training_set([*NIOBIUM, OXIDE], references)
    assert targets["formation_energy_per_atom"][2] == pytest.approx(0.0)
    like_it = with_prerelaxed(validated(rocksalt(), -9.0), -9.4)
    assert mean_corrections([like_it], [OXIDE], references) == pytest.approx([-0.1])


def test_a_seed_that_became_two_crystals_teaches_nothing_of_the_difference() -> None:
    """The pre-relaxation potential relaxed it into NbO's own structure, the oracle into rock salt."""
    references = {"Nb": -10.0, "O": -5.0}
    parted = with_prerelaxed(validated(rocksalt(), -9.0), -7.0)
    assert mean_corrections([parted], [OXIDE, parted], references) == pytest.approx([-0.1])
    _, targets = training_set([OXIDE, parted], references)
    assert np.isnan(targets["formation_energy_per_atom"]).tolist() == [False, True]
    later = parted.model_copy(update={"round": 1})
    assert mean_corrections([later], [later], references) == pytest.approx([-2.5])


def test_the_joint_hull_takes_the_oracle_where_it_answered_and_corrects_the_prior_by_it() -> None:
    """NbO is at −2 by the oracle, −1.9 by the pre-relaxation potential, which is therefore 0.1 too high. From
    NbO to O the hull is −4/3 at NbO2, unless that is lower: at −1.5 by the pre-relaxation potential it is, at
    −1 it lies 1/3 − 0.1 above.
    """
    references = {"Nb": -10.0, "O": -5.0}
    unasked = validated(rocksalt(), -9.0)
    for energy, expected in ((-1.5, 0.0), (-1.0, 1 / 3 - 0.1)):
        dioxide = with_prerelaxed(validated(rutile(), -9.0), energy - 20 / 3).model_copy(
            update={"verdict": None}
        )
        above = above_joint_hull([*NIOBIUM, OXIDE, dioxide, unasked], references, ["Nb", "O"])
        assert above[2:4] == pytest.approx([0.0, expected])
        assert np.isnan(above[4])


def test_what_got_a_glance_only_waits_while_there_is_enough_else() -> None:
    briefly = OXIDE.model_copy(
        update={
            "id": "g",
            "prerelaxed": OXIDE.prerelaxed.model_copy(update={"brief": True}) if OXIDE.prerelaxed else None,
        }
    )
    never = validated(rocksalt(), -9.0)
    assert waiting([OXYGEN, briefly, OXIDE], 2) == {"g"}
    assert waiting([OXYGEN, briefly, OXIDE], 3) == set()
    assert waiting([never, never, briefly, OXIDE], 2) == set()
    assert waiting([never, never], 1) == set()


def test_an_element_teaches_nothing_about_the_correction_where_compounds_do() -> None:
    _, targets = training_set([*NIOBIUM, OXIDE], {"Nb": -10.0, "O": -5.0})
    assert np.isnan(targets["formation_energy_per_atom"]).tolist() == [True, True, False]
    _, alone = training_set(NIOBIUM, {"Nb": -10.0})
    assert alone["formation_energy_per_atom"] == pytest.approx([-2.5, -2.0])
    assert targets["log_volume"].shape == (3,)
    assert np.isfinite(targets["log_volume"]).all()


def test_the_surrogate_learns_the_difference_of_the_oracle_to_the_prior() -> None:
    """Four compounds of one composition, three of them −0.3 eV/atom off: the first is so by 0.2 less."""
    others = [with_prerelaxed(validated(nbo(4.3 + i / 10), -9.0, index=i), -9.2) for i in range(3)]
    structures, targets = training_set([OXIDE, *others], {"Nb": -10.0, "O": -5.0})
    assert targets["formation_energy_per_atom"][0] == pytest.approx(-0.1 + 0.3)
    assert structures[0].lattice.a == pytest.approx(4.1)


def test_without_a_prior_a_record_teaches_as_generated_and_relaxed() -> None:
    structures, targets = training_set([OXIDE], None)
    assert len(structures) == 2
    assert targets["formation_energy_per_atom"] == pytest.approx([-2.0, -2.0])
