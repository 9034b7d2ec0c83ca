"""What another package brings: an oracle, a generator and a surrogate, registered by its entry points."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Element, Structure

from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import Answer
from niobe.flows.steps.generators import RoundContext
from niobe.loop.generators import RandomSymmetric
from niobe.surrogates.protocols import FloatArray, Prediction, SampleBatch, SampleRequest


@dataclass(frozen=True)
class Packing:
    """A crystal has a volume by its elements; mixing lowers its energy, eV; forces vanish."""

    spec: OracleSpec
    fingerprint: str = "acme packing 1"
    corrected: bool = False

    def relax(self, structure: Structure, folder: Path) -> Answer:
        relaxed = structure.copy()
        relaxed.scale_lattice(sum(Element(site.specie.symbol).Z ** 0.5 * 2.5 for site in structure))
        return self._answer(relaxed)

    def static(self, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        return [self._answer(structure) for structure in structures]

    def within(self, seconds: float) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    @property
    def mixing(self) -> float:
        """What mixing gains, eV/atom."""
        return 0.1

    def _answer(self, structure: Structure) -> Answer:
        mixed = len(structure.composition) - 1
        energy = -self.mixing * mixed * len(structure) + 0.001 * structure.volume
        return Answer(structure, energy, np.zeros((len(structure), 3)), steps=1)


@dataclass(frozen=True)
class Doubtful(Packing):
    """Elements that mix lose by it: no alloy lies near its hull."""

    fingerprint: str = "acme doubtful 1"

    @property
    def mixing(self) -> float:
        return -0.5


class Shifted:
    """Random crystals, named by this package."""

    name = "acme-random"

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        return RandomSymmetric().sample(request, n, seed=seed)


def generator(context: RoundContext) -> Shifted:
    """Made for each round."""
    return Shifted()


class Mean:
    """Predicts the mean of its labels, whatever the crystal."""

    def __init__(self, means: Mapping[str, float]) -> None:
        self._means = dict(means)

    @classmethod
    def make(
        cls, name: str, *, members: int, epochs: int, options: Mapping[str, Any], work: Path | None
    ) -> Mean:
        return cls({})

    @classmethod
    def load(cls, folder: Path) -> Mean:
        return cls(json.loads((folder / "surrogate.json").read_text())["means"])

    def fit(self, structures: Sequence[Structure], targets: Mapping[str, FloatArray], *, seed: int) -> None:
        known = {name: labels[np.isfinite(labels)] for name, labels in targets.items()}
        self._means = {name: float(labels.mean()) for name, labels in known.items() if len(labels)}

    def predict(self, structures: Sequence[Structure]) -> dict[str, Prediction]:
        n = len(structures)
        return {
            name: Prediction(np.full(n, mean), np.full(n, 0.1), np.ones(n, bool))
            for name, mean in self._means.items()
        }

    def features(self, structures: Sequence[Structure]) -> FloatArray:
        return np.array([[structure.volume / len(structure), len(structure)] for structure in structures])

    def save(self, folder: Path) -> None:
        content = {"model": "acme-mean", "means": self._means}
        (folder / "surrogate.json").write_text(json.dumps(content))
