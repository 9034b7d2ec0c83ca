"""Where a surrogate abstains, and where its intervals widen."""

import itertools

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.surrogates.domain import Chemistry, Domain
from niobe.surrogates.models import make_surrogate
from niobe.surrogates.representations.composition import N_ELEMENTS, fractions
from niobe.surrogates.representations.descriptor import geometry
from niobe.surrogates.representations.elements import radius
from tests.benchmarks.test_domain import scaled, shaken
from tests.surrogates.test_wyckoff import KNOWN, described, known

METALS, ANIONS = ("Li", "Na", "K", "Mg", "Ca", "Sr", "Ti", "Mn"), ("O", "S", "F", "Cl")


def relaxed(metal: str, anion: str, group: int) -> Structure:
    """A compound whose closest contact is 0.95 to 1.05 of the sum of the radii: rock salt or zincblende."""
    contact = (radius(metal) + radius(anion)) * (0.95 + 0.1 * (len(metal + anion) % 3) / 2)
    edge, place = (2 * contact, (0.5, 0.5, 0.5)) if group == 225 else (4 * contact / 3**0.5, (0.25,) * 3)
    cell = Structure.from_spacegroup(group, Lattice.cubic(edge), [metal, anion], [(0, 0, 0), place])
    return cell.get_primitive_structure() * (1, 1, 2)


ROWS = [relaxed(*pair, group) for pair in itertools.product(METALS, ANIONS) for group in (216, 225)]
LABELS = np.array([-3 * s.composition.get_atomic_fraction("O") + np.log(s.volume / 40) for s in ROWS])


def test_geometry_of_rock_salt_by_hand() -> None:
    """Six neighbours of the other kind at half the edge, twelve of the same kind √2 farther."""
    contact = 5.64 / 2 / (radius("Na") + radius("Cl"))
    same = [5.64 / np.sqrt(2) / (2 * radius(symbol)) for symbol in ("Na", "Cl")]
    near = np.mean([6 + 12 * np.exp(-(((farther - contact) / 0.15) ** 2)) for farther in same])
    row = geometry([known("rocksalt")])[0]
    assert row[1:4] == pytest.approx([contact, contact, 0], abs=1e-6)
    assert np.expm1(row[4]) == pytest.approx(near, rel=1e-3)


@pytest.mark.parametrize("name", KNOWN)
def test_geometry_is_of_the_crystal_not_of_its_description(name: str) -> None:
    crystal = known(name)
    for other in described(crystal, np.random.default_rng(1)).values():
        assert geometry([other])[0] == pytest.approx(geometry([crystal])[0], abs=1e-3)


def test_what_chemistry_lacks_by_hand() -> None:
    """Three rows A-B, of which a new one lacks 1/√4; A-C was never seen together."""
    rows = np.zeros((4, N_ELEMENTS))
    rows[:3, [0, 1]], rows[3, 2] = 0.5, 1.0
    chemistry = Chemistry.fit(rows)
    asked = np.zeros((3, N_ELEMENTS))
    asked[0, [0, 1]], asked[1, [0, 2]], asked[2, 2] = 0.5, 0.5, 1.0
    assert chemistry.lacking(asked) == pytest.approx([0.5, 1.0, 1 / np.sqrt(2)])
    assert chemistry.lacking(rows[:1], own=True) == pytest.approx(1 / np.sqrt(3))


@pytest.mark.parametrize("model", ["gbt", "gbt_magpie", "wyckoff_rnn"])
def test_squeezed_blown_up_and_shaken_crystals_are_abstained_from(model: str) -> None:
    surrogate, rng = make_surrogate(model, members=2, epochs=5), np.random.default_rng(2)
    surrogate.fit(ROWS, {"log_volume": LABELS}, seed=1)
    moved = [*(scaled(s, f) for s in ROWS for f in (0.5, 2.0)), *(shaken(s, rng) for s in ROWS)]
    assert surrogate.predict(ROWS)["log_volume"].in_domain.mean() > 0.9
    assert surrogate.predict(moved)["log_volume"].in_domain.mean() < 0.1


def test_intervals_widen_for_elements_rarely_seen_together() -> None:
    """Oxides of two metals only: another metal's oxide is less sure than its sulphide."""
    kept = [s for s in ROWS if "O" not in s.symbol_set or {"Li", "Mg"} & set(s.symbol_set)]
    domain = Domain.fit(kept, fractions(kept))
    oxide, sulphide = relaxed("Ca", "O", 225), relaxed("Ca", "S", 225)
    wide, usual = domain.strain([oxide, sulphide], fractions([oxide, sulphide]))
    assert wide > 1.2 * usual >= 1.2
    assert (domain.strain(kept, fractions(kept), trained=True) >= 1).all()


def test_a_checkpoint_that_saw_no_geometry_is_refused() -> None:
    with pytest.raises(ValueError, match="older Niobe, whose domain saw no geometry; train it again"):
        Domain.restored({"rows": np.zeros((1, 2))}, ["Nb"])
