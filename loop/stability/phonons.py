"""From displacement forces to a verdict that does not hang on how the crystal is described.

Judged are the q-points that a supercell holds, where finite displacements are exact. Between them force
constants interpolate: what is soft there is shown, and where no wave longer than the supercell is meant, it
is looked at again in a cell that holds it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.config.spec import Phonons
from niobe.loop.documents.dynamics import OtherCell, PhononVerdict, SoftestMode, Stability
from niobe.loop.documents.rounds import PhononRecord
from niobe.loop.documents.structures import symmetrised
from niobe.loop.stability import force_constants, supercells
from niobe.loop.stability.force_constants import Forces
from niobe.loop.stability.phonon_bands import bands, imaginary_modes, softest_of_mesh

if TYPE_CHECKING:
    from phonopy import Phonopy
    from pymatgen.core import Structure

MOST_DRIFT = 0.05
_SAME_DISTANCE = 1e-6  # 1/Å
_THIRDS_AND_QUARTERS = np.unique(
    np.vstack([np.array(list(itertools.product(range(n), repeat=3))) / n for n in (3, 4)]), axis=0
)


@dataclass(frozen=True)
class Dynamics:
    """Phonons of one structure. bands: what PhononRecord stores; modes: the imaginary ones."""

    verdict: PhononVerdict
    bands: dict[str, Any] = field(default_factory=dict)
    modes: list[dict[str, Any]] = field(default_factory=list)
    phonon: Phonopy | None = field(default=None, repr=False, compare=False)
    primitive: Structure | None = field(default=None, repr=False, compare=False)

    def stored(self, record_id: str, campaign: str) -> PhononRecord:
        """As it is kept, for the structure record ``record_id`` of a campaign."""
        own = {"record_id": record_id, "campaign": campaign, "oracle": self.verdict.oracle}
        return PhononRecord.model_validate(own | {"modes": self.modes} | self.bands)

    def changed(self, **fields: Any) -> Dynamics:
        """The same with other fields of the verdict."""
        return replace(self, verdict=self.verdict.model_copy(update=fields))


def undecided(tolerance: float, reason: str) -> PhononVerdict:
    """The verdict where no phonons could or should be computed. tolerance in THz."""
    return PhononVerdict(outcome=Stability.UNDECIDED, tolerance=tolerance, reason=reason)


def dynamics(structure: Structure, forces: Forces, settings: Phonons) -> Dynamics:
    """Phonons by finite displacements of the symmetrised primitive cell of a structure, and the verdict.

    forces: answers for a list of supercells with arrays of shape (n_supercell_atoms, 3) in eV/Å. Where the
    lowest frequency lies within three tolerances below zero, a second displacement must agree, else the
    verdict is undecided; so it is where no supercell is wide enough, and where forces break the acoustic sum
    rule.

    settings: of the phonons.
    """
    primitive = symmetrised(structure)
    try:
        matrix = supercells.supercell_matrix(primitive, settings.min_length, settings.max_supercell_atoms)
    except supercells.NoSupercellError as error:
        return Dynamics(undecided(settings.tolerance, str(error)))
    return _judged(primitive, matrix, forces, settings)


def looked_at_again(first: Dynamics, forces: Forces, settings: Phonons, find: bool) -> Dynamics:
    """A stable verdict after a second supercell, where that is needed; any other verdict as it is.

    It is needed for a ``find``, in a cell of ``confirm_length`` unless the first was that, and where the
    first cell's force constants interpolate an imaginary mode at a third or a quarter of reciprocal vectors:
    then the cell holds that q-point. A verdict that another cell overturns at q-points that both hold is
    undecided.

    forces: of displaced cells, eV/Å. settings: of the phonons.
    """
    if first.verdict.outcome is not Stability.STABLE or first.primitive is None:
        return first
    soft = _soft_between(first, settings.tolerance)
    if not find and soft is None:
        return first
    for holds, length in _second_cells(soft, settings, find):
        try:
            matrix = supercells.supercell_matrix(
                first.primitive, length, settings.max_supercell_atoms, np.array(holds)
            )
        except supercells.NoSupercellError as error:
            reason = str(error)
            continue
        if matrix.tolist() == first.verdict.supercell_matrix:
            return first
        return _together(first, _judged(first.primitive, matrix, forces, settings), settings)
    return unconfirmed(first, reason, settings)


def unconfirmed(first: Dynamics, reason: str, settings: Phonons) -> Dynamics:
    """What a stable verdict becomes where the second supercell has no answer, for a ``reason``.

    Undecided where there was an imaginary mode to look at; else it stays, and says so.

    first: the verdict to look at again. settings: of the phonons.
    """
    soft = _soft_between(first, settings.tolerance)
    if soft is None:
        return first.changed(reason=f"not confirmed in a larger cell: {reason}")
    return first.changed(
        outcome=Stability.UNDECIDED, reason=f"{_said(soft)} by interpolation, no cell to judge it: {reason}"
    )


def _judged(primitive: Structure, matrix: NDArray[np.int64], forces: Forces, settings: Phonons) -> Dynamics:
    held = supercells.held_points(matrix)
    try:
        phonon = force_constants.displaced(primitive, matrix, settings.displacement, forces)
        drift = force_constants.drift(phonon)
        softest = lowest(force_constants.symmetrised(phonon), held)
        reason = _doubt(drift)
        if not reason and -3 * settings.tolerance <= softest.frequency < 0:
            again = force_constants.displaced(primitive, matrix, settings.second_displacement, forces)
            reason = _disagreement(softest, lowest(force_constants.symmetrised(again), held), settings)
    except force_constants.NotFiniteError as error:
        return Dynamics(undecided(settings.tolerance, str(error)))
    shown = bands(phonon) | {
        "supercell_matrix": matrix.tolist(),
        "structure": primitive.as_dict(),
        "phonopy": force_constants.packed(phonon),
    }
    verdict = PhononVerdict(
        outcome=Stability.UNDECIDED if reason else _outcome(softest, settings.tolerance),
        lowest_frequency=softest.frequency,
        q_point=softest.q_point,
        supercell_matrix=matrix.tolist(),
        image_distance=round(_images(primitive, matrix), 4),
        displacement=settings.displacement,
        tolerance=settings.tolerance,
        interpolated=softest_of_mesh(phonon),
        acoustic_drift=drift,
        reason=reason,
    )
    imaginary = softest.frequency < -settings.tolerance
    modes = imaginary_modes(phonon, held, settings.tolerance) if imaginary else []
    return Dynamics(verdict, shown, modes, phonon, primitive)


def _doubt(drift: float) -> str:
    """Why force constants say nothing, or ""."""
    return f"forces break the acoustic sum rule by {drift:.0%}" if drift > MOST_DRIFT else ""


def _disagreement(one: SoftestMode, two: SoftestMode, settings: Phonons) -> str:
    """Where a second displacement has another outcome: what it has; else ""."""
    same = _outcome(one, settings.tolerance) is _outcome(two, settings.tolerance)
    return "" if same else f"{two.frequency:.2f} THz at {settings.second_displacement} Å disagrees"


def lowest(phonon: Phonopy, points: NDArray[np.float64]) -> SoftestMode:
    """The softest mode over q-points (fractional, shape (n, 3)).

    The three acoustic modes at Γ are zero by the sum rule and are left out.
    """
    phonon.run_qpoints(points)
    frequencies = np.array(phonon.get_qpoints_dict()["frequencies"])
    for row in np.flatnonzero(~points.any(axis=1)):
        frequencies[row, np.argsort(np.abs(frequencies[row]))[:3]] = np.inf
    softest = frequencies.min(axis=1)
    return SoftestMode(frequency=float(softest.min()), q_point=points[int(softest.argmin())].tolist())


def _outcome(softest: SoftestMode, tolerance: float) -> Stability:
    return Stability.STABLE if softest.frequency >= -tolerance else Stability.UNSTABLE


def _images(primitive: Structure, matrix: NDArray[np.int64]) -> float:
    return supercells.image_distance(type(primitive.lattice)(matrix @ primitive.lattice.matrix))


def _soft_between(found: Dynamics, tolerance: float) -> SoftestMode | None:
    """The softest imaginary mode that interpolation shows at a third or a quarter of reciprocal vectors.

    None nearer to Γ than any q-point that the cell holds: so long a wave is soft by a small error of the
    force constants, as its frequency goes to zero.
    """
    if found.phonon is None or found.primitive is None:
        return None
    matrix = np.array(found.verdict.supercell_matrix)
    reciprocal = found.primitive.lattice.reciprocal_lattice_crystallographic
    held = supercells.held_points(matrix)
    nearest = min(_from_gamma(q, reciprocal) for q in held[held.any(axis=1)])
    points = [q for q in _THIRDS_AND_QUARTERS if not supercells.holds_point(matrix, q)]
    points = [q for q in points if _from_gamma(q, reciprocal) > nearest - _SAME_DISTANCE]
    if not points:
        return None
    softest = lowest(found.phonon, np.array(points))
    return softest if softest.frequency < -tolerance else None


def _from_gamma(q: NDArray[np.float64], reciprocal: Any) -> float:
    """Distance of q (fractional) to the nearest reciprocal lattice vector, 1/Å."""
    return float(reciprocal.get_distance_and_image(q, np.zeros(3))[0])


def _second_cells(
    soft: SoftestMode | None, settings: Phonons, find: bool
) -> Iterator[tuple[list[Any], float]]:
    """q-points to hold and distance of images (Å) of a second supercell, the best first."""
    boundary = supercells.ZONE_BOUNDARY.tolist()
    if find:
        yield [*boundary, *([soft.q_point] if soft else [])], settings.confirm_length
    if soft:
        yield [soft.q_point], settings.min_length


def _together(first: Dynamics, second: Dynamics, settings: Phonons) -> Dynamics:
    """The verdict of two supercells: the wider one's where both are stable, else what the second says.

    A second cell that is unstable where the first one holds the same q-point only throws doubt on both.
    """
    one, two = first.verdict, second.verdict
    if two.supercell_matrix is None or two.q_point is None:
        return first.changed(outcome=Stability.UNDECIDED, reason=f"in a second cell: {two.reason}")
    error = _interpolation_error(first, second)
    if two.outcome is Stability.STABLE and _width(one) >= _width(two):
        return first.changed(other_cell=_other(two, error))
    both = second.changed(other_cell=_other(one, error))
    judged_before = supercells.holds_point(np.array(one.supercell_matrix), np.array(two.q_point))
    if two.outcome is Stability.UNSTABLE and judged_before:
        reason = (
            f"{one.lowest_frequency:.2f} THz with images {_width(one):.1f} Å apart, "
            f"{two.lowest_frequency:.2f} with {_width(two):.1f}"
        )
        return both.changed(outcome=Stability.UNDECIDED, reason=reason)
    return both


def _width(verdict: PhononVerdict) -> float:
    return verdict.image_distance or 0.0


def _other(verdict: PhononVerdict, error: float | None) -> OtherCell:
    said = verdict.model_dump(include={"q_point", "supercell_matrix", "image_distance"})
    said |= {"frequency": verdict.lowest_frequency, "interpolation_error": error}
    return OtherCell.model_validate(said)


def _interpolation_error(first: Dynamics, second: Dynamics) -> float | None:
    """How far softest modes of the first cell lie, at most, from the second's where only that holds q."""
    if first.phonon is None or second.phonon is None:
        return None
    held = np.array(first.verdict.supercell_matrix)
    points = supercells.held_points(np.array(second.verdict.supercell_matrix))
    only = np.array([q for q in points if not supercells.holds_point(held, q)])
    if not len(only):
        return None
    softest = []
    for phonon in (first.phonon, second.phonon):
        phonon.run_qpoints(only)
        softest.append(np.array(phonon.get_qpoints_dict()["frequencies"]).min(axis=1))
    return float(np.abs(softest[0] - softest[1]).max())


def _said(mode: SoftestMode) -> str:
    q = ", ".join(f"{component:.4g}" for component in mode.q_point)
    return f"{mode.frequency:.2f} THz at q ({q})"
