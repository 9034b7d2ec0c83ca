"""Groups of like structures in large collections: what StructureMatcher finds, without asking of all pairs.

A group is defined by its first structure in the order given: each structure joins the first representative
it matches, else it becomes one. Only structures of one composition whose reduced cells (primitive, then
Niggli) have as many sites can match at all, so only these are compared, and each is reduced once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from math import gcd
from typing import TYPE_CHECKING

from niobe.loop.crystals.similarity import Reduced, alike

if TYPE_CHECKING:
    from pymatgen.core import Structure

Composition = tuple[tuple[int, int], ...]


def group(structures: Iterable[tuple[str, Structure]]) -> dict[str, str]:
    """The representative's id of each id, for ordered structures; the order given decides who represents."""
    blocks: dict[Composition, list[tuple[str, Structure]]] = defaultdict(list)
    for identifier, structure in structures:
        blocks[composition_key(structure)].append((identifier, structure))
    groups: dict[str, str] = {}
    for block in blocks.values():
        groups |= dict(_within(block))
    return groups


def composition_key(structure: Structure) -> Composition:
    """Atomic numbers and smallest whole amounts: equal where the compositions are."""
    counts = Counter(structure.atomic_numbers)
    divisor = gcd(*counts.values())
    return tuple(sorted((number, count // divisor) for number, count in counts.items()))


def _within(block: list[tuple[str, Structure]]) -> Iterator[tuple[str, str]]:
    """Groups among structures of one composition."""
    if len(block) == 1:
        yield block[0][0], block[0][0]
        return
    representatives: dict[int, list[tuple[str, Reduced]]] = defaultdict(list)
    for identifier, structure in block:
        crystal = Reduced(structure)
        sized = representatives[len(crystal.cell)]
        first = next((known for known, other in sized if alike(other, crystal)), identifier)
        if first == identifier:
            sized.append((identifier, crystal))
        yield identifier, first
