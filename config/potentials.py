"""What may answer for a structure, by name: which elements it knows, and which other one foretells it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

PrerelaxPotential = Literal["chgnet", "7net-0", "emt", "lj"]
Labels = Literal["GGA/GGA+U", "MP2020", "R2SCAN", "PBE by GPAW", "declared", "toy"]

BATCHED = ("7net-0", "7net-l3i5", "chgnet", "chgnet-r2scan")
"""Those that a GPU is asked many structures of at once."""
LABELS: dict[str, Labels] = {
    "7net-0": "GGA/GGA+U",
    "7net-l3i5": "GGA/GGA+U",
    "7net-mf-0-pbe": "GGA/GGA+U",
    "7net-mf-0-r2scan": "R2SCAN",
    "chgnet": "MP2020",
    "chgnet-r2scan": "R2SCAN",
    "ase": "declared",
    "gpaw": "PBE by GPAW",
    "emt": "toy",
    "lj": "toy",
    "vasp": "GGA/GGA+U",
}
"""The scale of the energies as they come: raw totals of Materials Project's PBE and PBE+U runs, the same with
its corrections of 2020, raw totals of its r2SCAN runs, raw PBE by GPAW, what ``oracle.corrections`` declares,
or a toy's own.
CHGNet and SevenNet say so of what they were trained on (`python -m tests.benchmarks.formation_energies`
measures it)."""

REACH: dict[str, float] = {
    "7net-0": 5.0,
    "7net-l3i5": 5.0,
    "7net-mf-0-pbe": 5.0,
    "7net-mf-0-r2scan": 5.0,
    "chgnet": 6.0,
    "chgnet-r2scan": 6.0,
    "emt": 5.38,
    "lj": 6.0,
}
"""How far (Å) an atom feels another one: the cutoffs of the shipped models, of ASE's EMT for Cu, Ag and Au,
and of our Lennard-Jones."""

DEFAULT_PRERELAX_POTENTIALS: dict[str, PrerelaxPotential] = {
    "7net-0": "chgnet",
    "7net-l3i5": "chgnet",
    "7net-mf-0-pbe": "chgnet",
    "7net-mf-0-r2scan": "chgnet",
    "chgnet": "7net-0",
    "chgnet-r2scan": "7net-0",
    "vasp": "chgnet",
    "gpaw": "7net-0",
}
_NOT_IN_7NET = ("Po", "At", "Rn", "Fr", "Ra")
_NOT_IN_CHGNET_R2SCAN = ("Yb", "Po", "At", "Rn", "Fr", "Ra")
_NOT_IN_GPAW = ("Tc", "Po", "At", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu")
_IN_EMT = ("H", "C", "N", "O", "Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au")


def unknown_to(potential: str, elements: Iterable[str]) -> list[str]:
    """Which of the elements the potential has no parameters for.

    potential: its name. elements: symbols.
    """
    if potential == "emt":
        return [symbol for symbol in elements if symbol not in _IN_EMT]
    if potential == "gpaw":
        return [symbol for symbol in elements if symbol in _NOT_IN_GPAW]
    if potential.startswith("7net"):
        return [symbol for symbol in elements if symbol in _NOT_IN_7NET]
    if potential == "chgnet-r2scan":
        return [symbol for symbol in elements if symbol in _NOT_IN_CHGNET_R2SCAN]
    return []
