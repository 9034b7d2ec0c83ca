"""Groups of like structures: the same as by asking StructureMatcher about all."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure

from niobe.loop.crystals.grouping import composition_key, group
from niobe.loop.crystals.similarity import matcher
from tests.loop.factory import element, nbo, rocksalt, rutile
from tests.loop.shared_crystals import disguised

KINDS = [nbo(), rocksalt(), rutile(), element("Nb"), element("Nb", 3.9), nbo(5.5)]


def by_brute_force(structures: list[tuple[str, Structure]]) -> dict[str, str]:
    """First-representative groups, StructureMatcher asked about every pair that could decide."""
    representatives: list[tuple[str, Structure]] = []
    groups = {}
    for identifier, structure in structures:
        first = next((known for known, other in representatives if matcher().fit(other, structure)), None)
        if first is None:
            representatives.append((identifier, structure))
        groups[identifier] = first or identifier
    return groups


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, len(KINDS) - 1), min_size=1, max_size=7), st.integers(0, 2**31))
def test_groups_are_those_of_brute_force(kinds: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    structures = [(f"s{place}", disguised(KINDS[kind], rng)) for place, kind in enumerate(kinds)]
    assert group(structures) == by_brute_force(structures)


def test_the_first_given_represents_and_all_members_are_named() -> None:
    groups = group(
        [("b", rutile()), ("a", nbo() * (1, 1, 2)), ("c", nbo()), ("d", rocksalt()), ("e", nbo(4.3))]
    )
    assert groups == {"b": "b", "a": "a", "c": "a", "d": "d", "e": "a"}


def test_equal_compositions_have_equal_keys_whatever_the_cell() -> None:
    assert composition_key(nbo()) == composition_key(nbo() * (2, 2, 1)) == ((8, 1), (41, 1))
    assert composition_key(rutile()) == ((8, 2), (41, 1))
