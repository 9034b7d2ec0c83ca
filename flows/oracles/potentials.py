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
from niobe.config.potentials import LABELS
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

MAX_ENERGY_PER_ATOM = 50.0
MIN_ENERGY_PER_ATOM = -25.0
MAX_FORCE = 1e3
MIN_VOLUME_PER_ATOM = 3.0
MAX_VOLUME_PER_ATOM = 150.0
_SEVENNET = {
    "7net-0": "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7net-l3i5": "SevenNet_l3i5/checkpoint_l3i5.pth",
    "7net-mf-0-pbe": "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
    "7net-mf-0-r2scan": "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
}
"""Weights, from where packages lie: asking sevenn for them imports torch, for 6 s."""
POTENTIALS = (
    *("7net-0", "7net-l3i5", "7net-mf-0-pbe", "7net-mf-0-r2scan"),
    *("chgnet", "chgnet-r2scan", "emt", "lj"),
)
CHGNETS = {"chgnet": "0.3.0", "chgnet-r2scan": "r2scan"}
_CHGNET_FILES = {"chgnet": "", "chgnet-r2scan": "r2scan"}
"""What weights_digest hashes: of CHGNet all that its package ships, as stored fingerprints have it."""
_MODALITIES = {"7net-mf-0-pbe": ("7net-mf-0", "PBE"), "7net-mf-0-r2scan": ("7net-mf-0", "R2SCAN")}
"""Of checkpoints that were trained on more than one functional: checkpoint and modality, by name."""


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


def check_volume(volume: float) -> None:
    """Raises UnphysicalAnswerError. volume: Å³/atom."""
    if not MIN_VOLUME_PER_ATOM <= volume <= MAX_VOLUME_PER_ATOM:
        raise UnphysicalAnswerError(
            f"volume {volume:.3g} Å³/atom; allowed {MIN_VOLUME_PER_ATOM} to {MAX_VOLUME_PER_ATOM}"
        )


def check_answer(energy: float, forces: FloatArray, lowest: float) -> None:
    """Raises UnphysicalAnswerError. energy: eV/atom, at least ``lowest``. forces: eV/Å."""
    if not lowest <= energy <= MAX_ENERGY_PER_ATOM:
        raise UnphysicalAnswerError(
            f"energy {energy:.4g} eV/atom; allowed {lowest:g} to {MAX_ENERGY_PER_ATOM}"
        )
    force = float(np.abs(forces).max())
    if not force <= MAX_FORCE:
        raise UnphysicalAnswerError(f"force {force:.4g} eV/Å; allowed up to {MAX_FORCE:g}")


def lowest_energy(name: str) -> float:
    """The lowest energy (eV/atom) that a potential's scale has; -inf where none is known.

    Raw r2SCAN totals lie far lower (Au: -41), and a calculator by path has a zero of its own.
    """
    return -np.inf if LABELS[name] in {"R2SCAN", "declared"} else MIN_ENERGY_PER_ATOM


def _guard(calculator: Calculator, lowest: float) -> Calculator:
    """Make ``calculator`` check cell, answer and wall time at each evaluation, so a runaway stops early.

    lowest: eV/atom below which no answer is physical.
    """
    evaluate = calculator.calculate

    @functools.wraps(evaluate)
    def guarded(atoms: Atoms | None = None, *args: Any, **kwargs: Any) -> None:
        if _deadline is not None and time.monotonic() > _deadline:
            raise WallTimeError("wall time of one validation used up")
        target = calculator.atoms if atoms is None else atoms
        check_volume(target.get_volume() / len(target))
        evaluate(atoms, *args, **kwargs)
        energy = float(calculator.results["energy"]) / len(target)
        check_answer(energy, calculator.results["forces"], lowest)

    calculator.calculate = guarded
    return calculator


def where(device: str) -> str:
    """``cpu`` or ``cuda``: the device that a network runs on; ``auto`` is a GPU where there is one.

    device: as the campaign file has it. Raises ConfigError for a GPU that is not there.
    """
    import torch

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ConfigError("oracle.device: cuda: PyTorch finds no GPU here; allowed: auto, cpu")
    return "cuda" if there and device != "cpu" else "cpu"


def _sevennet(name: str, device: str) -> Calculator:
    """With the convolutions fused on a processor; on a GPU as SevenNet has them."""
    from sevenn.calculator import SevenNetCalculator

    checkpoint, modality = _MODALITIES.get(name, (name, None))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No tensor product accelerator")  # fuse is one
        calculator = SevenNetCalculator(checkpoint, device=device, modal=modality)
    if device == "cpu":
        from niobe.flows.oracles.kernels.fused import fuse

        fuse(calculator.model)
    return calculator


def _chgnet(name: str, device: str) -> Calculator:
    from chgnet.model import CHGNet

    model = CHGNet.load(model_name=CHGNETS[name], use_device=device, verbose=False)
    if device == "cpu":
        from niobe.flows.oracles.kernels.lean import LeanCHGNet

        return LeanCHGNet(model)
    from chgnet.model.dynamics import CHGNetCalculator

    return CHGNetCalculator(model, use_device=device)


def _load(name: str, device: str) -> Calculator:
    if name.startswith("7net"):
        return _sevennet(name, where(device))
    if name in CHGNETS:
        return _chgnet(name, where(device))
    if name == "emt":
        from ase.calculators.emt import EMT

        return EMT()
    from ase.calculators.lj import LennardJones

    return LennardJones(epsilon=0.4, sigma=2.2, rc=6.0, smooth=True)


def potential(name: str, device: str = "auto", calculator: str = "") -> Calculator:
    """The guarded ASE calculator of that name, loaded once a process.

    name: of an oracle. device: ``auto``, ``cpu`` or ``cuda``. calculator: with ``ase``, the line of
    ``calculators.asked``. Raises ConfigError for an unknown name, and for what cannot be loaded.
    """
    if name != "ase" and name not in POTENTIALS:
        raise ConfigError(f"oracle.name: {name!r} is not a potential; allowed: {', '.join(POTENTIALS)}")
    return _loaded(name, device, calculator)


@functools.cache
def _loaded(name: str, device: str, calculator: str) -> Calculator:
    if name == "ase":
        from niobe.flows.oracles.calculators import make

        return _guard(make(calculator, where(device)), lowest_energy(name))
    return _guard(_load(name, device), lowest_energy(name))


@functools.cache
def weights_digest(name: str) -> str:
    """First 12 digits of the SHA-256 of the weight file, or of the name and version where there is none."""
    if name in _SEVENNET:
        weights = distribution("sevenn").locate_file(f"sevenn/pretrained_potentials/{_SEVENNET[name]}")
        return hashlib.sha256(Path(str(weights)).read_bytes()).hexdigest()[:12]
    if name in CHGNETS:
        folder = distribution("chgnet").locate_file(f"chgnet/pretrained/{_CHGNET_FILES[name]}")
        digest = hashlib.sha256()
        for path in sorted(Path(str(folder)).rglob("*.tar")):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]
    import ase

    return hashlib.sha256(f"{name} ase {ase.__version__}".encode()).hexdigest()[:12]
