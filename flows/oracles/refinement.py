"""A candidate find, relaxed tightly and made as symmetric as its energy allows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.config.potentials import REACH
from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import (
    FIND_FMAX,
    Answer,
    NotConvergedError,
    Oracle,
    correction_of,
    require_converged,
    residual,
)
from niobe.flows.oracles.calculation import SYMMETRY_COST, attempt, check_bound, check_physics
from niobe.flows.oracles.potentials import UnphysicalAnswerError, WallTimeError
from niobe.loop.crystals.decoding import decoded
from niobe.loop.crystals.prototypes import prototype_of
from niobe.loop.crystals.similarity import spacegroup_number
from niobe.loop.crystals.symmetry import SymmetricCell, symmetric_cells, without_roundoff
from niobe.loop.documents.records import Failure, Refinement, Validation

if TYPE_CHECKING:
    from pymatgen.core import Structure

_DIGITS = 9
"""Of an energy in eV/atom. What lies beyond depends on what a calculator had done before, and a tree that
learns from it may split elsewhere."""


def tight(spec: CampaignSpec) -> OracleSpec:
    """The campaign's oracle, asked for the forces (0.005 eV/Å at most) that a find may have."""
    fmax = min(FIND_FMAX, spec.oracle.fmax, spec.phonons.fmax)
    return spec.oracle.model_copy(update={"fmax": fmax})


def refine(spec: CampaignSpec, oracle: Oracle, validation: Validation, folder: Path) -> Validation | Failure:
    """The validation of a candidate find after a tight relaxation, symmetrised; a Failure (step ``refine``)
    where that does not converge.

    The most symmetric cell that a tolerance of 0.01 to 0.2 Å finds is kept whose energy agrees with the
    relaxed one within 1 meV/atom and in which forces and stress vanish, relaxed again if need be.

    spec: the campaign. oracle: what ``tight(spec)`` names. folder: where its files go.
    """
    return attempt(spec, oracle, "refine", lambda: _refined(spec, oracle, validation, folder))


def unrefined(validation: Validation, failure: Failure) -> Validation:
    """The validation of what could not be relaxed as a find has to be, with the reason."""
    reason = f"{failure.cause}: {failure.message}"
    return validation.model_copy(update={"refined": Refinement(converged=False, reason=reason)})


def _refined(spec: CampaignSpec, oracle: Oracle, validation: Validation, folder: Path) -> Validation:
    started = time.monotonic()
    relaxed = _relaxed(spec, oracle, decoded(validation.structure), folder)
    found, cell = _symmetrised(spec, oracle, relaxed, folder)
    correction = correction_of(oracle, found)
    structure = without_roundoff(found.structure)
    prototype, mineral = prototype_of(structure)
    refinement = Refinement(
        converged=True,
        symprec=cell.symprec if cell else None,
        angle_tolerance=cell.angle if cell else None,
        symmetry_cost=round(found.enthalpy_per_atom - relaxed.enthalpy_per_atom, _DIGITS),
        prototype=prototype,
        mineral=mineral,
    )
    return validation.model_copy(
        update={
            "structure": structure.as_dict(),
            "spacegroup": spacegroup_number(structure),
            "energy_per_atom": round(found.enthalpy_per_atom + correction, _DIGITS),
            "correction": correction,
            "volume_per_atom": float(structure.volume / len(structure)),
            "max_force": round(found.max_force, _DIGITS),
            "max_stress": None if found.max_stress is None else round(found.max_stress, _DIGITS),
            "steps": validation.steps + relaxed.steps,
            "seconds": validation.seconds | {"refine": round(time.monotonic() - started, 3)},
            "refined": refinement,
            "potcars": dict(found.potcars),
        }
    )


def _relaxed(spec: CampaignSpec, oracle: Oracle, before: Structure, folder: Path) -> Answer:
    answer = oracle.relax(before, folder)
    check_physics(answer)
    require_converged(answer, tight(spec).fmax)
    check_bound(answer.structure, before, spec.oracle.reach or REACH.get(spec.oracle.name))
    return answer


def _symmetrised(
    spec: CampaignSpec, oracle: Oracle, relaxed: Answer, folder: Path
) -> tuple[Answer, SymmetricCell | None]:
    """The answer for the most symmetric cell that holds, and that cell; the relaxed one where none does."""
    for cell in symmetric_cells(relaxed.structure):
        answer = _held(spec, oracle, cell.structure, relaxed, folder)
        if answer is not None:
            return answer, cell
    return relaxed, None


def _held(
    spec: CampaignSpec, oracle: Oracle, structure: Structure, relaxed: Answer, folder: Path
) -> Answer | None:
    """The answer for a symmetrised cell without forces nor stress, at an energy that agrees; else None."""
    most = relaxed.enthalpy_per_atom + SYMMETRY_COST
    try:
        (answer,) = oracle.static([structure], folder)
        check_physics(answer)
        if answer.enthalpy_per_atom <= most and residual(answer, tight(spec).fmax):
            answer = _relaxed(spec, oracle, structure, folder)
    except (NotConvergedError, UnphysicalAnswerError, WallTimeError):
        return None  # the relaxed cell stands
    return answer if answer.enthalpy_per_atom <= most else None
