"""What another package brings: an oracle, a generator, a surrogate and a property, registered by its entry
points; an ASE calculator and a function of a crystal, named by their paths."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from pymatgen.core import Composition, Element, Structure

from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import Answer
from niobe.flows.steps.generators import RoundContext
from niobe.loop.generators import RandomSymmetric
from niobe.loop.goals.properties import Property
from niobe.surrogates.protocols import FloatArray, Prediction, SampleBatch, SampleRequest


class Morse(Calculator):
    """A Morse pair potential with the depth (eV), width (1/Å) and length (Å) that a JSON file holds.

    weights: path of the file. cutoff: Å. The energy is zero and smooth at the cutoff.
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, weights: str, cutoff: float = 6.0) -> None:
        super().__init__()
        self._model = json.loads(Path(weights).read_text())
        self._cutoff = cutoff

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        one, distances, vectors = neighbor_list("idD", self.atoms, self._cutoff)
        energies, slopes = self._pair(distances)
        pulls = (slopes / distances)[:, None] * vectors
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, one, pulls)
        virial = 0.5 * pulls.T @ vectors / self.atoms.get_volume()
        energy = 0.5 * float(energies.sum())
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        self.results["stress"] = virial[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]

    def _pair(self, r: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Energy (eV) of pairs at distances r (Å) and its derivative, both zero at the cutoff."""
        depth, width, length = (self._model[key] for key in ("depth", "width", "length"))
        decay = np.exp(-width * (r - length))
        energy, slope = depth * (decay**2 - 2 * decay), 2 * depth * width * (decay - decay**2)
        x = 1 - (r / self._cutoff) ** 2
        return energy * x**2, slope * x**2 - energy * 4 * x * r / self._cutoff**2


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


def gold(composition: Composition) -> float:
    """Atomic fraction of gold."""
    return float(composition.get_atomic_fraction("Au"))


GOLD = Property("1", "counted by acme", "composition", gold)


def electrons(structure: Structure) -> float:
    """Electrons per Å³."""
    return float(sum(structure.atomic_numbers) / structure.volume)


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
