"""From displacement forces to a verdict that does not hang on how the crystal is described.

Judged are the q-points that a supercell holds, where finite displacements are exact. Between them force
constants interpolate: what is soft there, anywhere in the zone, is looked at again in a cell that holds it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
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
MOST_CELLS = 3
"""Supercells of one verdict, the first among them."""
_SCANNED: NDArray[np.float64] = np.unique(
    np.round(
        np.vstack([np.array(list(itertools.product(range(n), repeat=3))) / n for n in (3, 4, 5, 6)]), 12
    ),
    axis=0,
)
"""Where interpolation is asked: points that a supercell of at most six primitive cells holds."""


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
    """A stable verdict after further supercells, where they are needed; any other verdict as it is.

    One is needed for a ``find``, in a cell of ``confirm_length`` unless the first was that, and where force
    constants interpolate an imaginary mode: then the cell holds that q-point. What is still soft by the force
    constants of every cell so far, where none holds it, asks for a third, and without one the verdict is
    undecided; so is one that another cell overturns at a q-point that was held before.

    forces: of displaced cells, eV/Å. settings: of the phonons.
    """
    found, seen = first, [first]
    while found.verdict.outcome is Stability.STABLE and found.primitive is not None:
        soft = _soft_between(seen, settings.tolerance)
        confirming = find and len(seen) == 1
        if soft is None and not confirming:
            return found
        if len(seen) == MOST_CELLS:
            return _unsettled(found, soft, f"{MOST_CELLS} cells asked", settings)
        try:
            matrix = _next_cell(found.primitive, soft, settings, confirming)
        except supercells.NoSupercellError as error:
            return _unsettled(found, soft, str(error), settings)
        if any(matrix.tolist() == other.verdict.supercell_matrix for other in seen):
            return found
        other = _judged(found.primitive, matrix, forces, settings)
        found = _together(found, other, seen)
        seen.append(other)
    return found


def unconfirmed(first: Dynamics, reason: str, settings: Phonons) -> Dynamics:
    """What a stable verdict becomes where a further supercell has no answer, for a ``reason``.

    Undecided where there was an imaginary mode to look at; else it stays, and says so.

    first: the verdict to look at again. settings: of the phonons.
    """
    return _unsettled(first, _soft_between([first], settings.tolerance), reason, settings)


def _unsettled(found: Dynamics, soft: SoftestMode | None, reason: str, settings: Phonons) -> Dynamics:
    if soft is None:
        return found.changed(reason=f"not confirmed in a larger cell: {reason}")
    return found.changed(
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


def _soft_between(seen: Sequence[Dynamics], tolerance: float) -> SoftestMode | None:
    """The softest mode that is imaginary by the force constants of every cell where no cell holds it.

    What the cells make of one q-point differs by the error of interpolation, and the stiffest counts. Asked
    are points of ``_SCANNED``, and only where the mesh of each has an imaginary mode at all.
    """
    if any(one.phonon is None or not _soft_somewhere(one, tolerance) for one in seen):
        return None
    points = _SCANNED[~_held_before(seen, _SCANNED)]
    if not len(points):
        return None
    stiffest = np.max([softest_branch(one.phonon, points) for one in seen if one.phonon], axis=0)
    softest = int(stiffest.argmin())
    found = SoftestMode(frequency=float(stiffest[softest]), q_point=points[softest].tolist())
    return found if found.frequency < -tolerance else None


def _held_before(seen: Sequence[Dynamics], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which q-points (n, 3) some cell holds, or one that the crystal's symmetry turns into it: shape (n,)."""
    cells = [(np.array(one.verdict.supercell_matrix), one.primitive) for one in seen]
    held = [supercells.holds_stars(cell, points, primitive) for cell, primitive in cells if primitive]
    return np.asarray(np.any(held, axis=0))


def _soft_somewhere(found: Dynamics, tolerance: float) -> bool:
    mode = found.verdict.interpolated
    return mode is not None and mode.frequency < -tolerance


def _next_cell(
    primitive: Structure, soft: SoftestMode | None, settings: Phonons, confirming: bool
) -> NDArray[np.int64]:
    """The next supercell: of ``confirm_length`` for a find, and holding what is soft. As supercell_matrix."""
    ask, most = partial(supercells.supercell_matrix, primitive), settings.max_supercell_atoms
    held = [soft.q_point] if soft else []
    if confirming:
        points = np.array([*supercells.ZONE_BOUNDARY.tolist(), *held])
        try:
            return ask(settings.confirm_length, most, points)
        except supercells.NoSupercellError:
            if not held:
                raise
    return ask(settings.min_length, most, np.array(held))


def _together(first: Dynamics, second: Dynamics, seen: Sequence[Dynamics]) -> Dynamics:
    """The verdict of two supercells: the wider one's where both are stable, else what the second says.

    A second cell that is unstable where one ``seen`` before holds the same q-point only throws doubt on both.
    """
    one, two = first.verdict, second.verdict
    if two.supercell_matrix is None or two.q_point is None:
        return first.changed(outcome=Stability.UNDECIDED, reason=f"in a second cell: {two.reason}")
    error = _interpolation_error(first, second)
    if two.outcome is Stability.STABLE and _width(one) >= _width(two):
        return first.changed(other_cell=_other(two, error))
    both = second.changed(other_cell=_other(one, error))
    if two.outcome is Stability.UNSTABLE and _held_before(seen, np.array([two.q_point])).all():
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
    return float(np.abs(softest_branch(first.phonon, only) - softest_branch(second.phonon, only)).max())


def softest_branch(phonon: Phonopy, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lowest frequency (THz) at each q-point (fractional, shape (n, 3)), of all branches: shape (n,)."""
    phonon.run_qpoints(points)
    return np.array(phonon.get_qpoints_dict()["frequencies"]).min(axis=1)


def _said(mode: SoftestMode) -> str:
    q = ", ".join(f"{component:.4g}" for component in mode.q_point)
    return f"{mode.frequency:.2f} THz at q ({q})"
