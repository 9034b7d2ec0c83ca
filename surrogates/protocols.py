"""The narrow seams of the learned part: what a surrogate and a generator must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Prediction:
    """Calibrated prediction of one target for n structures.

    mean, std: shape (n,), in the target's own unit (eV/atom for energies, a probability for classes).
    in_domain: shape (n,), False where the surrogate abstains; mean and std are then NaN.
    """

    mean: FloatArray
    std: FloatArray
    in_domain: NDArray[np.bool_]


class Surrogate(Protocol):
    """Predicts targets of structures, with uncertainty.

    Targets by name: ``formation_energy_per_atom`` (eV/atom), ``e_above_hull`` (eV/atom), ``log_volume``
    (log of Å³/atom), ``p_stable`` and ``p_failure`` (labels 0 or 1, predicted as probabilities).
    """

    def fit(self, structures: Sequence[Structure], targets: Mapping[str, FloatArray], *, seed: int) -> None:
        """Train on n structures. Each target has shape (n,); NaN marks a label that is not known.

        Raises ValueError where a target has no known label or the wrong length.
        targets: labels by name. seed: of everything random.
        """

    def predict(self, structures: Sequence[Structure]) -> dict[str, Prediction]:
        """Predict every fitted target, each of shape (len(structures),)."""

    def features(self, structures: Sequence[Structure]) -> FloatArray:
        """Shape (n, d): the representation that acquisition measures distance in."""

    def save(self, folder: Path) -> None:
        """Write a checkpoint (safetensors and JSON) into ``folder``."""


class SurrogateKind(Protocol):
    """What is registered under ``niobe.surrogates``: a class whose objects are surrogates.

    Its checkpoints are a ``surrogate.json`` whose ``model`` is the registered name, and what else it needs.
    """

    def make(
        self, name: str, *, members: int, epochs: int, options: Mapping[str, Any], work: Path | None
    ) -> Surrogate:
        """An untrained one. options: of its own; work: where an interrupted training goes on, if anywhere.

        Raises ValueError for an option that it does not have.
        name: under which it is registered. members: of an ensemble. epochs: of training.
        """

    def load(self, folder: Path) -> Surrogate:
        """The one that a checkpoint folder holds. Raises ValueError where it holds none."""


def refuse_options(name: str, options: Mapping[str, Any]) -> None:
    """Raises ValueError where a surrogate that has no options is given some."""
    if options:
        raise ValueError(f"option {min(options)!r} is unknown; {name} has none")


@dataclass(frozen=True)
class SampleRequest:
    """What is asked of a generator; every sample must lie inside.

    elements: symbols, all samples are made of these only. A sample may leave an element out unless
    ``all_elements`` is set. min_atoms, max_atoms: sites in the primitive cell. fractions: lowest and highest
    atomic fraction of an element.
    target: "stable" asks a conditional generator for low e_above_hull and phonon-stable structures.
    known: primitive cells of what is there already, for a generator that can draw something else.
    """

    elements: tuple[str, ...]
    max_atoms: int
    min_atoms: int = 2
    all_elements: bool = True
    target: str = "stable"
    fractions: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    known: Sequence[Structure] = ()

    def allows(self, amounts: Mapping[str, float]) -> bool:
        """Whether atoms in these amounts (by symbol) lie inside the elements and fractions asked for."""
        present = {symbol for symbol, amount in amounts.items() if amount}
        if not present <= set(self.elements) or (self.all_elements and present != set(self.elements)):
            return False
        total = sum(amounts.values())
        shares = {symbol: amounts.get(symbol, 0) / total for symbol in self.fractions}
        return all(
            low - _ROUNDING <= shares[symbol] <= high + _ROUNDING
            for symbol, (low, high) in self.fractions.items()
        )


@dataclass(frozen=True)
class Sample:
    """One generated structure and where it came from (latent seed, prototype label, parent id)."""

    structure: Structure
    origin: Mapping[str, str | int | float]


@dataclass(frozen=True)
class SampleBatch:
    """Samples in drawing order, and how many draws were rejected, by reason."""

    samples: tuple[Sample, ...]
    rejected: Mapping[str, int]


class Generator(Protocol):
    """Draws candidate structures; the same request, n and seed give the same batch."""

    name: str

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n samples inside the request. Raises ValueError for a request it can never meet.

        request: what every sample lies inside. seed: of every draw.
        """


class TrainableGenerator(Generator, Protocol):
    """A generator that learns from structures, the better ones weighted up."""

    def fit(
        self,
        structures: Sequence[Structure],
        weights: FloatArray,
        *,
        seed: int,
        stable: NDArray[np.bool_] | None = None,
    ) -> None:
        """Train, or fine-tune when already trained, on n structures.

        weights: shape (n,), non-negative. stable: shape (n,), which of them show what a stable crystal is;
        without it those of weight 1/2 and above.
        seed: of everything random.
        """

    def save(self, folder: Path) -> None:
        """Write a checkpoint (safetensors and JSON) into ``folder``."""
