"""CrystalGAN: trains on structures, draws new ones inside a request, keeps its checkpoint."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from surrogates.gan.closeness import Distances, SeenCrystals
from surrogates.gan.conditions import MAX_ROLES, by_role, condition, without_composition
from surrogates.gan.point_cloud import PointCloud
from surrogates.gan.representation import Crystal, IntArray, Representation
from surrogates.gan.symmetric import SymmetricCrystals
from surrogates.protocols import FloatArray, Sample, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from surrogates.gan.networks import Critic, Geometry, Skeleton
    from surrogates.gan.training import Examples, Report

VERSION = 2
_BATCH = 128
_MIN_STEPS = 40
_ANY_SIZE = 10**6
_CHUNK = 256
_DRAWS_PER_SAMPLE = 40
_LATENTS = 8
_STABLE_WEIGHT = 0.5
_REPRESENTATIONS: dict[str, Representation] = {
    "symmetric": SymmetricCrystals(),
    "point_cloud": PointCloud(),
}


@dataclass
class _Networks:
    skeleton: Skeleton
    geometry: Geometry
    critic: Critic

    @classmethod
    def fresh(cls, representation: Representation) -> _Networks:
        from surrogates.gan.networks import Critic, Geometry, Skeleton

        return cls(Skeleton(representation), Geometry(representation), Critic(representation))

    def named(self) -> dict[str, Any]:
        return {"skeleton": self.skeleton, "geometry": self.geometry, "critic": self.critic}


@dataclass(frozen=True)
class _Draw:
    """One skeleton and the geometries drawn for it, the critic's favourite first."""

    tokens: IntArray
    geometries: FloatArray
    elements: tuple[str, ...]


