"""Draws from the trained networks: skeletons, and for each new one several geometries."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from niobe.surrogates.compositions import Compositions
from niobe.surrogates.gan.conditions import MAX_ROLES, by_role, condition
from niobe.surrogates.gan.networks import LATENT, Mask, Networks
from niobe.surrogates.gan.representation import IntArray, Representation
from niobe.surrogates.protocols import FloatArray, SampleRequest

_CHUNK, _LARGEST_CHUNK = 256, 1024
_LATENTS = 8
_COLDEST, _WARMER = 0.5, 0.1


@dataclass(frozen=True)
class Draw:
    """One skeleton and the geometries drawn for it, (_LATENTS, width); None where it was drawn before."""

    tokens: IntArray
    geometries: FloatArray | None
    elements: tuple[str, ...]


class Sampler:
    """Draws for one request from one seed.

    Raises ValueError for more than 5 elements, and for fractions that no composition has.
    networks: trained. kind: the representation they write.
    """

    def __init__(self, networks: Networks, kind: Representation, request: SampleRequest, seed: int) -> None:
        if len(request.elements) > MAX_ROLES:
            raise ValueError(f"{len(request.elements)} elements; the GAN takes up to {MAX_ROLES}")
        self._networks, self._kind, self._request = networks, kind, request
        self._noise, self._rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
        self._choices = _choices(request)
        self._drawn: set[bytes] = set()
        self._decoded = self._strayed = 0

    def draws(self, most: int) -> Iterator[Draw]:
        """About ``most``, likely skeletons first, in chunks over the element sets there may be."""
        drawn = 0
        for turn in itertools.count():
            temperature, size = min(1.0, _COLDEST + _WARMER * turn), min(_CHUNK * 2**turn, _LARGEST_CHUNK)
            for elements, compositions in self._choices:
                if drawn >= most:
                    return
                with torch.no_grad():
                    conditions = self._conditions(elements, compositions, size)
                    yield from self._chunk(elements, conditions, temperature)
                drawn += size

    def note(self, *, strayed: bool) -> None:
        """Whether a draw that could be decoded came out with a composition that was not asked for."""
        self._decoded += 1
        self._strayed += strayed

    def _conditions(self, elements: tuple[str, ...], compositions: Compositions, n: int) -> FloatArray:
        """The composition left open, but for a share as large as that which strayed. Shape (n, CONDITION)."""
        stable = self._request.target == "stable"
        told = n * self._strayed // max(self._decoded, 1) if self._request.fractions else 0
        rows = compositions.draw(told, self._rng) if told else np.empty((0, len(elements)))
        open_ = [condition(elements, stable=stable)] * (n - told)
        return np.array(open_ + [condition(elements, stable=stable, fractions=row) for row in rows.tolist()])

    def _chunk(self, elements: tuple[str, ...], conditions: FloatArray, temperature: float) -> Iterator[Draw]:
        given, allowed = torch.tensor(conditions, dtype=torch.float32), self._allowed(len(elements))
        drawn = self._networks.skeleton.draw(given, allowed, self._noise, temperature=temperature)
        tokens = drawn.numpy()
        new = self._new(tokens)
        found = self._geometries(drawn[new], given[new]) if new else ()
        geometries = dict(zip(new, found, strict=True))
        for row, skeleton in enumerate(tokens):
            yield Draw(skeleton, geometries.get(row), elements)

    def _allowed(self, roles: int) -> Mask:
        def mask(tokens: Tensor, step: int) -> Tensor:
            return torch.from_numpy(self._kind.allowed(tokens.numpy(), step, roles, self._request.max_atoms))

        return mask

    def _new(self, tokens: IntArray) -> list[int]:
        """Rows whose skeleton was not drawn before; every row where skeletons may repeat."""
        if self._kind.repeats:
            return list(range(len(tokens)))
        new = []
        for row, skeleton in enumerate(tokens):
            if skeleton.tobytes() not in self._drawn:
                self._drawn.add(skeleton.tobytes())
                new.append(row)
        return new

    def _geometries(self, tokens: Tensor, given: Tensor) -> FloatArray:
        """Geometries of each skeleton, (m, _LATENTS, width)."""
        kind, networks, m = self._kind, self._networks, len(tokens)
        latent = torch.randn(m * _LATENTS, LATENT, generator=self._noise)
        features, free = (
            torch.tensor(part, dtype=torch.float32)
            for part in (kind.features(tokens.numpy()), kind.free(tokens.numpy()))
        )
        first, features, free, given = (
            part.repeat_interleave(_LATENTS, dim=0) for part in (tokens[:, 0], features, free, given)
        )
        geometry = networks.geometry(latent, first, features, given, free)
        return np.asarray(geometry.double().numpy().reshape(m, _LATENTS, kind.width))


def _choices(request: SampleRequest) -> list[tuple[tuple[str, ...], Compositions]]:
    """The element sets a sample may be made of, by role, the whole set first, and their compositions."""
    smallest = len(request.elements) if request.all_elements else 1
    sizes = range(len(request.elements), smallest - 1, -1)
    sets = [by_role(some) for size in sizes for some in itertools.combinations(request.elements, size)]
    found = [(some, Compositions.inside(request, some)) for some in sets]
    possible = [(some, compositions) for some, compositions in found if len(compositions.totals)]
    if not possible:
        raise ValueError(
            f"{request.min_atoms} to {request.max_atoms} atoms of {', '.join(request.elements)} cannot have "
            f"the fractions asked for: {dict(request.fractions)}"
        )
    return possible
