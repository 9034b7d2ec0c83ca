"""A formation energy that no solid has is a hole of the potential: a failure, not a record's energy."""

from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure

from config.spec import CampaignSpec
from flows.oracles.registry import make_oracle
from flows.validation import validate_structure
from loop.hull import formation_energy
from loop.records import Failure, Validation

SPEC = CampaignSpec.model_validate({"id": "deep", "elements": ["Au", "Cu"], "oracle": {"name": "emt"}})
ALLOY = Structure(Lattice.tetragonal(2.8, 3.7), ["Au", "Cu"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
pytestmark = pytest.mark.filterwarnings("ignore")  # of atomate2, about its own arguments


def validated(references: dict[str, float], folder: Path) -> Validation | Failure:
    return validate_structure(SPEC, make_oracle(SPEC.oracle), ALLOY, folder / "work", references)


def test_what_lies_deeper_than_any_solid_fails_as_unphysical(tmp_path: Path) -> None:
    found = validated({"Au": 5.2, "Cu": 5.2}, tmp_path)
    assert isinstance(found, Failure)
    assert (found.step, found.cause, found.attempts) == ("relax", "unphysical", 1)
    assert "no solid is known below -5" in found.message


@pytest.mark.parametrize("references", [{"Au": 4.0, "Cu": 4.0}, {"Au": 99.0}, {}])
def test_anything_else_is_validated(references: dict[str, float], tmp_path: Path) -> None:
    assert isinstance(validated(references, tmp_path), Validation)


def test_formation_energy_by_hand() -> None:
    assert formation_energy({"Nb": 2, "O": 4}, -9.0, {"Nb": -10.0, "O": -5.0}) == pytest.approx(-7 / 3)
    assert formation_energy({"Nb": 1}, -9.0, {}) != formation_energy({"Nb": 1}, -9.0, {})
