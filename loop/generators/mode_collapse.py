"""Has a learned generator collapsed? How varied and how new a round's samples are, and when to worry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.crystals.symmetry import SYMPREC, dataset
from niobe.loop.documents.rounds import Diversity
from niobe.surrogates.protocols import FloatArray
from niobe.surrogates.representations.descriptor import descriptor

if TYPE_CHECKING:
    from pymatgen.core import Structure

_FEWEST = 8
_KINDS = 2.0
_NOVELTY = 0.05
_SHORT = 0.5


def entropy(values: Iterable[Hashable]) -> float:
    """Shannon entropy of how often each value occurs, in nats; 0 for none."""
    counts = np.array(list(Counter(values).values()), dtype=float)
    shares = counts / counts.sum() if len(counts) else counts
    return float(-(shares * np.log(shares)).sum()) + 0.0


def diversity(
    drawn: Sequence[Structure], known: Sequence[Structure], *, asked: int, critic_gap: float
) -> Diversity:
    """How varied ``drawn`` is and how far from ``known``; ``asked`` samples were wanted.

    critic_gap: how far apart the critic holds real and made crystals.
    """
    symmetries = [_symmetry(structure) for structure in drawn]
    return Diversity(
        asked=asked,
        drawn=len(drawn),
        compositions=entropy(structure.composition.reduced_formula for structure in drawn),
        space_groups=entropy(number for number, _ in symmetries),
        sites=entropy((number, site) for number, sites in symmetries for site in sites),
        novelty=_novelty(descriptor(drawn), descriptor(known)) if drawn and known else None,
        critic_gap=critic_gap,
    )


def why_collapsed(found: Diversity) -> str:
    """What shows that the generator collapsed, or "".

    Fewer than half of the samples asked for, fewer than two space groups or kinds of site in effect
    (exp of the entropy), or samples that are copies of what is known.
    """
    if found.asked >= _FEWEST and found.drawn < _SHORT * found.asked:
        return f"{found.drawn} of {found.asked} samples that are not repeated"
    if found.drawn < _FEWEST:
        return ""
    for what, value in (("space groups", found.space_groups), ("kinds of site", found.sites)):
        if np.exp(value) < _KINDS:
            return f"{np.exp(value):.1f} {what} in effect"
    if found.novelty is not None and found.novelty < _NOVELTY:
        return f"median distance {found.novelty:.3f} to what is known"
    return ""


def _symmetry(structure: Structure) -> tuple[int, tuple[str, ...]]:
    """Space group, and the element and Wyckoff letter of each orbit; P1 where symmetry search fails."""
    symbols = [site.specie.symbol for site in structure]
    data = dataset(structure, SYMPREC)
    if data is None:
        return 1, tuple(f"{symbol}a" for symbol in symbols)
    return int(data.number), tuple(f"{symbols[i]}{data.wyckoffs[i]}" for i in sorted(set(data.orbits)))


def _novelty(drawn: FloatArray, known: FloatArray) -> float:
    """Median over the drawn of the distance to the nearest known, in standard deviations per feature."""
    scale = np.concatenate([drawn, known]).std(axis=0) + 1e-9
    nearest = [np.sqrt((((known - row) / scale) ** 2).mean(axis=1)).min() for row in drawn]
    return float(np.median(nearest))
