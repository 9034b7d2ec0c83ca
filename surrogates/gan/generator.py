"""CrystalGAN: trains on structures, draws new ones inside a request, keeps its checkpoint."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.config.atomic import write_whole
from niobe.config.outside.json_text import read_object
from niobe.surrogates.gan.closeness import SeenCrystals, closest_contacts
from niobe.surrogates.gan.conditions import MAX_ROLES, by_role, condition, without_composition
from niobe.surrogates.gan.point_cloud import PointCloud
from niobe.surrogates.gan.representation import BoolArray, Crystal, IntArray, Representation
from niobe.surrogates.gan.symmetric import SymmetricCrystals
from niobe.surrogates.identity import UNREADABLE, in_a_line, origin_of
from niobe.surrogates.protocols import FloatArray, Sample, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from niobe.surrogates.gan.networks import Networks
    from niobe.surrogates.gan.sampling import Draw
    from niobe.surrogates.gan.training import Examples, Report

VERSION = 3
_BATCH = 128
_MIN_STEPS = 40
_ANY_SIZE = 10**6
_DRAWS_PER_SAMPLE = 40
_STABLE_WEIGHT = 0.5
_OVERLAP, _CLOSE, _ROUNDOFF = 0.55, 0.75, 1e-6
"""Closest contacts over the sum of two radii: below the first a geometry is rejected, below the second its
cell is widened."""
_REPRESENTATIONS: dict[str, Representation] = {
    "symmetric": SymmetricCrystals(),
    "point_cloud": PointCloud(),
}


class NothingToLearnError(ValueError):
    """A corpus holds no structure that the GAN could write."""


class CrystalGAN:
    """A conditional Wasserstein GAN over crystals. Implements TrainableGenerator.

    representation: ``symmetric`` (space group and Wyckoff sites), or ``point_cloud`` as its control.
    """

    def __init__(self, *, epochs: int, representation: str = "symmetric") -> None:
        self._epochs = epochs
        self._representation = _REPRESENTATIONS[representation]
        self.name = "gan" if representation == "symmetric" else representation
        self._networks: Networks | None = None
        self._history: list[dict[str, Any]] = []

    @property
    def critic_gap(self) -> float:
        """How far apart the critic held real and made crystals when training ended. NaN before training."""
        return float(self._history[-1]["critic_gap"]) if self._history else float("nan")

    @property
    def learned_from(self) -> int:
        """How many structures the last training could write and so learned from; 0 before training."""
        return int(self._history[-1]["examples"]) if self._history else 0

    def fit(
        self,
        structures: Sequence[Structure],
        weights: FloatArray,
        *,
        seed: int,
        stable: BoolArray | None = None,
        report: Report = lambda done, total: None,
    ) -> None:
        """Train, or go on training, on structures; see TrainableGenerator.

        ``report`` is told the finished steps and their total. Raises ValueError where no structure can be
        written in this representation.
        weights: (n,), non-negative. stable: (n,), which show what a stable crystal is. seed: of weights,
        draws and noise.
        """
        import torch

        from niobe.surrogates.gan.networks import Networks
        from niobe.surrogates.gan.training import Trainer

        targets = weights >= _STABLE_WEIGHT if stable is None else stable
        examples = _examples(self._representation, structures, weights, targets)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            networks = self._networks or Networks.fresh(self._representation)
            n = len(examples.weights)
            batch = min(_BATCH, n)
            steps = max(_MIN_STEPS, self._epochs * n // batch)
            networks.skeleton.train()
            trained = self._networks is not None
            trainer = Trainer(networks.skeleton, networks.geometry, networks.critic, trained=trained)
            found = trainer.run(examples, steps=steps, batch=batch, report=report)
            networks.skeleton.eval()
        self._networks = networks
        origin = origin_of(structures, {"weights": weights}, seed)
        self._history.append({**origin, "examples": n, "steps": steps, **found})

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n structures inside the request, none much like another or a known one; others are counted.

        The GAN chooses the composition; as far as its choices stray from the fractions asked for, it is told
        compositions drawn among those inside. Of the geometries drawn for a skeleton the one with the widest
        closest contact is kept, and its cell widened to 0.75 of the sum of the radii there. Raises ValueError
        before training, for more than 5 elements, and for fractions that no composition has.
        seed: of every draw.
        """
        from niobe.surrogates.gan.sampling import Sampler

        if self._networks is None:
            raise ValueError("the GAN has not been trained")
        samples: list[Sample] = []
        rejected: Counter[str] = Counter()
        sampler, seen = Sampler(self._networks, self._representation, request, seed), SeenCrystals()
        for structure in request.known:
            seen.add(Crystal.of(structure))
        for number, draw in enumerate(sampler.draws(n * _DRAWS_PER_SAMPLE)):
            if len(samples) == n:
                break
            crystal, reason = self._judge(draw, request, seen)
            if draw.geometries is not None:
                sampler.note(strayed=reason == "composition")
            if crystal is None:
                rejected[reason] += 1
            else:
                samples.append(Sample(crystal.structure(), {"latent_seed": seed, "draw": number}))
        return SampleBatch(tuple(samples), dict(rejected))

    def _judge(self, draw: Draw, request: SampleRequest, seen: SeenCrystals) -> tuple[Crystal | None, str]:
        """The crystal, or why the draw is rejected."""
        if draw.geometries is None:
            return None, "repeated"
        found = self._representation.decode(draw.tokens, draw.geometries, draw.elements)
        reason = _why_outside(found[0], request) if found else "undecodable"
        if reason:
            return None, reason
        closest = closest_contacts(found)
        crystal, widest = found[int(closest.argmax())], float(closest.max())
        if widest < _OVERLAP:
            return None, "overlap"
        if widest < _CLOSE:
            crystal = replace(crystal, lattice=crystal.lattice * ((_CLOSE + _ROUNDOFF) / widest))
        return (crystal, "") if seen.add(crystal) else (None, "repeated")

    def save(self, folder: Path) -> None:
        """Weights as safetensors, settings and training history as JSON. ValueError before training."""
        from safetensors.torch import save_model

        if self._networks is None:
            raise ValueError("the GAN has not been trained")
        for name, network in self._networks.named().items():
            save_model(network, str(folder / f"{name}.safetensors"))
        settings = {
            "version": VERSION,
            "representation": self._representation.name,
            "epochs": self._epochs,
            "history": self._history,
        }
        write_whole(folder / "gan.json", json.dumps(settings, indent=1))

    @classmethod
    def load(cls, folder: Path) -> CrystalGAN:
        """The GAN a checkpoint folder holds. Raises ValueError for none, or one of another version."""
        try:
            settings = read_object(folder / "gan.json")
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder}: no GAN checkpoint ({error})") from error
        if settings.get("version") != VERSION:
            found = settings.get("version", 1)
            raise ValueError(f"{folder}: a GAN checkpoint of version {found}; this Niobe reads {VERSION}")
        try:
            return cls._restored(settings, folder)
        except UNREADABLE as error:
            raise ValueError(f"{folder}: no whole GAN checkpoint ({in_a_line(error)})") from error

    @classmethod
    def _restored(cls, settings: dict[str, Any], folder: Path) -> CrystalGAN:
        from safetensors.torch import load_model

        from niobe.surrogates.gan.networks import Networks

        gan = cls(epochs=settings["epochs"], representation=settings["representation"])
        gan._history = settings["history"]
        gan._networks = Networks.fresh(gan._representation)
        for name, network in gan._networks.named().items():
            load_model(network, str(folder / f"{name}.safetensors"))
            network.eval()
        _ = gan.critic_gap, gan.learned_from  # a history that holds them
        return gan


