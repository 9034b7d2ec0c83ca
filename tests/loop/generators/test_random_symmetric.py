"""Random symmetric structures: as symmetric as they were drawn, nowhere crowded, of any size asked for."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niobe.loop.crystals.symmetry import SYMPREC, dataset
from niobe.loop.crystals.validity import why_invalid
from niobe.loop.generators import RandomSymmetric
from niobe.surrogates.gan.closeness import closest_contacts
from niobe.surrogates.gan.representation import Crystal
from niobe.surrogates.gan.wyckoff import positions
from niobe.surrogates.protocols import SampleRequest

ALLOYS = SampleRequest(elements=("Al", "Ni", "Zr"), max_atoms=16)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_sample_has_at_least_the_symmetry_of_its_group(seed: int) -> None:
    for sample in RandomSymmetric().sample(ALLOYS, 3, seed=seed).samples:
        found = dataset(sample.structure, SYMPREC)
        general = max(
            len(site.translations) for site in positions(int(sample.origin["space_group"])).values()
        )
        assert len(found.operations.rotations) >= general
        assert len(found.prim_std_cell.numbers) == len(sample.structure)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_contact_is_closer_than_three_quarters_of_the_radii(seed: int) -> None:
    for sample in RandomSymmetric().sample(ALLOYS, 3, seed=seed).samples:
        assert closest_contacts([Crystal.of(sample.structure)])[0] >= 0.75 - 1e-6
        assert why_invalid(sample.structure, ALLOYS) in {"", "aspect"}


def test_large_cells_come_as_well_as_small_ones() -> None:
    batch = RandomSymmetric().sample(ALLOYS, 120, seed=1)
    sizes = Counter(len(sample.structure) for sample in batch.samples)
    assert len(batch.samples) == 120
    assert sum(n for size, n in sizes.items() if size > 9) > 25
    assert sum(n for size, n in sizes.items() if size < 7) > 25


def test_what_no_sites_hold_is_counted_and_ends() -> None:
    # Nothing but P1, which is never drawn, could hold two atoms of fractions that cells of two do not have.
    request = SampleRequest(elements=("Nb", "O"), max_atoms=2, fractions={"O": (0.6, 0.7)})
    assert RandomSymmetric().sample(request, 3, seed=1).samples == ()


@pytest.mark.parametrize("elements", [("H", "O"), ("Cs", "F"), ("U",)])
def test_the_smallest_and_the_largest_atoms_find_cells(elements: tuple[str, ...]) -> None:
    request = SampleRequest(elements=elements, max_atoms=8, min_atoms=1)
    assert len(RandomSymmetric().sample(request, 5, seed=2).samples) == 5
