"""CIF files by the conventions of ten programs: the crystal that was written, or refused by name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure
from scipy.optimize import linear_sum_assignment

from niobe.loop.readers.structure_files import iterate_structures
from tests.loop.readers.conventions import CONVENTIONS, settings_of
from tests.loop.readers.test_fuzz import SPGLIB
from tests.loop.shared_crystals import shuffled_structures

# What three decimals lose of an axis of 100 Å.
TOLERANCE = 0.1


def apart(one: Structure, other: Structure) -> float:
    """How far (Å) the sites of two structures in the same cell are apart, infinite where they pair not."""
    if one.composition.get_el_amt_dict() != other.composition.get_el_amt_dict():
        return float("inf")
    if np.abs(np.subtract(one.lattice.parameters, other.lattice.parameters)).max() > 0.01:
        return float("inf")
    worst = 0.0
    for symbol in one.composition.get_el_amt_dict():
        mine, theirs = (
            np.array([site.frac_coords for site in s if site.specie.symbol == symbol]) for s in (one, other)
        )
        distances = one.lattice.get_all_distances(mine, theirs)
        rows, columns = linear_sum_assignment(distances)
        worst = max(worst, float(distances[rows, columns].max()))
    return worst


def write_and_read(folder: Path, count: int, seed: int) -> Counter[str]:
    """How many files of each convention were read right or refused; fails at another crystal."""
    rng = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    names = list(CONVENTIONS)
    number = 0
    for crystal in shuffled_structures(rng):
        if number == count:
            break
        name = names[number % len(names)]
        setting = settings_of(crystal, rng, standard=name == "numbered")
        if setting is None:
            continue
        number += 1
        file = folder / f"{number}.cif"
        file.write_bytes(CONVENTIONS[name](setting, int(rng.integers(3, 7))).encode())
        (row,) = iterate_structures(file)
        if row.structure is None:
            outcomes[f"{name} refused"] += 1
            continue
        plain = row.structure.copy().remove_oxidation_states()
        far = apart(plain, setting.structure)
        if name == "pymatgen":
            far = 0.0 if matches(plain, setting.structure) else float("inf")
        assert far < TOLERANCE, f"{name} {setting.group.xhm()} {setting.formula} {far}\n{file.read_text()}"
        outcomes[f"{name} right"] += 1
    assert number == count
    return outcomes


def matches(one: Structure, other: Structure) -> bool:
    from niobe.loop.crystals.similarity import matcher

    return bool(matcher().fit(one, other))


@pytest.mark.filterwarnings(SPGLIB)
def test_forty_files(tmp_path: Path) -> None:
    outcomes = write_and_read(tmp_path, 40, seed=3)
    assert sum(count for name, count in outcomes.items() if name.endswith("right")) >= 36


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings(SPGLIB)
def test_five_hundred_files(tmp_path: Path) -> None:
    outcomes = write_and_read(tmp_path, 500, seed=4)
    assert sum(count for name, count in outcomes.items() if name.endswith("right")) >= 475
