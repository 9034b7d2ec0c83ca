"""Answers for many structures at once, and relaxations by FIRE in Fréchet's coordinates of the cell."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from niobe.config.errors import ConfigError
from niobe.config.home import make_home
from niobe.flows.oracles.base import Answer, most_stress
from niobe.flows.oracles.potentials import (
    CHGNETS,
    MAX_FORCE,
    MAX_VOLUME_PER_ATOM,
    MIN_VOLUME_PER_ATOM,
    UnphysicalAnswerError,
    WallTimeError,
    check_answer,
    check_volume,
    is_overdue,
    lowest_energy,
    where,
)
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    import torch
    from pymatgen.core import Structure

BATCHED = ("7net-0", "7net-l3i5", *CHGNETS)
ATOMS_AT_ONCE = 4096
"""Of a batch. One that does not fit into the memory is asked about in halves."""
FIRE_STEPS = 3
"""FIRE takes some three times as many steps as BFGS: that much longer is the relaxation of a batch."""
Outcome = Answer | Exception
T = TypeVar("T")


@dataclass(frozen=True)
class Goal:
    """Where a relaxation ends. fmax: of atoms, and of the cell unless ``stress`` says how much may be left
    there, eV/Å. stress: GPa. steps: at most, of BFGS."""

    fmax: float
    steps: int
    stress: float | None = None

    @classmethod
    def converged(cls, fmax: float, steps: int) -> Goal:
        """What a validation asks for. fmax: eV/Å."""
        return cls(fmax, steps, most_stress(fmax))


def at_once(name: str, device: str, pressure: float) -> int:
    """How many atoms are asked about at once: 0 where structures are asked about one by one.

    name: of the potential. device: as the campaign file has it. pressure: GPa.
    """
    if name not in BATCHED or pressure or importlib.util.find_spec("torch_sim") is None:
        return 0
    return ATOMS_AT_ONCE if where(device) == "cuda" else 0


def static(name: str, device: str, structures: Sequence[Structure]) -> list[Outcome]:
    """What the potential says of structures as they stand; an exception in the place of what is no physics.

    name: of ``BATCHED``. device: ``cpu`` or ``cuda``.
    """
    return _in_parts(structures, device, lambda some: _static(name, device, some))


def relaxed(name: str, device: str, structures: Sequence[Structure], goal: Goal) -> list[Outcome]:
    """Structures as they are when each has reached its goal or taken all steps; an exception in the place of
    what left physics, or did not end in time.

    name: of ``BATCHED``. device: ``cpu`` or ``cuda``.
    """
    return _in_parts(structures, device, lambda some: _relaxed(name, device, some, goal))


def _in_parts(
    structures: Sequence[Structure], device: str, ask: Callable[[Sequence[Structure]], list[Outcome]]
) -> list[Outcome]:
    """Answers in the order of the structures, as many at a time as the device holds; by one process, where
    that is a GPU."""
    with _alone(device):
        some = parts(structures, ATOMS_AT_ONCE, len)
        return [outcome for together in some for outcome in in_halves(together, ask)]


def in_halves(
    structures: Sequence[Structure], ask: Callable[[Sequence[Structure]], list[Outcome]]
) -> list[Outcome]:
    """Answers; of halves where the memory is too small for all, or one spoils the batch.

    structures: to ask about. ask: about all of them. Raises what is the machine's fault.
    """
    import torch

    try:
        return ask(structures)
    except (OSError, ImportError, ConfigError):
        raise
    except Exception as error:
        if len(structures) == 1:
            if isinstance(error, torch.cuda.OutOfMemoryError):
                raise
            return [error]
    torch.cuda.empty_cache()
    half = len(structures) // 2
    return [*in_halves(structures[:half], ask), *in_halves(structures[half:], ask)]


def parts(items: Sequence[T], atoms: int, size: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Items in turn, of at most so many atoms together, or one alone. size: atoms of an item."""
    first = held = 0
    for place, item in enumerate(items):
        if place > first and held + size(item) > atoms:
            yield items[first:place]
            first, held = place, 0
        held += size(item)
    if first < len(items):
        yield items[first:]


def _alone(device: str) -> AbstractContextManager[Any]:
    """One process at a time feeds a GPU: two batches would not fit into its memory."""
    from filelock import FileLock

    return nullcontext() if device == "cpu" else FileLock(make_home() / "gpu.lock")


