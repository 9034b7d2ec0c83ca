"""How accurately GPAW is asked: three protocols, each one scale of energies of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

MAGNETIC = ("Cr", "Mn", "Fe", "Co", "Ni")
"""Elements that start with a moment: of those that Materials Project starts at 5 μB, those whose crystals
keep one by PBE without U."""
INITIAL_MOMENT = 5.0
"""μB, of an atom of ``MAGNETIC``, as in MPRelaxSet."""
OXYGEN_MOMENT = 1.0
"""μB, of an atom of oxygen by itself: O2 is a triplet."""
GASES = ("H", "N", "O", "F", "Cl")
"""Elements whose reference is a gas of molecules: their cell stays, only sites relax."""


@dataclass(frozen=True)
class Protocol:
    """Plane waves, PBE, Fermi-Dirac smearing; energies are extrapolated to zero width.

    cutoff: eV. density: k-points per Å⁻¹ of the reduced cell, Γ-centred. width: eV of the smearing. energy:
    eV/electron between two steps when the electrons have converged. relaxing: cutoff and density of all but
    the energy that counts. orderings: whether an antiferromagnetic start is tried beside the ferromagnetic
    one where two or more atoms are magnetic. iterations: of the electrons at most; a failure is tried once
    more with careful mixing. empty: bands without electrons, of a cell and beyond that of each atom; GPAW's
    own number leaves Ca, Sr and Ba none, which makes insulators of them.
    """

    cutoff: float
    density: float
    width: float
    energy: float
    relaxing: tuple[float, float]
    orderings: bool
    iterations: int = 120
    empty: tuple[int, int] = (4, 1)

    def words(self) -> str:
        """As fingerprints and pages say it."""
        spin = "ferro- and antiferromagnetic starts" if self.orderings else "ferromagnetic starts"
        cutoff, density = self.relaxing
        coarser = self.relaxing != (self.cutoff, self.density)
        relaxed = f", relaxed at {cutoff:g} eV, {density:g} k-points/Å⁻¹" if coarser else ""
        return (
            f"PBE, {self.cutoff:g} eV, {self.density:g} k-points/Å⁻¹ of the reduced cell, "
            f"Fermi-Dirac {self.width:g} eV, "
            f"{self.empty[0]} empty bands and {self.empty[1]} an atom"
            f"{relaxed}, {spin}"
        )

    def settings(self) -> dict[str, Any]:
        """What the process that runs GPAW is told."""
        return asdict(self)


PROTOCOLS = {
    "fast": Protocol(500, 4.0, 0.1, 1e-5, (450, 2.5), orderings=False),
    "balanced": Protocol(600, 5.0, 0.1, 1e-6, (600, 5.0), orderings=True),
    "stringent": Protocol(700, 6.5, 0.05, 1e-7, (700, 6.5), orderings=True),
}


def starting_moments(symbols: Iterable[str], *, orderings: bool) -> list[list[float] | None]:
    """The initial magnetic moments (μB) to try, by site; None: not spin-polarised.

    symbols: of the sites. orderings: whether an antiferromagnetic start, signs alternating along the sites of
    each magnetic element, is one of them.
    """
    sites = list(symbols)
    if set(sites) == {"O"}:
        return [[OXYGEN_MOMENT] * len(sites)]
    magnetic = [i for i, symbol in enumerate(sites) if symbol in MAGNETIC]
    if not magnetic:
        return [None]
    ferro = [INITIAL_MOMENT if i in magnetic else 0.0 for i in range(len(sites))]
    if not orderings or len(magnetic) == 1:
        return [ferro]
    signs = dict(zip(magnetic, (1 - 2 * (n % 2) for n in range(len(magnetic))), strict=True))
    return [ferro, [signs.get(i, 0) * INITIAL_MOMENT for i in range(len(sites))]]
