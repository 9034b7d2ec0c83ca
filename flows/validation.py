"""One validation: relax, check, phonons where they pay, or a failure record."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from config.spec import CampaignSpec
from flows.oracles.base import Answer, NotConvergedError, Oracle
from flows.oracles.potentials import UnphysicalAnswerError, WallTimeError
from loop.hull import energy_above
from loop.phonons import Dynamics, dynamics, undecided
from loop.records import Failure, Validation
from loop.rounds import HullRecord
from loop.screening import collapsed_distance
from loop.similarity import spacegroup_number

if TYPE_CHECKING:
    from pymatgen.core import Structure

_CAUSES = {
    UnphysicalAnswerError: "unphysical",
    WallTimeError: "wall_time",
    NotConvergedError: "not_converged",
}
_DETERMINISTIC = (UnphysicalAnswerError, WallTimeError, NotConvergedError)


def validate_structure(
    spec: CampaignSpec, oracle: Oracle, structure: Structure, hull: HullRecord | None, folder: Path
) -> tuple[Validation, Dynamics | None] | Failure:
    """Relax and, within ``phonons.window`` of ``hull``, run phonons. Energies in eV/atom.

    Anything the oracle raises becomes a Failure; what may go better the next time is tried again
    ``oracle.retries`` times.
    """
    started = time.monotonic()
    attempts = 0
    while attempts <= spec.oracle.retries:
        attempts += 1
        try:
            with oracle.within(spec.oracle.wall_time):
                return _validate(spec, oracle, structure, hull, folder)
        except Exception as error:  # noqa: BLE001 - a failed validation is data, whatever was raised
            last = error
            if isinstance(error, _DETERMINISTIC):
                break
    return Failure(
        step="validate",
        cause=next((cause for kind, cause in _CAUSES.items() if isinstance(last, kind)), "oracle_error"),
        exception=type(last).__name__,
        message=" ".join(str(last).split())[:500],
        seconds=round(time.monotonic() - started, 3),
        attempts=attempts,
    )


def _validate(
    spec: CampaignSpec, oracle: Oracle, structure: Structure, hull: HullRecord | None, folder: Path
) -> tuple[Validation, Dynamics | None]:
    started = time.monotonic()
    answer = oracle.relax(structure, folder)
    check_physics(answer)
    seconds = {"relax": round(time.monotonic() - started, 3)}
    validation = Validation(
        oracle=oracle.fingerprint,
        structure=answer.structure.as_dict(),
        spacegroup=spacegroup_number(answer.structure),
        energy_per_atom=answer.energy_per_atom,
        volume_per_atom=float(answer.structure.volume / len(answer.structure)),
        max_force=answer.max_force,
        steps=answer.steps,
        seconds=seconds,
        phonon=undecided(spec.phonons.tolerance, "phonons not run: no hull yet"),
    )
    if hull is None:
        return validation, None
    return add_phonons(spec, oracle, validation, hull, folder)


def add_phonons(
    spec: CampaignSpec, oracle: Oracle, validation: Validation, hull: HullRecord, folder: Path
) -> tuple[Validation, Dynamics | None]:
    """The validation with its phonon verdict; undecided where it lies outside the window."""
    from pymatgen.core import Structure

    structure = Structure.from_dict(validation.structure)
    above = energy_above(hull, structure.composition.reduced_formula, validation.energy_per_atom)
    if above > spec.phonons.window:
        reason = f"{above:.3f} eV/atom above the hull; phonons.window {spec.phonons.window}"
        verdict = undecided(spec.phonons.tolerance, reason)
        return validation.model_copy(update={"phonon": verdict}), None
    started = time.monotonic()
    result = dynamics(
        structure, lambda cells: [answer.forces for answer in oracle.static(cells, folder)], spec.phonons
    )
    seconds = validation.seconds | {"phonons": round(time.monotonic() - started, 3)}
    return validation.model_copy(update={"phonon": result.verdict, "seconds": seconds}), result


def check_physics(answer: Answer) -> None:
    """Raises UnphysicalAnswerError for an energy that is not finite or sites that collapsed."""
    if not np.isfinite(answer.energy) or not np.isfinite(answer.forces).all():
        raise UnphysicalAnswerError("energy or forces are not finite")
    if collapsed_distance(answer.structure):
        raise UnphysicalAnswerError("sites collapsed during relaxation")
