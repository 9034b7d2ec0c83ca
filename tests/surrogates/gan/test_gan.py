"""The symmetric representation is exact, and checkpoints carry the GAN."""

from pathlib import Path

import numpy as np
import pytest
from pymatgen.core.structure_matcher import StructureMatcher

from loop.generators.prototypes import decorated_prototypes
from surrogates.gan import CrystalGAN
from surrogates.gan.vectors import from_row, to_row, valid_letters
from surrogates.gan.wyckoff import SymmetricCrystal, decode, encode, positions
from surrogates.protocols import SampleRequest
from tests.loop.factory import nbo

ELEMENTS = ("Nb", "O")
PROTOTYPES = decorated_prototypes(ELEMENTS, 10)[::4]


@pytest.mark.parametrize(("label", "structure"), PROTOTYPES, ids=[label for label, _ in PROTOTYPES])
def test_a_prototype_survives_encoding_rows_and_decoding(label: str, structure: object) -> None:
    crystal = encode(structure, ELEMENTS)  # type: ignore[arg-type]
    if crystal is None:
        pytest.skip("more than six orbits")
    again = from_row(to_row(crystal))
    assert again is not None
    decoded = decode(again, ELEMENTS)
    assert decoded is not None
    assert StructureMatcher().fit(decoded, structure)  # type: ignore[arg-type]


def test_a_fixed_position_taken_twice_is_no_crystal() -> None:
    crystal = encode(nbo(), ELEMENTS)
    assert crystal is not None
    fixed = [orbit for orbit in crystal.orbits if positions(crystal.space_group)[orbit.letter].is_fixed]
    twice = SymmetricCrystal(crystal.space_group, (fixed[0], fixed[0]), crystal.lattice)
    assert decode(twice, ELEMENTS) is None


def test_letters_are_those_of_the_tables() -> None:
    table = valid_letters()
    assert table[0].sum() == 2
    assert table[46].sum() == 28
    assert set(positions(221)) == set("abcdefghijklmn")


def test_a_checkpoint_draws_the_same_samples(tmp_path: Path) -> None:
    gan = CrystalGAN(epochs=1)
    structures = [structure for _, structure in PROTOTYPES]
    gan.fit(structures, np.ones(len(structures)), seed=2)
    gan.save(tmp_path)
    request = SampleRequest(elements=ELEMENTS, max_atoms=12)
    one, other = (g.sample(request, 20, seed=4) for g in (gan, CrystalGAN.load(tmp_path)))
    assert [s.structure for s in one.samples] == [s.structure for s in other.samples]
    assert one.rejected == other.rejected
    assert {file.suffix for file in tmp_path.iterdir()} == {".safetensors", ".json"}


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(ValueError, match="no structure to train on"):
        CrystalGAN(epochs=1).fit([], np.array([]), seed=1)