def _static(name: str, device: str, structures: Sequence[Structure]) -> list[Outcome]:
    import torch_sim

    from niobe.flows.oracles.batched.networks import network

    potential, started = network(name, device), time.monotonic()
    state = torch_sim.initialize_state(list(structures), potential.device, potential.dtype)
    found = potential(state)
    forces = found["forces"].split([len(structure) for structure in structures])
    rows = zip(structures, found["energy"], forces, found["stress"], strict=True)
    answers = [_answer(one, one.lattice.matrix, one.cart_coords, e, f, s, 1) for one, e, f, s in rows]
    return _checked(name, answers, time.monotonic() - started)


def _relaxed(name: str, device: str, structures: Sequence[Structure], goal: Goal) -> list[Outcome]:
    import torch_sim

    from niobe.flows.oracles.batched.networks import network

    potential, started = network(name, device), time.monotonic()
    begin, move = torch_sim.frechet_cell_fire(potential)
    state = begin(torch_sim.initialize_state(list(structures), potential.device, potential.dtype))
    left, answers, most = list(range(len(structures))), dict[int, Answer](), FIRE_STEPS * goal.steps
    for step in range(1, most + 1):
        ended = (_reached(state, goal) | _out_of_bounds(state)).tolist()
        over = [row for row, end in enumerate(ended) if end or step == most or is_overdue()]
        for row, end in zip(over, state.pop(over) if over else (), strict=True):
            place = left[row]
            there = (end.row_vector_cell[0].cpu().numpy(), end.positions.cpu().numpy())
            answers[place] = _answer(
                structures[place], *there, end.energy[0], end.forces, end.stress[0], step
            )
        left = [place for row, place in enumerate(left) if row not in over]
        if not left:
            break
        state = move(state)
    return _checked(name, [answers[place] for place in sorted(answers)], time.monotonic() - started)


def _reached(state: Any, goal: Goal) -> torch.Tensor:
    """Whether forces, and what is left in the cell, are small enough. Shape (n,)."""
    from ase.units import GPa
    from torch_sim.quantities import systemwise_max_force

    stress = state.stress.abs().amax(dim=(1, 2))
    if goal.stress is not None:
        cell = stress <= goal.stress * GPa
    else:
        cell = stress * state.volume / state.n_atoms_per_system <= goal.fmax
    return cell & (systemwise_max_force(state) <= goal.fmax)


def _out_of_bounds(state: Any) -> torch.Tensor:
    """Whether a system left physics, so that going on would only take time, or spoil others. Shape (n,)."""
    import torch
    from torch_sim.quantities import systemwise_max_force

    volume = (state.volume / state.n_atoms_per_system).abs()
    force = systemwise_max_force(state)
    inside = (volume >= MIN_VOLUME_PER_ATOM) & (volume <= MAX_VOLUME_PER_ATOM) & (force <= MAX_FORCE)
    return ~(inside & torch.isfinite(state.energy))


def _answer(
    asked: Structure,
    lattice: FloatArray,
    places: FloatArray,
    energy: torch.Tensor,
    forces: torch.Tensor,
    stress: torch.Tensor,
    steps: int,
) -> Answer:
    from ase.units import GPa
    from pymatgen.core import Structure

    species = [site.specie.symbol for site in asked]
    return Answer(
        structure=Structure(lattice, species, places, coords_are_cartesian=True),
        energy=float(energy),
        forces=forces.detach().cpu().double().numpy(),
        steps=steps,
        stress=-stress.detach().cpu().double().numpy() / GPa,
    )


def _checked(name: str, answers: Sequence[Answer], seconds: float) -> list[Outcome]:
    """Each with its part of the seconds, or why it is no answer."""
    late = is_overdue()
    return [_outcome(name, replace(one, seconds=seconds / len(answers)), late=late) for one in answers]


def _outcome(name: str, answer: Answer, *, late: bool) -> Outcome:
    if late:
        return WallTimeError("wall time of these validations used up")
    try:
        check_volume(answer.structure.volume / len(answer.structure))
        check_answer(answer.energy_per_atom, answer.forces, lowest_energy(name))
    except UnphysicalAnswerError as error:
        return error
    return answer
