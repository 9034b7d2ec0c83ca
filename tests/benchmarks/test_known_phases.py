"""The score of what campaigns find of what is known, on energies made up."""

from __future__ import annotations

from niobe.config.spec import CampaignSpec
from tests.benchmarks.known_phases import score
from tests.loop.factory import element, nbo, rocksalt, rutile, validated

SPEC = CampaignSpec(id="t", elements=("Nb", "O"))


def test_known_phases_are_counted_by_crystal_and_by_energy_and_false_ones_by_the_joint_hull() -> None:
    """NbO of another kind is as low as the known one; NbO2, known and not found, puts NbO 0.05 too high."""
    elements = [validated(element("Nb"), 0.0), validated(element("O", 3.0), 0.0, index=1)]
    found = [*elements, validated(rocksalt(), -1.0, index=2)]
    known = [*elements, validated(nbo(), -0.9985, index=3), validated(rutile(), -1.8, index=4)]
    row = score(SPEC, found, known)
    assert (row["known"], row["after round 0"], row["or as low, after round 0"]) == (2, 0, 1)
    assert row["missing"] == ["NbO2"]
    assert (row["stable"], row["stable, over 0.05"], row["metastable, over 0.1"]) == (1, 1, 1)
