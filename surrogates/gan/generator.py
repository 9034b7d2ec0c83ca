"""CrystalGAN: trains on structures, draws new ones inside a request, keeps its checkpoint."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from surrogates.gan.vectors import condition, from_row, to_row
from surrogates.gan.wyckoff import SymmetricCrystal, decode, encode
from surrogates.protocols import FloatArray, Sample, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from surrogates.gan.networks import CriticNet, GeneratorNet

_BATCH = 64
_MIN_STEPS = 200
_CHUNK = 256
_DRAWS_PER_SAMPLE = 30
_MIN_DISTANCE = 0.55
_STABLE_WEIGHT = 0.5


class CrystalGAN:
    """A conditional Wasserstein GAN over symmetric crystals. Implements TrainableGenerator."""

    name = "gan"

    def __init__(self, *, epochs: int) -> None:
        self._epochs = epochs
        self._networks: tuple[GeneratorNet, CriticNet] | None = None
        self._history: list[dict[str, float]] = []

    def fit(self, structures: Sequence[Structure], weights: FloatArray, *, seed: int) -> None:
        """Train, or go on training, on structures; every order of the elements is one example each.

        Raises ValueError where no structure can be written in symmetric form.
        """
        import torch

        from surrogates.gan.networks import CriticNet, GeneratorNet, Trainer

        examples = _examples(structures, weights)
        if not examples:
            raise ValueError("no structure to train on has up to 6 Wyckoff orbits and 5 elements")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            if self._networks is None:
                self._networks = (GeneratorNet(), CriticNet())
            rows, conditions, shares = (
                torch.tensor(np.array(column), dtype=torch.float32) for column in zip(*examples, strict=True)
            )
            steps = max(_MIN_STEPS, self._epochs * len(examples) // _BATCH)
            gap = Trainer(*self._networks).run(rows, conditions, shares, steps=steps, batch=_BATCH)
        self._history.append({"examples": len(examples), "steps": steps, "critic_gap": gap, "seed": seed})

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n structures inside the request, no two of the same symmetric form; the others are counted.

        Raises ValueError before training, or for more than 5 elements.
        """
        samples: list[Sample] = []
        rejected: Counter[str] = Counter()
        seen: set[tuple[object, ...]] = set()
        for draw, (crystal, elements) in enumerate(self._draws(request, n * _DRAWS_PER_SAMPLE, seed)):
            if len(samples) == n:
                break
            structure, reason = _judge(crystal, elements, request, seen)
            if structure is None:
                rejected[reason] += 1
            else:
                samples.append(Sample(structure, {"latent_seed": seed, "draw": draw}))
        return SampleBatch(tuple(samples), dict(rejected))

    def _draws(self, request: SampleRequest, most: int, seed: int) -> Any:
        """Crystals as the network draws them, each with the order of elements it was drawn for."""
        import torch

        from surrogates.gan.networks import LATENT

        if self._networks is None:
            raise ValueError("the GAN has not been trained")
        orders = [tuple(order) for order in itertools.permutations(request.elements)]
        noise = torch.Generator().manual_seed(seed)
        for start in range(0, most, _CHUNK):
            chosen = [orders[(start + i) % len(orders)] for i in range(_CHUNK)]
            stable = request.target == "stable"
            given = torch.tensor(
                np.array([condition(order, stable) for order in chosen]), dtype=torch.float32
            )
            latent = torch.randn(_CHUNK, LATENT, generator=noise)
            with torch.no_grad():
                rows = self._networks[0](latent, given, noise).double().numpy()
            for row, order in zip(rows, chosen, strict=True):
                yield from_row(row), order

    def save(self, folder: Path) -> None:
        """Weights as safetensors, settings and training history as JSON."""
        from safetensors.torch import save_model

        if self._networks is None:
            raise ValueError("the GAN has not been trained")
        for name, network in zip(("generator", "critic"), self._networks, strict=True):
            save_model(network, str(folder / f"{name}.safetensors"))
        settings = {"epochs": self._epochs, "history": self._history}
        (folder / "gan.json").write_text(json.dumps(settings, indent=1))

    @classmethod
    def load(cls, folder: Path) -> CrystalGAN:
        """The GAN a checkpoint folder holds. Raises ValueError where it holds none."""
        from safetensors.torch import load_model

        from surrogates.gan.networks import CriticNet, GeneratorNet

        try:
            settings = json.loads((folder / "gan.json").read_text())
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder}: no GAN checkpoint ({error})") from error
        gan = cls(epochs=settings["epochs"])
        gan._history = settings["history"]
        gan._networks = (GeneratorNet(), CriticNet())
        for name, network in zip(("generator", "critic"), gan._networks, strict=True):
            load_model(network, str(folder / f"{name}.safetensors"))
        return gan


def _examples(
    structures: Sequence[Structure], weights: FloatArray
) -> list[tuple[FloatArray, FloatArray, float]]:
    examples = []
    for structure, weight in zip(structures, weights, strict=True):
        elements = sorted({site.specie.symbol for site in structure})
        if len(elements) > 5 or weight <= 0:
            continue
        for order in itertools.islice(itertools.permutations(elements), 6):
            crystal = encode(structure, tuple(order))
            if crystal is not None:
                stable = bool(weight >= _STABLE_WEIGHT)
                examples.append((to_row(crystal), condition(order, stable), float(weight)))
    return examples


def _judge(
    crystal: SymmetricCrystal | None,
    elements: tuple[str, ...],
    request: SampleRequest,
    seen: set[tuple[object, ...]],
) -> tuple[Structure | None, str]:
    """The structure, or why it is thrown away."""
    if crystal is None:
        return None, "empty"
    roles = {orbit.role for orbit in crystal.orbits}
    if request.all_elements and len(roles) != len(elements):
        return None, "composition"
    structure = decode(crystal, elements)
    if structure is None:
        return None, "undecodable"
    if not request.allows(structure.composition.get_el_amt_dict()):
        return None, "composition"
    if not request.min_atoms <= len(structure) <= request.max_atoms:
        return None, "size"
    if _overlaps(structure):
        return None, "overlap"
    form = _form(crystal, elements)
    if form in seen:
        return None, "repeated"
    seen.add(form)
    return structure, ""


def _overlaps(structure: Structure) -> bool:
    """Two sites closer than 0.55 × the sum of their radii, or a lattice vector that short."""
    radii = np.array([float(site.specie.atomic_radius or 1.5) for site in structure])
    distances = structure.distance_matrix.copy()
    np.fill_diagonal(distances, min(structure.lattice.abc))
    return bool((distances < _MIN_DISTANCE * (radii[:, None] + radii[None, :])).any())


def _form(crystal: SymmetricCrystal, elements: tuple[str, ...]) -> tuple[object, ...]:
    """Equal for crystals that differ by less than about 0.1 in free coordinates."""
    orbits = sorted(
        (orbit.letter, elements[orbit.role], tuple(round(x, 1) for x in orbit.free))
        for orbit in crystal.orbits
    )
    return crystal.space_group, tuple(orbits)
