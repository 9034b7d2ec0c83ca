"""Materials Project's corrections of 2020: raw GGA and GGA+U energies of compounds on one scale.

Wang et al., Sci. Rep. 11, 15496 (2021), with the GGA/GGA+U mixing of Jain et al., Phys. Rev. B 84, 045115
(2011), both by pymatgen's own code. Elements are left as they are.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymatgen.analysis.compatibility import MaterialsProject2020Compatibility
    from pymatgen.core import Composition, Structure

_MOST_SITES = -20  # as pymatgen asks: formulas are reduced, and larger ones not guessed at


class CorrectionError(ValueError):
    """The scheme does not apply to what was computed, so its energy fits no hull."""


def scheme() -> str:
    """What corrects, as fingerprints name it."""
    return f"MP2020 by pymatgen {version('pymatgen')}"


def mp2020_correction(structure: Structure, parameters: Mapping[str, Any] | None = None) -> float:
    """What MP2020 adds to the raw energy of a structure, eV for the cell.

    parameters: ``run_type``, ``hubbards`` and ``potcar_spec`` of the run that was, as pymatgen's entries have
    them; without, those that Materials Project would have chosen. Whether oxygen is that of an oxide,
    peroxide or superoxide is read off the structure, which other elements are anions off the composition.
    Raises CorrectionError for a run whose U or POTCARs are not Materials Project's.
    """
    from pymatgen.analysis.compatibility import CompatibilityError
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    composition = structure.composition
    entry = ComputedStructureEntry(
        structure,
        0.0,
        parameters=dict(parameters or _run_of_materials_project(composition)),
        data={"oxidation_states": _oxidation_states(composition.reduced_formula)},
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without oxidation states the most electronegative is the anion
            adjustments = _compatibility().get_adjustments(entry)
    except CompatibilityError as error:
        reason = " ".join(str(error).split())[:200]
        raise CorrectionError(f"{composition.reduced_formula}: not correctable by MP2020: {reason}") from None
    return float(sum(adjustment.value for adjustment in adjustments))


@functools.cache
def _compatibility() -> MaterialsProject2020Compatibility:
    from pymatgen.analysis.compatibility import MaterialsProject2020Compatibility

    return MaterialsProject2020Compatibility()


def _run_of_materials_project(composition: Composition) -> dict[str, Any]:
    """GGA+U where MPRelaxSet uses U: with the most electronegative element O or F, on eight metals."""
    settings = _compatibility().u_settings
    anion = max(composition.elements, key=lambda element: element.X).symbol
    symbols = {element.symbol for element in composition.elements}
    hubbards = {symbol: u for symbol, u in settings.get(anion, {}).items() if symbol in symbols}
    return {"run_type": "GGA+U" if hubbards else "GGA", "hubbards": hubbards, "software": "potential"}


@functools.lru_cache(maxsize=100_000)
def _oxidation_states(formula: str) -> dict[str, float]:
    """pymatgen's first guess for a reduced formula; none where no anion of the scheme is in it."""
    from pymatgen.core import Composition

    composition = Composition(formula)
    symbols = {element.symbol for element in composition.elements}
    if len(symbols) == 1 or not symbols & set(_compatibility().comp_correction):
        return {}
    try:
        return next(iter(composition.oxi_state_guesses(max_sites=_MOST_SITES)), {})
    except ValueError:  # too large a formula
        return {}