def _examples(
    kind: Representation, structures: Sequence[Structure], weights: FloatArray, stable: BoolArray
) -> Examples:
    """Structures as tensors. Raises NothingToLearnError where none can be written."""
    import torch

    from niobe.surrogates.gan.training import Examples

    told = zip(structures, weights, stable, strict=True)
    rows = [_example(kind, one, float(weight), bool(good)) for one, weight, good in told if weight > 0]
    found = [row for row in rows if row is not None]
    if not found:
        raise NothingToLearnError(f"no structure to train on fits the {kind.name} representation")
    tokens, geometry, conditions, kept, roles = (np.array(column) for column in zip(*found, strict=True))
    allowed = np.empty((len(tokens), kind.length, kind.vocabulary), dtype=bool)
    for count in np.unique(roles):
        for step in range(kind.length):
            rows_of = roles == count
            allowed[rows_of, step] = kind.allowed(tokens[rows_of], step, int(count), _ANY_SIZE)
    numbers = (geometry, kind.features(tokens), kind.free(tokens))
    given = (conditions, without_composition(conditions), kept)
    geometry_, features, free = (torch.tensor(part, dtype=torch.float32) for part in numbers)
    condition_, opened, weights_ = (torch.tensor(part, dtype=torch.float32) for part in given)
    return Examples(
        tokens=torch.tensor(tokens),
        geometry=geometry_,
        features=features,
        free=free,
        allowed=torch.tensor(allowed),
        condition=condition_,
        opened=opened,
        weights=weights_,
    )


def _example(
    kind: Representation, structure: Structure, weight: float, stable: bool
) -> tuple[IntArray, FloatArray, FloatArray, float, int] | None:
    elements = by_role(site.specie.symbol for site in structure)
    encoded = kind.encode(structure, elements) if len(elements) <= MAX_ROLES else None
    if encoded is None:
        return None
    fractions = [structure.composition.get_atomic_fraction(symbol) for symbol in elements]
    given = condition(elements, stable=stable, fractions=fractions)
    return *encoded, given, weight, len(elements)


def _why_outside(crystal: Crystal, request: SampleRequest) -> str:
    if not request.allows(Counter(crystal.symbols)):
        return "composition"
    return "" if request.min_atoms <= len(crystal.symbols) <= request.max_atoms else "size"
