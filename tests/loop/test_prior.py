"""Formation energies by the prior, checked by hand."""

import numpy as np
import pytest

from flows.learning import training_set
from loop.prior import prior_formation_energies, prior_references
from loop.records import PriorAnswer, StructureRecord, Verdict
from tests.loop.factory import element, nbo, validated


def with_prior(record: StructureRecord, energy: float) -> StructureRecord:
    answer = PriorAnswer(potential="test", structure=nbo(4.1).as_dict(), energy_per_atom=energy, steps=3)
    verdict = Verdict(
        formation_energy_per_atom=-2.0, e_above_hull_found=0.0, e_above_hull_now=0.0, hull_round=0
    )
    return record.model_copy(update={"prior": answer, "verdict": verdict})


NIOBIUM = [with_prior(validated(element("Nb"), -10.0), energy) for energy in (-9.5, -10.0)]
OXYGEN = with_prior(validated(element("O"), -5.0), -5.0)
OXIDE = with_prior(validated(nbo(), -9.0), -9.4)


def test_the_lowest_energy_of_each_element_is_its_reference() -> None:
    assert prior_references([*NIOBIUM, OXYGEN, OXIDE]) == {"Nb": -10.0, "O": -5.0}


def test_formation_energy_is_the_difference_to_the_elements() -> None:
    without = validated(nbo(), -9.0)
    energies = prior_formation_energies([OXIDE, OXYGEN, without], {"Nb": -10.0, "O": -5.0})
    assert energies[:2] == pytest.approx([-1.9, 0.0])
    assert np.isnan(energies[2])


def test_the_surrogate_learns_the_difference_of_the_oracle_to_the_prior() -> None:
    structures, targets = training_set([OXIDE], {"Nb": -10.0, "O": -5.0})
    assert targets["formation_energy_per_atom"] == pytest.approx([-0.1])
    assert structures[0].lattice.a == pytest.approx(4.1)


def test_without_a_prior_a_record_teaches_as_generated_and_relaxed() -> None:
    structures, targets = training_set([OXIDE], None)
    assert len(structures) == 2
    assert targets["formation_energy_per_atom"] == pytest.approx([-2.0, -2.0])
