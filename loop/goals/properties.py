"""Properties of crystals that a campaign may have goals in: Niobe's own, by composition or structure.

A package adds one as a ``Property`` under the entry points ``niobe.properties``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pymatgen.analysis.cost import CostDB
    from pymatgen.core import Composition, Structure

Needs = Literal["composition", "structure", "oracle"]


@dataclass(frozen=True)
class Property:
    """A number that every crystal has.

    unit: of its values. source: where these come from, in words. needs: what ``value`` takes, a pymatgen
    Composition, a pymatgen Structure, or a Structure that the oracle has relaxed and a function from
    structures to their energies by the oracle (eV for the cell, uncorrected; under the campaign's pressure
    enthalpies). value: raises ValueError, in one line, where there is none.
    """

    unit: str
    source: str
    needs: Needs
    value: Callable[..., float]


def _volume(structure: Structure) -> float:
    return float(structure.volume / len(structure))


def _density(structure: Structure) -> float:
    return float(structure.density)


def _price(composition: Composition) -> float:
    return sum(composition.get_wt_fraction(symbol) * _price_of(symbol) for symbol in _symbols(composition))


@functools.cache
def _price_of(symbol: str) -> float:
    """USD/kg."""
    from pymatgen.core import Element
    from scipy.constants import N_A

    found = _costs().get_entries([Element(symbol)])
    if not found:
        raise ValueError(f"no price of {symbol}")
    return float(found[0].energy_per_atom / (Element(symbol).atomic_mass.to("kg") * N_A))


@functools.cache
def _costs() -> CostDB:
    import warnings

    from pymatgen.analysis.cost import CostDBElements

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of noble gases, which have no electronegativity
        return CostDBElements()


def _concentration(composition: Composition, kind: int) -> float:
    """Herfindahl-Hirschman index of production (``kind`` 0) or reserves (1)."""
    from pymatgen.analysis.hhi import HHIModel

    model = HHIModel()
    lacking = [symbol for symbol in _symbols(composition) if symbol not in model.symbol_hhip_hhir]
    if lacking:
        raise ValueError(f"no index of {lacking[0]}")
    return float(model.get_hhi(composition)[kind])


def _symbols(composition: Composition) -> list[str]:
    return sorted(composition.get_el_amt_dict())


_PYMATGEN = f"pymatgen {version('pymatgen')}"
_GAULTOIS = f"{_PYMATGEN} HHIModel, of the elements by mass (Gaultois et al., Chem. Mater. 25, 2911, 2013)"
VOLUME = Property("Å³/atom", "the structure", "structure", _volume)
DENSITY = Property("g/cm³", "the structure", "structure", _density)
PRICE = Property(
    "USD/kg",
    f"{_PYMATGEN} CostDBElements, of the elements by mass (mostly Wolfram Alpha and Wikipedia, 2013)",
    "composition",
    _price,
)
HHI_PRODUCTION = Property("HHI", _GAULTOIS, "composition", functools.partial(_concentration, kind=0))
HHI_RESERVE = Property("HHI", _GAULTOIS, "composition", functools.partial(_concentration, kind=1))
