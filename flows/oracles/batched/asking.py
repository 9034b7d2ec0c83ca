"""Answers for many structures at once, and relaxations by FIRE in Fréchet's coordinates of the cell."""

from __future__ import annotations

import importlib.util
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from niobe.config.errors import ConfigError
from niobe.config.home import make_home
from niobe.config.potentials import BATCHED
from niobe.flows.oracles.base import Answer
from niobe.flows.oracles.potentials import (
    MAX_FORCE,
    MAX_VOLUME_PER_ATOM,
    MIN_VOLUME_PER_ATOM,
    UnphysicalAnswerError,
    WallTimeError,
    check_answer,
    check_volume,
    lowest_energy,
    where,
)

if TYPE_CHECKING:
    import torch
    from pymatgen.core import Structure

ATOMS_AT_ONCE = 4096
"""Of a batch. One that does not fit into the memory is asked about in halves."""
FIRE_STEPS = 3
"""FIRE takes some three times as many steps as BFGS: that much longer is the relaxation of a batch."""
Outcome = Answer | Exception
T = TypeVar("T")


@dataclass(frozen=True)
class Goal:
    """Where a relaxation ends. fmax: of atoms, and of the cell unless ``stress`` says how much may be left
    there, eV/Å. stress: GPa. steps: at most, of BFGS; 1 leaves a crystal as it stands. seconds: for each
    structure of a batch; the batch ends once all of them have passed."""

    fmax: float
    steps: int
    seconds: float
    stress: float | None = None

    @property
    def most_steps(self) -> int:
        """Geometries that are asked about at most."""
        return FIRE_STEPS * self.steps if self.steps > 1 else 1


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
    what left physics, or did not end in time: worth asking about once more, alone.

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
    except Exception as error:  # noqa: BLE001 - whatever was raised, it is found out whose fault it is
        if len(structures) == 1:
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


@contextmanager
def _alone(device: str) -> Iterator[None]:
    """One process at a time feeds the GPU of a machine: two batches would not fit into its memory, which is
    given back in the end."""
    import torch
    from filelock import FileLock

    if device == "cpu":
        yield
        return
    with FileLock(make_home() / f"gpu-{platform.node()}.lock"):
        try:
            yield
        finally:
            torch.cuda.empty_cache()


def _static(name: str, device: str, structures: Sequence[Structure]) -> list[Outcome]:
    import torch_sim

    from niobe.flows.oracles.batched.networks import network

    potential, started = network(name, device), time.monotonic()
    state = torch_sim.initialize_state(_right_handed(structures), potential.device, potential.dtype)
    found = potential(state)
    forces = found["forces"].split([len(structure) for structure in structures])
    ends = zip(state.split(), found["energy"], forces, found["stress"], strict=True)
    answers = [_answer(one, *end, 1) for one, end in zip(structures, ends, strict=True)]
    return _checked(name, answers, time.monotonic() - started)


def _relaxed(name: str, device: str, structures: Sequence[Structure], goal: Goal) -> list[Outcome]:
    import torch_sim

    from niobe.flows.oracles.batched.networks import network

    potential, started = network(name, device), time.monotonic()
    begin, move = torch_sim.frechet_cell_fire(potential)
    until = started + goal.seconds * len(structures)
    state = begin(torch_sim.initialize_state(_right_handed(structures), potential.device, potential.dtype))
    left, outcomes = list(range(len(structures))), dict[int, Outcome]()
    for step in range(1, goal.most_steps + 1):
        late, last = time.monotonic() > until, step == goal.most_steps
        ended = (_reached(state, goal) | _out_of_bounds(state)).tolist()
        over = [row for row, end in enumerate(ended) if end or last or late]
        for row, end in zip(over, state.pop(over) if over else (), strict=True):
            place = left[row]
            told = _answer(structures[place], end, end.energy[0], end.forces, end.stress[0], step)
            outcomes[place] = told if ended[row] or last else WallTimeError("wall time of a batch used up")
        left = [place for row, place in enumerate(left) if not (ended[row] or last or late)]
        if not left:
            break
        state = move(state)
    return _checked(name, [outcomes[place] for place in sorted(outcomes)], time.monotonic() - started)


def _right_handed(structures: Sequence[Structure]) -> list[Structure]:
    """Structures, those in left-handed cells inverted through the origin: torch-sim's volumes have signs."""
    from pymatgen.core import Structure

    return [
        one
        if _hand(one) > 0
        else Structure(-one.lattice.matrix, one.species, one.frac_coords, coords_are_cartesian=False)
        for one in structures
    ]


def _hand(structure: Structure) -> float:
    return float(np.sign(np.linalg.det(structure.lattice.matrix)))


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
    end: Any,
    energy: torch.Tensor,
    forces: torch.Tensor,
    stress: torch.Tensor,
    steps: int,
) -> Answer:
    """end: torch-sim's state of the structure, as ``_right_handed`` has it."""
    from ase.units import GPa
    from pymatgen.core import Structure

    hand, symbols = _hand(asked), [site.specie.symbol for site in asked]
    lattice, places = (
        part.detach().cpu().double().numpy() for part in (end.row_vector_cell[0], end.positions)
    )
    return Answer(
        structure=Structure(hand * lattice, symbols, hand * places, coords_are_cartesian=True),
        energy=float(energy),
        forces=hand * forces.detach().cpu().double().numpy(),
        steps=steps,
        stress=-stress.detach().cpu().double().numpy() / GPa,
    )


def _checked(name: str, outcomes: Sequence[Outcome], seconds: float) -> list[Outcome]:
    """Each answer with its part of the seconds, or why it is none."""
    return [_as_physics(name, one, seconds / len(outcomes)) for one in outcomes]


def _as_physics(name: str, outcome: Outcome, seconds: float) -> Outcome:
    if isinstance(outcome, Exception):
        return outcome
    try:
        check_volume(outcome.structure.volume / len(outcome.structure))
        check_answer(outcome.energy_per_atom, outcome.forces, lowest_energy(name))
    except UnphysicalAnswerError as error:
        return error
    return replace(outcome, seconds=seconds)
