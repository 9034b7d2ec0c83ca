"""The dynamical verdict of a structure, and what stands behind it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic takes typing's from Python 3.12 on

from niobe.loop.crystals.sublattices import cells_holding


class Stability(StrEnum):
    """Outcome of the phonon verdict. Pending: not run yet. NaN, disagreement or never run: undecided.

    Stabilised: unstable at 0 K, and held by its motion at a temperature (``PhononVerdict.renormalised``).
    """

    PENDING = "pending"
    STABLE = "stable"
    UNSTABLE = "unstable"
    STABILISED = "stabilised"
    UNDECIDED = "undecided"


STABLE_AT_0_K = {Stability.STABLE: 1.0, Stability.UNSTABLE: 0.0, Stability.STABILISED: 0.0}
"""Whether a crystal is a minimum of the energy, as learned and counted; of other outcomes it is not known."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


_Point = Annotated[list[float], Field(min_length=3, max_length=3)]


def _commensurate(q: list[float]) -> list[float]:
    cells_holding(q)
    return q


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
class SoftMode(TypedDict):
    """An imaginary mode. q: fractional; frequency in THz; real, imag: the eigenvector's parts, 3N each."""

    q: Annotated[_Point, AfterValidator(_commensurate)]
    frequency: float
    real: list[float]
    imag: list[float]


class SoftestMode(_Part):
    """The lowest frequency (THz, negative: imaginary) of some q-points, and the q (fractional) it lies at."""

    frequency: float
    q_point: _Point


class OtherCell(SoftestMode):
    """What a second supercell said. supercell_matrix: its vectors as rows; image_distance in Å.

    interpolation_error: how far, at most, the softest mode at a q-point that only one of the two cells holds
    lies from what the other interpolates there, THz.
    """

    supercell_matrix: list[list[int]]
    image_distance: float
    interpolation_error: float | None = None


class SoftWell(SoftestMode):
    """Energy along the softest imaginary mode, in the smallest cell that holds it. Energies in eV/atom.

    depth: of the minimum below the undisplaced crystal; amplitude: there, Å, of the atom that moves most.
    bounded: whether the energy rises again within what was scanned; else the well is as deep at least.
    energies: amplitudes (Å), each with the energy against the undisplaced crystal.
    """

    depth: float
    amplitude: float
    bounded: bool = True
    energies: list[tuple[float, float]] = []

    @property
    def said(self) -> str:
        """Such as ``double well of 5.1 meV/atom, at 0.12 Å``."""
        least = "" if self.bounded else "at least "
        return f"double well of {least}{1000 * self.depth:.1f} meV/atom, at {self.amplitude:.2f} Å"


class Renormalised(SoftestMode):
    """The softest mode as motion at a temperature (K) leaves it, by self-consistent harmonic phonons.

    error: standard error of the frequency, THz. outcome: by the tolerance of the verdict; undecided within
    two errors of it.
    """

    temperature: float
    error: float
    outcome: Stability

    @property
    def said(self) -> str:
        """Such as ``0.53 ± 0.05 THz at 300 K``."""
        return f"{self.frequency:.2f} ± {self.error:.2f} THz at {self.temperature:g} K"


class PhononVerdict(_Part):
    """Dynamical verdict. Frequencies in THz (negative: imaginary), lengths in Å, q fractional.

    lowest_frequency and q_point: of the q-points that the supercell holds, which alone are judged.
    oracle: fingerprint of the potential that judged, and had relaxed the structure first. supercell_matrix:
    vectors of the supercell as rows, in the primitive cell of the phonon record. image_distance: of an atom
    from its nearest image. interpolated: softest anywhere in the zone, shown and not judged. acoustic_drift:
    how far the force constants broke the acoustic sum rule before it was imposed, as a share of the largest.
    well: of an unstable crystal, what its softest mode gains; None by DFT, and where nothing is gained.
    renormalised: of an unstable crystal near the hull, what its motion makes of that.
    """

    outcome: Stability
    oracle: str = ""
    lowest_frequency: float | None = None
    q_point: _Point | None = None
    supercell_matrix: list[list[int]] | None = None
    image_distance: float | None = None
    displacement: float | None = None
    tolerance: float
    interpolated: SoftestMode | None = None
    acoustic_drift: float | None = None
    other_cell: OtherCell | None = None
    well: SoftWell | None = None
    renormalised: Renormalised | None = None
    reason: str = ""

    @property
    def said(self) -> str:
        """The lowest frequency and where it lies, what that mode gains, and becomes by motion; "" without
        phonons."""
        if self.lowest_frequency is None:
            return ""
        lowest = f"{self.lowest_frequency:.2f} THz at q {self.q_point}"
        parts = [lowest, *(part.said for part in (self.well, self.renormalised) if part)]
        return "; ".join(parts)
