"""How many candidates each generator of a mix draws: fixed shares, or a bandit over what they led to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from niobe.loop.documents.records import StructureRecord

_EXPLORE = 0.5


def counts(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Candidates per generator by largest remainder; they add up to ``total`` where there is a generator."""
    weight = sum(shares.values())
    exact = {name: total * share / weight for name, share in shares.items()}
    found = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (found[name] - exact[name], name))
    for name in by_remainder[: total - sum(found.values())]:
        found[name] += 1
    return found


def bandit_shares(
    shares: Mapping[str, float], records: Sequence[StructureRecord], *, draws: int, seed: int
) -> dict[str, float]:
    """Shares half as given, half by how often a generator's rate of discoveries is the highest.

    Thompson sampling (Chapelle and Li, NIPS 2011): the rate per oracle call has the posterior
    Beta(1 + discoveries, 1 + other calls). The given half keeps every generator alive.

    shares: by generator. records: structure records. draws: candidates that the bandit learns from. seed:
    of everything drawn at random.
    """
    names, weight = list(shares), sum(shares.values())
    rng = np.random.default_rng(seed)
    wins = [_successes(records, name) for name in names]
    rates = np.array([rng.beta(1 + hits, 1 + calls - hits, draws) for hits, calls in wins])
    best = np.bincount(rates.argmax(axis=0), minlength=len(names)) / draws
    return {
        name: _EXPLORE * shares[name] / weight + (1 - _EXPLORE) * float(best[i])
        for i, name in enumerate(names)
    }


def without(shares: Mapping[str, float], collapsed: str, instead: Sequence[str]) -> dict[str, float]:
    """The mix without a generator that fell; ``instead`` in equal shares where none is left that can draw.

    collapsed: the generator left out.
    """
    left = {name: share for name, share in shares.items() if name != collapsed and name in instead}
    return left or dict.fromkeys(instead, 1.0)


def _successes(records: Sequence[StructureRecord], name: str) -> tuple[int, int]:
    """Discoveries and oracle calls of a generator so far."""
    called = [r for r in records if r.lineage.generator == name and (r.validation or r.failure)]
    return sum(r.verdict is not None and r.verdict.was_found for r in called), len(called)
