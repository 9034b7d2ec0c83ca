"""The hull against pymatgen's phase diagram, hand-computed ones, and input that defeats most hulls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from niobe.loop.documents.records import ON_HULL
from niobe.loop.stability.convex_hull import Hull

ELEMENTS = ("Al", "B", "Cu", "Fe", "Nb")
FLATNESS = st.sampled_from([1.0, 0.1, 1e-6, 1e-12, 0.0])


@st.composite
def phases(draw: st.DrawFn) -> tuple[int, list[list[int]], list[float]]:
    """Number of elements, amounts of each phase, and formation energies (eV/atom): no reference below 0."""
    k = draw(st.integers(1, 5))
    amounts = st.lists(st.integers(0, 4), min_size=k, max_size=k).filter(any)
    rows = draw(st.lists(amounts, min_size=1, max_size=40))
    flat = draw(FLATNESS)
    energies = [draw(st.floats(-2.0, 1.0)) * flat for _ in rows]
    pure = [max(e, 0.0) if np.count_nonzero(row) == 1 else e for row, e in zip(rows, energies, strict=True)]
    return k, rows, pure


@settings(max_examples=150, deadline=None)
@given(phases())
def test_heights_and_products_are_those_of_the_phase_diagram(
    given_phases: tuple[int, list[list[int]], list[float]],
) -> None:
    k, rows, energies = given_phases
    elements = ELEMENTS[:k]
    formulas = [Composition(dict(zip(elements, row, strict=True))) for row in rows]
    hull = Hull([f.fractional_composition.get_el_amt_dict() for f in formulas], elements)
    own = hull.level(np.array(energies))
    entries = [PDEntry(f, e * f.num_atoms) for f, e in zip(formulas, energies, strict=True)]
    diagram = PhaseDiagram([*entries, *(PDEntry(Composition(symbol), 0.0) for symbol in elements)])
    assert own == pytest.approx([diagram.get_hull_energy_per_atom(f) for f in formulas], abs=ON_HULL)
    for row in range(0, len(rows), 9):
        products = hull.products(np.array(energies), row)
        assert sum(share * energies[i] for i, share in products.items()) == pytest.approx(
            own[row], abs=ON_HULL
        )


@settings(max_examples=60, deadline=None)
@given(phases(), st.integers(0, 2**32 - 1))
def test_order_and_repetition_of_phases_change_nothing(
    given_phases: tuple[int, list[list[int]], list[float]], seed: int
) -> None:
    k, rows, energies = given_phases
    fractions = [dict(zip(ELEMENTS, np.array(row) / sum(row), strict=False)) for row in rows]
    order = np.random.default_rng(seed).integers(0, len(rows), 2 * len(rows))
    order = np.concatenate([np.arange(len(rows)), order])
    once = Hull(fractions, ELEMENTS[:k]).level(np.array(energies))
    again = Hull([fractions[i] for i in order], ELEMENTS[:k]).level(np.array(energies)[order])
    assert again == pytest.approx(once[order], abs=1e-7)


def test_the_hull_of_one_element_is_its_lowest_energy() -> None:
    hull = Hull([{"Cu": 1.0}, {"Cu": 1.0}], ("Cu",))
    assert hull.level(np.array([0.3, -0.1])).tolist() == [-0.1, -0.1]
    assert hull.level(np.array([0.3, np.inf])).tolist() == [0.0, 0.0]


def test_without_a_compound_it_is_the_mixture_of_the_elements() -> None:
    """Cu-Ag: nothing below the elements, one of which a candidate lies below."""
    hull = Hull([{"Cu": 1.0}, {"Ag": 1.0}, {"Cu": 0.5, "Ag": 0.5}], ("Ag", "Cu"))
    assert hull.level(np.array([0.0, 0.0, 0.05])).tolist() == [0.0, 0.0, 0.0]
    assert hull.level(np.array([-0.2, 0.0, 0.05])) == pytest.approx([-0.2, 0.0, -0.1])
    assert hull.products(np.array([-0.2, 0.0, 0.05]), 2) == pytest.approx({0: 0.5, 1: 0.5})


def test_a_ternary_hull_by_hand() -> None:
    """AB at −0.4 and AC at −0.6: A2BC lies between them at −0.5; ABC between AC and AB, C and B."""
    third = 1 / 3
    rows = [
        {"Al": 0.5, "B": 0.5},
        {"Al": 0.5, "Cu": 0.5},
        {"Al": 0.5, "B": 0.25, "Cu": 0.25},
        dict.fromkeys(("Al", "B", "Cu"), third),
    ]
    energies = np.array([-0.4, -0.6, -0.3, np.inf])
    hull = Hull(rows, ("Al", "B", "Cu"))
    assert hull.level(energies) == pytest.approx([-0.4, -0.6, -0.5, -0.4])
    assert hull.products(energies, 2) == pytest.approx({0: 0.5, 1: 0.5})
    assert hull.products(energies, 3) == pytest.approx({1: 2 * third})  # and a third of boron


def test_a_quaternary_hull_by_hand() -> None:
    """AB at −1 and CD at −1 make ABCD at −1; with AD at −2 and BC at −0.5 at −1.25."""
    rows = [
        {"Al": 0.5, "B": 0.5},
        {"Cu": 0.5, "Fe": 0.5},
        {"Al": 0.5, "Fe": 0.5},
        {"B": 0.5, "Cu": 0.5},
        dict.fromkeys(ELEMENTS[:4], 0.25),
    ]
    hull = Hull(rows, ELEMENTS[:4])
    assert hull.level(np.array([-1, -1, np.inf, np.inf, np.inf]))[4] == pytest.approx(-1.0)
    assert hull.level(np.array([-1, -1, -2, -0.5, np.inf]))[4] == pytest.approx(-1.25)
    assert hull.products(np.array([-1, -1, -2, -0.5, 0.1]), 4) == pytest.approx({2: 0.5, 3: 0.5})


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_points_that_all_but_coincide_or_lie_in_a_plane(k: int) -> None:
    rng = np.random.default_rng(k)
    exact = rng.dirichlet(np.ones(k), 30)
    near = np.abs(exact + 1e-11 * rng.standard_normal(exact.shape))
    fractions = np.vstack([exact, near / near.sum(axis=1, keepdims=True)])
    plane = -1.0 + fractions @ rng.random(k)
    hull = Hull([dict(zip(ELEMENTS, row, strict=False)) for row in fractions.tolist()], ELEMENTS[:k])
    noise = 1e-12 * rng.standard_normal(len(plane))
    assert (hull.level(plane + noise) <= plane + 1e-6).all()
    assert hull.level(plane * 1e-12) == pytest.approx(np.zeros(len(plane)), abs=1e-9)
