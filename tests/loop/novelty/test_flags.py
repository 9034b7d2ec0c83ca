"""What is said beside a verdict: charges, bonding, packing."""

import pytest
from pymatgen.core import Lattice, Structure

from niobe.loop.novelty.flags import NO_CHARGES, dimensionality, flags
from tests.loop.factory import rocksalt, rutile


def rock_salt_of(one: str, other: str, a: float) -> Structure:
    return Structure.from_spacegroup(225, Lattice.cubic(a), [one, other], [[0, 0, 0], [0.5, 0.5, 0.5]])


def molybdenite() -> Structure:
    return Structure.from_spacegroup(
        194, Lattice.hexagonal(3.16, 12.3), ["Mo", "S"], [[1 / 3, 2 / 3, 0.25], [1 / 3, 2 / 3, 0.621]]
    )


def dry_ice() -> Structure:
    return Structure.from_spacegroup(205, Lattice.cubic(5.6), ["C", "O"], [[0, 0, 0], [0.119] * 3])


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (rock_salt_of("Na", "Cl", 5.64), []),
        (rutile(), []),
        (rock_salt_of("Mg", "Cl", 5.2), [NO_CHARGES]),
        (rock_salt_of("Ni", "Al", 5.0), []),
        (molybdenite(), ["layered: weak bonds hold it together"]),
        (dry_ice(), ["molecular: weak bonds hold it together"]),
        (rock_salt_of("Na", "Cl", 9.0), ["porous"]),
    ],
)
def test_flags(structure: Structure, expected: list[str]) -> None:
    assert [flag for flag in flags(structure) if flag in expected] == expected
    assert expected or flags(structure) == []


def test_dimensions_of_bonding() -> None:
    assert [dimensionality(s) for s in (rocksalt(), molybdenite(), dry_ice())] == [3, 2, 0]
