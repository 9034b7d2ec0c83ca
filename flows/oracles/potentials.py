"""Interatomic potentials by name: loaded once a process, guarded against answers outside physics."""

from __future__ import annotations

import functools
import hashlib
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.config.errors import ConfigError

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

MAX_ENERGY_PER_ATOM = 50.0
MIN_ENERGY_PER_ATOM = -25.0
MAX_FORCE = 1e3
MIN_VOLUME_PER_ATOM = 3.0
MAX_VOLUME_PER_ATOM = 150.0
_SEVENNET = {
    "7net-0": "sevenn/pretrained_potentials/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7net-l3i5": "sevenn/pretrained_potentials/SevenNet_l3i5/checkpoint_l3i5.pth",
}
"""Weights, from where packages lie: asking sevenn for them imports torch, for 6 s."""
POTENTIALS = ("7net-0", "7net-l3i5", "chgnet", "emt", "lj")


class UnphysicalAnswerError(RuntimeError):
    """The potential left physics: energy, force or volume out of bounds, or not finite."""


class WallTimeError(RuntimeError):
    """The validation used more wall time than the campaign allows."""


_deadline: float | None = None


@contextmanager
def wall_time(seconds: float) -> Iterator[None]:
    """Every evaluation inside raises WallTimeError once ``seconds`` have passed."""
    global _deadline  # one validation at a time in a process
    _deadline = time.monotonic() + seconds
    try:
        yield
    finally:
        _deadline = None


def _check_cell(atoms: Atoms) -> None:
    volume = atoms.get_volume() / len(atoms)
    if not MIN_VOLUME_PER_ATOM <= volume <= MAX_VOLUME_PER_ATOM:
        raise UnphysicalAnswerError(
            f"volume {volume:.3g} Å³/atom; allowed {MIN_VOLUME_PER_ATOM} to {MAX_VOLUME_PER_ATOM}"
        )


def _check_answer(results: dict[str, Any], n_atoms: int) -> None:
    energy = float(results["energy"]) / n_atoms
    if not MIN_ENERGY_PER_ATOM <= energy <= MAX_ENERGY_PER_ATOM:
        raise UnphysicalAnswerError(
            f"energy {energy:.4g} eV/atom; allowed {MIN_ENERGY_PER_ATOM} to {MAX_ENERGY_PER_ATOM}"
        )
    force = float(np.abs(results["forces"]).max())
    if not force <= MAX_FORCE:
        raise UnphysicalAnswerError(f"force {force:.4g} eV/Å; allowed up to {MAX_FORCE:g}")


def _guard(calculator: Calculator) -> Calculator:
    """Make ``calculator`` check cell, answer and wall time at each evaluation, so a runaway stops early."""
    evaluate = calculator.calculate

    @functools.wraps(evaluate)
    def guarded(atoms: Atoms | None = None, *args: Any, **kwargs: Any) -> None:
        if _deadline is not None and time.monotonic() > _deadline:
            raise WallTimeError("wall time of one validation used up")
        target = calculator.atoms if atoms is None else atoms
        _check_cell(target)
        evaluate(atoms, *args, **kwargs)
        _check_answer(calculator.results, len(target))

    calculator.calculate = guarded
    return calculator


def _load(name: str) -> Calculator:
    if name.startswith("7net"):
        from sevenn.calculator import SevenNetCalculator

        from niobe.flows.oracles.kernels.fused import fuse

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No tensor product accelerator")  # fuse is one
            calculator = SevenNetCalculator(name, device="cpu")
        fuse(calculator.model)
        return calculator
    if name == "chgnet":
        from chgnet.model import CHGNet

        from niobe.flows.oracles.kernels.lean import LeanCHGNet

        return LeanCHGNet(CHGNet.load(use_device="cpu", verbose=False))
    if name == "emt":
        from ase.calculators.emt import EMT

        return EMT()
    from ase.calculators.lj import LennardJones

    return LennardJones(epsilon=0.4, sigma=2.2, rc=6.0, smooth=True)


@functools.cache
def potential(name: str) -> Calculator:
    """The guarded ASE calculator of that name, loaded once a process.

    Raises ConfigError for an unknown name.
    """
    if name not in POTENTIALS:
        raise ConfigError(f"oracle.name: {name!r} is not a potential; allowed: {', '.join(POTENTIALS)}")
    return _guard(_load(name))


@functools.cache
def weights_digest(name: str) -> str:
    """First 12 digits of the SHA-256 of the weight file, or of the name and version where there is none."""
    if name in _SEVENNET:
        weights = distribution("sevenn").locate_file(_SEVENNET[name])
        return hashlib.sha256(Path(str(weights)).read_bytes()).hexdigest()[:12]
    if name == "chgnet":
        digest = hashlib.sha256()
        for path in sorted(Path(str(distribution("chgnet").locate_file("chgnet/pretrained"))).rglob("*.tar")):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]
    import ase

    return hashlib.sha256(f"{name} ase {ase.__version__}".encode()).hexdigest()[:12]
