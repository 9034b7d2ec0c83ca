"""Partial occupancies: ordered in a small cell by lowest Ewald energy, or set aside with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pymatgen.core import Structure

AS_GIVEN = "as given"
MAX_ATOMS = 48
_MAX_DENOMINATOR = 12
_TOLERANCE = 0.005


@dataclass(frozen=True)
class Ordered:
    """The structure to keep. set_aside: why it has no ordered form here, "" where it has."""

    structure: Structure
    treatment: str = AS_GIVEN
    set_aside: str = ""


def ordered(structure: Structure) -> Ordered:
    """The structure without oxidation states; partly occupied ones as the ordering of lowest Ewald energy.

    Charges are the oxidation states given, or guessed from the composition. Set aside where a cell with whole
    occupancies would exceed 48 sites, or where no charges balance.
    """
    if structure.is_ordered:
        return Ordered(_without_charges(structure))
    try:
        answer = _by_ewald(_charged(_supercell(structure)))
    except ValueError as error:
        return Ordered(structure, set_aside=f"partly occupied: {error}")
    treatment = f"ordered by Ewald energy in {len(answer)} sites"
    return Ordered(_without_charges(answer).get_sorted_structure(), treatment=treatment)


def _without_charges(structure: Structure) -> Structure:
    if not any(hasattr(species, "oxi_state") for species in structure.composition):
        return structure
    plain = structure.copy()
    plain.remove_oxidation_states()
    return plain


def _supercell(structure: Structure) -> Structure:
    """The smallest multiple along the shortest axes in which each orbit's occupancy counts whole atoms."""
    multiple = 1
    for species in {site.species for site in structure}:
        sites = sum(site.species == species for site in structure)
        for amount in species.values():
            share = Fraction(amount).limit_denominator(_MAX_DENOMINATOR)
            if abs(float(share) - amount) > _TOLERANCE:
                raise ValueError(
                    f"occupancy {amount:g} is no fraction with a denominator up to {_MAX_DENOMINATOR}"
                )
            multiple = lcm(multiple, (share * sites).denominator)
    if multiple * len(structure) > MAX_ATOMS:
        raise ValueError(f"whole occupancies need {multiple * len(structure)} sites; allowed: {MAX_ATOMS}")
    cell = _rounded(structure)
    return cell * _along_short_axes(cell, multiple)


def _rounded(structure: Structure) -> Structure:
    from pymatgen.core import Structure

    shares = [
        {
            element: float(Fraction(amount).limit_denominator(_MAX_DENOMINATOR))
            for element, amount in site.species.items()
        }
        for site in structure
    ]
    return Structure(structure.lattice, shares, structure.frac_coords)


def _along_short_axes(cell: Structure, multiple: int) -> tuple[int, int, int]:
    repeats, lengths = [1, 1, 1], list(cell.lattice.abc)
    for factor in _prime_factors(multiple):
        axis = lengths.index(min(lengths))
        repeats[axis] *= factor
        lengths[axis] *= factor
    return repeats[0], repeats[1], repeats[2]


def _prime_factors(number: int) -> list[int]:
    factors, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return sorted(factors, reverse=True)


def _charged(structure: Structure) -> Structure:
    from pymatgen.core import Composition

    if all(getattr(species, "oxi_state", None) is not None for site in structure for species in site.species):
        return structure
    # The guess wants whole atoms; sums of shares are whole but for rounding.
    whole = Composition({e: round(n) for e, n in structure.composition.element_composition.items()})
    guesses = whole.oxi_state_guesses(max_sites=-50)
    if not guesses:
        raise ValueError("no oxidation states are given and none balance")
    charged = structure.copy()
    charged.remove_oxidation_states()
    charged.add_oxidation_state_by_element(dict(guesses[0]))
    return charged


def _by_ewald(structure: Structure) -> Structure:
    from pymatgen.transformations.standard_transformations import OrderDisorderedStructureTransformation

    transformation = OrderDisorderedStructureTransformation(algo=0)
    return cast("Structure", transformation.apply_transformation(structure, return_ranked_list=False))
