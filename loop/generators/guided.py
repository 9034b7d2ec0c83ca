"""The phonon critic: samples of another generator, kept by their chance to be dynamically stable.

Weighted sampling without replacement by exponential keys (Efraimidis and Spirakis, Inf. Process. Lett. 97,
181, 2006), the surrogate's P(dynamically stable) squared as the weight: rejection that never comes up short.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from niobe.surrogates.protocols import FloatArray, Generator, Sample, SampleBatch, SampleRequest, Surrogate

_TARGET = "p_stable"
_SHARPNESS = 2.0


class Guided:
    """Draws ``draws`` samples for each it is asked for; the surrogate rejects. Implements Generator."""

    def __init__(self, generator: Generator, surrogate: Surrogate, *, draws: int) -> None:
        self._generator, self._surrogate, self._draws = generator, surrogate, draws
        self.name = generator.name

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n samples in drawing order, each with its ``p_stable`` in its lineage.

        A draw outside the domain weighs as much as the mean of those inside.

        request: what is asked for. seed: of everything drawn at random.
        """
        batch = self._generator.sample(request, n * self._draws, seed=seed)
        if not batch.samples:
            return batch
        chance = self._chance(batch)
        keys = np.random.default_rng(seed).exponential(size=len(chance)) / chance**_SHARPNESS
        kept = np.sort(np.argsort(keys, kind="stable")[:n])
        samples = tuple(_with_chance(batch.samples[i], float(chance[i])) for i in kept)
        rejected = len(batch.samples) - len(samples)
        return SampleBatch(samples, dict(batch.rejected) | {"phonon critic": rejected})

    def _chance(self, batch: SampleBatch) -> FloatArray:
        """P(dynamically stable) of each draw; shape (n,)."""
        predictions = self._surrogate.predict([sample.structure for sample in batch.samples])
        if _TARGET not in predictions:
            return np.ones(len(batch.samples))
        found = predictions[_TARGET]
        known = found.mean[found.in_domain]
        chance = np.where(found.in_domain, found.mean, known.mean() if len(known) else 1.0)
        return np.clip(chance, 1e-3, 1.0)


def _with_chance(sample: Sample, chance: float) -> Sample:
    return replace(sample, origin=dict(sample.origin) | {"p_stable": round(chance, 4)})
