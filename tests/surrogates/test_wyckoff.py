"""Wyckoff letters: those of the conventional cell, the same for every description of a crystal."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moyopy import MoyoDataset
from moyopy.interface import MoyoAdapter
from pymatgen.core import Element, Lattice, Structure
from pymatgen.core.operations import SymmOp
from pymatgen.core.structure_matcher import StructureMatcher

from niobe.surrogates.gan.conditions import by_role
from niobe.surrogates.gan.symmetric import SymmetricCrystals
from niobe.surrogates.identity import OutdatedCheckpointError
from niobe.surrogates.models import load_surrogate, make_surrogate
from niobe.surrogates.representations.sequence import wyckoff_sequence
from tests.contract.test_surrogates import OXYGEN, TRAIN
from tests.loop.shared_crystals import shuffled_structures

# Space group and orbits (element, letter, sites in the conventional cell) by International Tables A and
# Wyckoff, Crystal Structures (1963); where an origin shift swaps letters, the first element has the first.
# Coordinates in pymatgen's origin (choice 1).
KNOWN: dict[str, tuple[int, Lattice, dict[str, tuple[float, float, float]], str]] = {
    "rocksalt": (225, Lattice.cubic(5.64), {"Na": (0, 0, 0), "Cl": (0.5, 0.5, 0.5)}, "Na a 4, Cl b 4"),
    "fluorite": (225, Lattice.cubic(5.46), {"Ca": (0, 0, 0), "F": (0.25, 0.25, 0.25)}, "F c 8, Ca a 4"),
    "zincblende": (216, Lattice.cubic(5.41), {"Zn": (0, 0, 0), "S": (0.25, 0.25, 0.25)}, "S a 4, Zn c 4"),
    "half-Heusler": (
        216,
        Lattice.cubic(5.9),
        {"Sn": (0, 0, 0), "Ti": (0.5, 0.5, 0.5), "Ni": (0.25, 0.25, 0.25)},
        "Ti a 4, Ni c 4, Sn b 4",
    ),
    "spinel": (
        227,
        Lattice.cubic(8.08),
        {"Mg": (0, 0, 0), "Al": (0.625, 0.625, 0.625), "O": (0.387, 0.387, 0.387)},
        "O e 32, Mg a 8, Al d 16",
    ),
    "anatase": (
        141,
        Lattice.tetragonal(3.785, 9.514),
        {"Ti": (0, 0, 0), "O": (0, 0, 0.2081)},
        "O e 8, Ti a 4",
    ),
    "corundum": (
        167,
        Lattice.hexagonal(4.76, 12.99),
        {"Al": (0, 0, 0.3522), "O": (0.3063, 0, 0.25)},
        "O e 18, Al c 12",
    ),
}
SYMMETRIC = SymmetricCrystals()


def known(name: str) -> Structure:
    group, lattice, sites, _ = KNOWN[name]
    return Structure.from_spacegroup(group, lattice, list(sites), list(sites.values()))


def described(structure: Structure, rng: np.random.Generator) -> dict[str, Structure]:
    """The same crystal in other words."""
    data = MoyoDataset(MoyoAdapter.from_structure(structure), symprec=0.01)
    turn = SymmOp.from_axis_angle_and_translation(rng.normal(size=3), float(rng.uniform(10, 170)))
    shift = rng.uniform(size=3)
    return {
        "primitive": MoyoAdapter.get_structure(data.prim_std_cell),
        "conventional": MoyoAdapter.get_structure(data.std_cell),
        "reordered": Structure.from_sites([structure[i] for i in rng.permutation(len(structure))]),
        "rotated": structure.copy().apply_operation(turn),
        "moved": structure.copy().translate_sites(range(len(structure)), shift),
        "supercell": structure.copy().make_supercell([[1, 1, 0], [0, 2, 0], [0, 0, 1]]),
    }


def skeleton(structure: Structure) -> list[int] | None:
    encoded = SYMMETRIC.encode(structure, by_role(site.specie.symbol for site in structure))
    return None if encoded is None else encoded[0].tolist()


@pytest.mark.parametrize("name", KNOWN)
def test_the_letters_of_known_crystals(name: str) -> None:
    group, _, _, orbits = KNOWN[name]
    expected = [orbit.split() for orbit in orbits.split(", ")]
    cell = sum(int(size) for _, _, size in expected)
    sequence = wyckoff_sequence(known(name).get_primitive_structure())
    found = [(number, letter, round(share * cell)) for number, letter, share in sequence.orbits]
    assert sequence.group == group
    assert found == sorted((Element(symbol).Z, letter, int(size)) for symbol, letter, size in expected)


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(KNOWN)), seed=st.integers(0, 2**32 - 1))
def test_a_centred_crystal_has_one_code_and_one_skeleton(name: str, seed: int) -> None:
    crystal = known(name)
    for description, other in described(crystal, np.random.default_rng(seed)).items():
        assert wyckoff_sequence(other) == wyckoff_sequence(crystal), description
        assert skeleton(other) == skeleton(crystal), description


def test_real_crystals_have_one_code_and_survive_the_skeleton() -> None:
    rng, same, written = np.random.default_rng(3), StructureMatcher(), 0
    for crystal in itertools.islice(shuffled_structures(rng), 40):
        for description, other in described(crystal, rng).items():
            assert wyckoff_sequence(other) == wyckoff_sequence(crystal), (crystal.formula, description)
        elements = by_role(site.specie.symbol for site in crystal)
        encoded = SYMMETRIC.encode(crystal, elements)
        if encoded is not None:
            written += 1
            (decoded,) = SYMMETRIC.decode(encoded[0], encoded[1][None], elements)
            assert same.fit(decoded.structure(), crystal), crystal.formula
    assert written > 20


@pytest.mark.parametrize("name", ["spinel", "anatase"])
def test_two_origin_choices_lose_no_skeleton(name: str) -> None:
    assert skeleton(known(name)) is not None


def test_a_cell_too_long_to_be_read_back_has_no_skeleton() -> None:
    long = Structure(Lattice.tetragonal(3.0, 30.0), ["Nb", "O"], np.array([[0, 0, 0], [0, 0, 0.07]]))
    assert skeleton(long) is None


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), atoms=st.integers(1, 12))
def test_no_arrangement_of_atoms_is_without_a_code(seed: int, atoms: int) -> None:
    rng = np.random.default_rng(seed)
    cell = Lattice.from_parameters(*rng.uniform(2, 9, 3), *rng.uniform(60, 120, 3))
    places = np.round(rng.uniform(size=(atoms, 3)) * 4) / 4 if seed % 2 else rng.uniform(size=(atoms, 3))
    crystal = Structure(cell, rng.choice(["Nb", "O", "Ti"], atoms).tolist(), places)
    sequence = wyckoff_sequence(crystal)
    assert sum(share for _, _, share in sequence.orbits) == pytest.approx(1)
    assert wyckoff_sequence(crystal * (1, 1, 2)).group == sequence.group or seed % 2


def test_a_checkpoint_of_another_code_is_refused(tmp_path: Path) -> None:
    model = make_surrogate("wyckoff_rnn", members=1, epochs=1)
    model.fit(TRAIN, {"log_volume": OXYGEN}, seed=1)
    model.save(tmp_path)
    file = tmp_path / "surrogate.json"
    noted = json.loads(file.read_text())
    file.write_text(json.dumps(noted | {"code": 1}))
    with pytest.raises(
        OutdatedCheckpointError,
        match="learned from code 1 of a crystal; this Niobe writes code 2; train it again with `niobe models",
    ):
        load_surrogate(tmp_path)


@pytest.mark.parametrize("file", ["surrogate.safetensors", "member-0.safetensors"])
@pytest.mark.parametrize("content", [None, b"cut"])
def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path: Path, file: str, content: bytes | None) -> None:
    model = make_surrogate("wyckoff_rnn", members=1, epochs=1)
    model.fit(TRAIN, {"log_volume": OXYGEN}, seed=1)
    model.save(tmp_path)
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=r"no whole surrogate checkpoint \("):
        load_surrogate(tmp_path)