class CrystalGAN:
    """A conditional Wasserstein GAN over crystals. Implements TrainableGenerator.

    representation: ``symmetric`` (space group and Wyckoff sites), or ``point_cloud`` as its control.
    """

    def __init__(self, *, epochs: int, representation: str = "symmetric") -> None:
        self._epochs = epochs
        self._representation = _REPRESENTATIONS[representation]
        self.name = "gan" if representation == "symmetric" else representation
        self._networks: _Networks | None = None
        self._history: list[dict[str, float]] = []

    @property
    def critic_gap(self) -> float:
        """How far apart the critic held real and made crystals when training ended. NaN before training."""
        return self._history[-1]["critic_gap"] if self._history else float("nan")

    def fit(
        self,
        structures: Sequence[Structure],
        weights: FloatArray,
        *,
        seed: int,
        report: Report = lambda done, total: None,
    ) -> None:
        """Train, or go on training, on structures; those of weight 1/2 and above teach what stable means.

        ``report`` is told the finished steps and their total. Raises ValueError where no structure can be
        written in this representation.
        """
        import torch

        from surrogates.gan.training import Trainer

        examples = _examples(self._representation, structures, weights)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            networks = self._networks or _Networks.fresh(self._representation)
            n = len(examples.weights)
            batch = min(_BATCH, n)
            steps = max(_MIN_STEPS, self._epochs * n // batch)
            networks.skeleton.train()
            trainer = Trainer(networks.skeleton, networks.geometry, networks.critic)
            found = trainer.run(examples, steps=steps, batch=batch, report=report)
            networks.skeleton.eval()
        self._networks = networks
        self._history.append({"examples": n, "steps": steps, "seed": seed, **found})

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n structures inside the request, no two much alike; the others are counted.

        Of the geometries drawn for a skeleton the critic's favourite that has no overlap is kept. Raises
        ValueError before training, or for more than 5 elements.
        """
        samples: list[Sample] = []
        rejected: Counter[str] = Counter()
        forms: set[bytes] = set()
        seen = SeenCrystals()
        for number, draw in enumerate(self._draws(request, n * _DRAWS_PER_SAMPLE, seed)):
            if len(samples) == n:
                break
            form = self._representation.form(draw.tokens, draw.geometries[0])
            crystal, reason = (None, "repeated") if form in forms else self._judge(draw, request, seen)
            if crystal is None:
                rejected[reason] += 1
            else:
                forms.add(form)
                samples.append(Sample(crystal.structure(), {"latent_seed": seed, "draw": number}))
        return SampleBatch(tuple(samples), dict(rejected))

    def _draws(self, request: SampleRequest, most: int, seed: int) -> Iterator[_Draw]:
        import torch

        if self._networks is None:
            raise ValueError("the GAN has not been trained")
        if len(request.elements) > MAX_ROLES:
            raise ValueError(f"{len(request.elements)} elements; the GAN takes up to {MAX_ROLES}")
        noise = torch.Generator().manual_seed(seed)
        choices = _element_choices(request)
        for start in range(0, most, _CHUNK):
            elements = choices[start // _CHUNK % len(choices)]
            with torch.no_grad():
                tokens, geometries = self._draw_chunk(self._networks, elements, request, noise)
            for row, found in zip(tokens, geometries, strict=True):
                yield _Draw(row, found, elements)

    def _draw_chunk(
        self, networks: _Networks, elements: tuple[str, ...], request: SampleRequest, noise: Any
    ) -> tuple[IntArray, FloatArray]:
        """Skeletons (c, length), and for each its geometries (c, _LATENTS, width) by falling score."""
        import torch

        from surrogates.gan.networks import LATENT

        kind, roles = self._representation, len(elements)
        row = condition(elements, stable=request.target == "stable", fractions=_asked(elements, request))
        given = torch.tensor(row, dtype=torch.float32).repeat(_CHUNK, 1)

        def allowed(tokens: torch.Tensor, step: int) -> torch.Tensor:
            return torch.from_numpy(kind.allowed(tokens.numpy(), step, roles, request.max_atoms))

        drawn = networks.skeleton.draw(given, allowed, noise)
        tokens = drawn.numpy()
        latent = torch.randn(_CHUNK * _LATENTS, LATENT, generator=noise)
        first, given = drawn[:, 0].repeat_interleave(_LATENTS), given.repeat(_LATENTS, 1)
        features, free = (
            torch.tensor(part, dtype=torch.float32).repeat_interleave(_LATENTS, dim=0)
            for part in (kind.features(tokens), kind.free(tokens))
        )
        geometry = networks.geometry(latent, first, features, given, free)
        scores = networks.critic(geometry, first, features, given).reshape(_CHUNK, _LATENTS)
        order = scores.argsort(dim=1, descending=True)[..., None]
        ranked = geometry.reshape(_CHUNK, _LATENTS, -1).take_along_dim(order, dim=1)
        return tokens, ranked.double().numpy()

    def _judge(self, draw: _Draw, request: SampleRequest, seen: SeenCrystals) -> tuple[Crystal | None, str]:
        """The crystal, or why the draw is thrown away."""
        reason = "undecodable"
        for geometry in draw.geometries:
            crystal = self._representation.decode(draw.tokens, geometry, draw.elements)
            if crystal is None:
                continue
            reason = _why_outside(crystal, request)
            if reason:
                return None, reason
            distances = Distances(crystal)
            if not distances.overlap():
                return (crystal, "") if seen.add(crystal, distances) else (None, "repeated")
            reason = "overlap"
        return None, reason

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
        (folder / "gan.json").write_text(json.dumps(settings, indent=1))

    @classmethod
    def load(cls, folder: Path) -> CrystalGAN:
        """The GAN a checkpoint folder holds. Raises ValueError for none, or one of another version."""
        from safetensors.torch import load_model

        try:
            settings = json.loads((folder / "gan.json").read_text())
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder}: no GAN checkpoint ({error})") from error
        if settings.get("version") != VERSION:
            found = settings.get("version", 1)
            raise ValueError(f"{folder}: a GAN checkpoint of version {found}; this Niobe reads {VERSION}")
        gan = cls(epochs=settings["epochs"], representation=settings["representation"])
        gan._history = settings["history"]
        gan._networks = _Networks.fresh(gan._representation)
        for name, network in gan._networks.named().items():
            load_model(network, str(folder / f"{name}.safetensors"))
            network.eval()
        return gan


def _examples(kind: Representation, structures: Sequence[Structure], weights: FloatArray) -> Examples:
    """Structures as tensors. Raises ValueError where none can be written."""
    import torch

    from surrogates.gan.training import Examples

    rows = [_example(kind, s, float(w)) for s, w in zip(structures, weights, strict=True) if w > 0]
    found = [row for row in rows if row is not None]
    if not found:
        raise ValueError(f"no structure to train on fits the {kind.name} representation")
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
    kind: Representation, structure: Structure, weight: float
) -> tuple[IntArray, FloatArray, FloatArray, float, int] | None:
    elements = by_role(site.specie.symbol for site in structure)
    encoded = kind.encode(structure, elements) if len(elements) <= MAX_ROLES else None
    if encoded is None:
        return None
    fractions = [structure.composition.get_atomic_fraction(symbol) for symbol in elements]
    given = condition(elements, stable=weight >= _STABLE_WEIGHT, fractions=fractions)
    return *encoded, given, weight, len(elements)


def _element_choices(request: SampleRequest) -> list[tuple[str, ...]]:
    """The element sets a sample may be made of, each in the order of roles, the whole set first."""
    smallest = len(request.elements) if request.all_elements else 1
    sizes = range(len(request.elements), smallest - 1, -1)
    return [by_role(some) for size in sizes for some in itertools.combinations(request.elements, size)]


def _asked(elements: tuple[str, ...], request: SampleRequest) -> list[float] | None:
    """The atomic fractions by role where the request fixes every one, else None."""
    ranges = [request.fractions.get(symbol, (0.0, 1.0)) for symbol in elements]
    if any(high - low > 1e-3 for low, high in ranges):
        return None
    return [(low + high) / 2 for low, high in ranges]


def _why_outside(crystal: Crystal, request: SampleRequest) -> str:
    if not request.allows(Counter(crystal.symbols)):
        return "composition"
    return "" if request.min_atoms <= len(crystal.symbols) <= request.max_atoms else "size"
