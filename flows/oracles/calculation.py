"""One validation: relax, check, static, phonons; or a failure record."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from niobe.config.potentials import REACH
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import (
    Answer,
    CalculationDiedError,
    NoCureError,
    NotConvergedError,
    Oracle,
    correction_of,
    require_converged,
    residual,
)
from niobe.flows.oracles.potentials import UnphysicalAnswerError, WallTimeError
from niobe.loop.crystals.similarity import spacegroup_number
from niobe.loop.crystals.validity import collapsed_distance
from niobe.loop.documents.dynamics import PhononVerdict, Renormalised, Stability
from niobe.loop.documents.records import Failure, Validation
from niobe.loop.documents.structures import symmetrised
from niobe.loop.stability.anharmonic.self_consistent import ITERATIONS, TooManyConstantsError, renormalised
from niobe.loop.stability.anharmonic.wells import softest_well
from niobe.loop.stability.corrections import CorrectionError
from niobe.loop.stability.hull import LOWEST_FORMATION_ENERGY, formation_energy
from niobe.loop.stability.phonons import Dynamics, dynamics, looked_at_again, unconfirmed

if TYPE_CHECKING:
    from pymatgen.core import Structure

T = TypeVar("T")
_CAUSES = {
    UnphysicalAnswerError: "unphysical",
    WallTimeError: "wall_time",
    NotConvergedError: "not_converged",
    CalculationDiedError: "died",
    NoCureError: "no_cure",
    CorrectionError: "uncorrected",
    TooManyConstantsError: "too_many_force_constants",
}
MOST_GROWN = 2.0
"""Times its volume: no crystal relaxes this far, and what comes apart does not stop here."""
_ROOM = 300.0  # K
_SURELY_LONGER = 2.0
SYMMETRY_COST = 1e-3
"""eV/atom: a crystal is as symmetric as it can be made at no more."""
_SAME_PLACE = 1e-4
"""Å: at the forces that a relaxation may leave, less than 0.01 meV apart."""
_BOUND = 1.15
_MOST_DENSER = 10.0
"""Å³/atom by which a compound under pressure may be denser than its elements."""
_FINAL = tuple(_CAUSES)


def validate_structure(
    spec: CampaignSpec,
    oracle: Oracle,
    structure: Structure,
    folder: Path,
    references: Mapping[str, float] | None = None,
) -> Validation | Failure:
    """Relax, make the symmetry exact, and ask for energy and forces of that. Energies in eV/atom.

    references: of elements; with them, what lies deeper than any solid fails as unphysical.
    Anything the oracle raises becomes a Failure; what may go better the next time is tried again
    ``oracle.retries`` times.

    spec: the campaign. structure: the crystal. folder: where its files go.
    """
    return attempt(spec, oracle, "relax", lambda: _relax(spec, oracle, structure, folder, references or {}))


def phonons(
    spec: CampaignSpec,
    judge: Oracle,
    structure: Structure,
    folder: Path,
    find: bool = False,
    *,
    settled: bool = False,
) -> tuple[Dynamics, float] | Failure:
    """Phonons of a structure and the seconds they took, or a Failure as in validate_structure.

    judge: what ``spec.phonon_oracle`` names. It relaxes the structure first, from its symmetrised primitive
    cell. A stable ``find`` is looked at again in a larger supercell; where that fails, the first one counts.

    folder: where its files go. settled: the judge has relaxed the structure already, as tightly as it would.
    """
    started = time.monotonic()

    def forces(cells: Sequence[Structure]) -> list[NDArray[np.float64]]:
        ask = getattr(judge, "displaced", judge.static)  # where forces want other settings than energies
        return [answer.forces for answer in ask(cells, folder)]

    def first_look() -> Dynamics:
        if settled:
            return dynamics(structure, forces, spec.phonons)
        relaxed = judge.relax(symmetrised(structure), folder)
        check_physics(relaxed)
        return dynamics(relaxed.structure, forces, spec.phonons)

    found = attempt(spec, judge, "phonons", first_look)
    if isinstance(found, Failure):
        return found
    again = attempt(spec, judge, "phonons", lambda: looked_at_again(found, forces, spec.phonons, find))
    if isinstance(again, Failure):
        again = unconfirmed(found, f"phonons failed: {again.cause}", spec.phonons)
    judged = _with_well(spec, judge, again.changed(oracle=judge.fingerprint), folder)
    return judged, round(time.monotonic() - started, 3)


def _with_well(spec: CampaignSpec, judge: Oracle, found: Dynamics, folder: Path) -> Dynamics:
    """An unstable verdict with the well along its softest mode; as it is where a potential fails on that."""
    if getattr(judge, "is_dft", False) or not found.modes or found.primitive is None:
        return found
    primitive, modes = found.primitive, found.modes

    def energies(cells: Sequence[Structure]) -> list[float]:
        return [answer.energy_per_atom for answer in judge.static(cells, folder)]

    well = attempt(spec, judge, "phonons", lambda: softest_well(primitive, modes, energies))
    return found if isinstance(well, Failure) else found.changed(well=well)


def in_motion(
    spec: CampaignSpec, judge: Oracle, found: Dynamics, folder: Path, seconds: float
) -> tuple[Dynamics, float]:
    """An unstable verdict after its crystal was looked at in motion, and the seconds that took.

    At the campaign's temperature, or 300 K where it has none: what self-consistent phonons hold there is
    stabilised. Any other verdict, and DFT's, stays as it is; so does what cannot be told, with the reason.
    What by its first cell would take more than twice the seconds is not begun.

    spec: the campaign. judge: that gave the verdict. found: the verdict. folder: where files go. seconds:
    that it may take.
    """
    phonon, kelvin = found.phonon, spec.conditions.temperature or _ROOM
    is_dft = getattr(judge, "is_dft", False)
    if found.verdict.outcome is not Stability.UNSTABLE or phonon is None or is_dft or seconds <= 0:
        return found, 0.0

    allowed, started = min(seconds, spec.oracle.wall_time), time.monotonic()
    one_by_one = not getattr(judge, "at_once", 0)  # how long a batch takes one cell does not tell
    turns = iter(range(ITERATIONS, 0, -1))

    def forces(cells: Sequence[Structure]) -> list[NDArray[np.float64]]:
        began = time.monotonic()
        first = judge.static(cells[:1], folder)
        needed = (time.monotonic() - began) * len(cells) * next(turns) * one_by_one
        if needed > _SURELY_LONGER * (started + allowed - began):
            raise WallTimeError(f"would take some {needed:.0f} s of {allowed:.0f}")
        return [answer.forces for answer in [*first, *judge.static(cells[1:], folder)]]

    def moved() -> Renormalised:
        return renormalised(phonon, kelvin, forces, spec.phonons.tolerance)

    answer = attempt(spec, judge, "phonons", moved, allowed)
    took = round(time.monotonic() - started, 3)
    if isinstance(answer, Failure):
        return found.changed(reason=f"not looked at in motion at {kelvin:g} K: {answer.cause}"), took
    held = answer.outcome is Stability.STABLE
    outcome = Stability.STABILISED if held else Stability.UNSTABLE
    return found.changed(renormalised=answer, outcome=outcome), took


def attempt(
    spec: CampaignSpec, oracle: Oracle, step: str, work: Callable[[], T], seconds: float | None = None
) -> T | Failure:
    started = time.monotonic()
    attempts = 0
    while attempts <= spec.oracle.retries:
        attempts += 1
        try:
            with oracle.within(seconds or spec.oracle.wall_time):
                return work()
        except Exception as error:  # noqa: BLE001 - a failed validation is data, whatever was raised
            last = error
            if isinstance(error, _FINAL):
                break
    return Failure(
        step=step,
        cause=cause_of(last),
        exception=type(last).__name__,
        message=" ".join(str(last).split())[:500],
        seconds=round(time.monotonic() - started, 3),
        attempts=attempts,
    )


def cause_of(error: Exception) -> str:
    """One word for why a calculation failed; ``oracle_error`` where no better one is known.

    error: what was raised.
    """
    return next((cause for kind, cause in _CAUSES.items() if isinstance(error, kind)), "oracle_error")


def _relax(
    spec: CampaignSpec, oracle: Oracle, structure: Structure, folder: Path, references: Mapping[str, float]
) -> Validation:
    started = time.monotonic()
    relaxed = oracle.relax(structure, folder)
    check_physics(relaxed)
    require_converged(relaxed, spec.oracle.fmax)
    check_bound(relaxed.structure, structure, spec.oracle.reach or REACH.get(spec.oracle.name))
    answer = _symmetric(oracle, relaxed, spec.oracle.fmax, folder)
    correction = correction_of(oracle, answer)
    energy = answer.enthalpy_per_atom + correction
    check_depth(answer.structure, energy, references, answer.pressure)
    return Validation(
        oracle=oracle.fingerprint,
        structure=answer.structure.as_dict(),
        spacegroup=spacegroup_number(answer.structure),
        energy_per_atom=energy,
        correction=correction,
        volume_per_atom=float(answer.structure.volume / len(answer.structure)),
        max_force=answer.max_force,
        max_stress=answer.max_stress,
        pressure=answer.pressure,
        steps=relaxed.steps,
        seconds={"relax": round(time.monotonic() - started + relaxed.seconds, 3)},
        phonon=PhononVerdict(outcome=Stability.PENDING, tolerance=spec.phonons.tolerance),
        potcars=dict(answer.potcars),
    )


def _symmetric(oracle: Oracle, relaxed: Answer, fmax: float, folder: Path) -> Answer:
    """Energy and forces of the symmetrised cell, not asked for where that is the relaxed one; the relaxed one
    where symmetry costs over 1 meV/atom, or leaves forces or stress."""
    symmetric = symmetrised(relaxed.structure)
    if _is_cell(symmetric, relaxed.structure):
        return replace(relaxed, structure=symmetric)
    (static,) = oracle.static([symmetric], folder)
    check_physics(static)
    cost = static.enthalpy_per_atom - relaxed.enthalpy_per_atom
    return static if cost < SYMMETRY_COST and not residual(static, fmax) else relaxed


def _is_cell(one: Structure, other: Structure) -> bool:
    """Whether two cells are the same but for ``_SAME_PLACE``, edges and each site in its turn."""
    if one.species != other.species:
        return False
    apart = one.frac_coords - other.frac_coords
    moved = (apart - np.round(apart)) @ one.lattice.matrix
    strained = one.lattice.matrix - other.lattice.matrix
    return float(max(np.abs(moved).max(), np.abs(strained).max())) <= _SAME_PLACE


def check_physics(answer: Answer) -> None:
    """Raises UnphysicalAnswerError for an energy that is not finite or sites that collapsed."""
    if not np.isfinite(answer.energy) or not np.isfinite(answer.forces).all():
        raise UnphysicalAnswerError("energy or forces are not finite")
    if collapsed_distance(answer.structure):
        raise UnphysicalAnswerError("sites collapsed during relaxation")


def check_bound(relaxed: Structure, before: Structure, reach: float | None) -> None:
    """Raises UnphysicalAnswerError for a relaxation that came apart: forces vanish there, and energies lie.

    reach: how far (Å) the potential sees, None for one that sees all. Atoms as near as their radii say count
    as bound all the same: caesium's neighbours are at 5.3 Å, and 7net-0, which sees 5 Å, learned it so.

    relaxed: its end. before: its start; both with the same sites.
    """
    grown = relaxed.volume / before.volume
    if grown >= MOST_GROWN:
        raise UnphysicalAnswerError(f"the cell grew to {grown:.1f} × its volume: it came apart")
    if reach is None:
        return
    bonds = _bonds(relaxed, reach)
    bound = {one for one, _, _ in bonds}
    if alone := {site.specie.symbol for row, site in enumerate(relaxed) if row not in bound}:
        raise UnphysicalAnswerError(
            f"{len(relaxed) - len(bound)} atoms ({', '.join(sorted(alone))}) have no neighbour within the "
            f"{reach:g} Å that the potential sees"
        )
    if _directions(bonds, len(relaxed)) < 3:
        raise UnphysicalAnswerError(
            f"molecules, chains or layers lie farther apart than the {reach:g} Å that the potential sees"
        )


def _bonds(structure: Structure, reach: float) -> list[tuple[int, int, tuple[int, ...]]]:
    """Pairs of atoms within ``reach`` (Å) or 1.15 × their atomic radii, with the cell of the second one."""
    radii = np.array([float(site.specie.atomic_radius or 0.0) for site in structure])
    most = max(reach, 2 * _BOUND * float(radii.max()))
    one, other, images, distances = structure.get_neighbor_list(most)
    near = distances <= np.maximum(reach, _BOUND * (radii[one] + radii[other]))
    cells = map(tuple, images[near].astype(int).tolist())
    return list(zip(one[near].tolist(), other[near].tolist(), cells, strict=True))


def _directions(bonds: Sequence[tuple[int, int, tuple[int, ...]]], atoms: int) -> int:
    """In how many directions the bonds hold all atoms together: 3 in a crystal, 0 where they make pieces."""
    after: dict[int, list[tuple[int, NDArray[np.int64]]]] = defaultdict(list)
    for one, other, image in bonds:
        after[one].append((other, np.array(image)))
    places, waiting, loops = {0: np.zeros(3, dtype=int)}, [0], []
    while waiting:
        one = waiting.pop()
        for other, offset in after[one]:
            place = places[one] + offset
            if other in places:
                loops.append(place - places[other])
            else:
                places[other] = place
                waiting.append(other)
    return int(np.linalg.matrix_rank(np.array(loops))) if loops and len(places) == atoms else 0


def check_depth(
    structure: Structure, energy_per_atom: float, references: Mapping[str, float], pressure: float = 0.0
) -> None:
    """Raises UnphysicalAnswerError for a formation energy that no solid has: an unphysical minimum of the
    potential. Of an enthalpy, what a compound may gain by being denser than its elements is left to it.

    structure: the crystal. energy_per_atom: or enthalpy, eV/atom. references: of the elements, eV/atom, by
    symbol. pressure: GPa.
    """
    from ase.units import GPa

    lowest = LOWEST_FORMATION_ENERGY - pressure * GPa * _MOST_DENSER
    composition = structure.composition.get_el_amt_dict()
    formation = formation_energy(composition, energy_per_atom, references)
    if formation < lowest:
        raise UnphysicalAnswerError(
            f"formation energy {formation:.2f} eV/atom; no solid is known below {lowest:g}"
        )
