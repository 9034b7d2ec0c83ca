"""Entropies by hand, alarms that ring when a generator repeats itself, and none when it does not."""

from __future__ import annotations

import math

import pytest

from niobe.loop.documents.rounds import Diversity
from niobe.loop.generators.mode_collapse import diversity, entropy, why_collapsed
from niobe.loop.generators.prototypes import decorated_prototypes
from tests.loop.factory import nbo, rutile

VARIED = [structure for _, structure in decorated_prototypes(("Nb", "O"), 8)[::6]][:12]


def test_entropies_are_those_worked_out_by_hand() -> None:
    assert entropy("aabb") == pytest.approx(math.log(2))
    assert entropy("aaaa") == 0
    assert entropy("") == 0
    assert entropy("aaab") == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))


def test_varied_samples_raise_no_alarm() -> None:
    found = diversity(VARIED, [nbo()], asked=12, critic_gap=0.5)
    assert why_collapsed(found) == ""
    assert found.compositions > math.log(2)
    assert found.critic_gap == 0.5


def test_one_structure_over_and_over_is_a_collapse() -> None:
    found = diversity([rutile()] * 12, [nbo()], asked=12, critic_gap=0.5)
    assert found.space_groups == 0
    assert "space groups in effect" in why_collapsed(found)


def test_copies_of_what_is_known_are_a_collapse() -> None:
    found = diversity(VARIED, VARIED, asked=12, critic_gap=0.5)
    assert found.novelty == pytest.approx(0)
    assert "to what is known" in why_collapsed(found)


def test_too_few_distinct_samples_are_a_collapse_unless_few_were_asked_for() -> None:
    few = Diversity(asked=40, drawn=3, compositions=1.0, space_groups=1.0, sites=1.0)
    assert "3 of 40" in why_collapsed(few)
    assert why_collapsed(few.model_copy(update={"asked": 4})) == ""
