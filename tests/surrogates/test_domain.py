"""Where a surrogate abstains, and where its intervals widen."""

import itertools

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.surrogates.anions import combines, held_kinds
from niobe.surrogates.domain import Chemistry, Domain, Trained, chemistries_of
from niobe.surrogates.identity import OutdatedCheckpointError
from niobe.surrogates.models import make_surrogate
from niobe.surrogates.models.neural import held_rows
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


@pytest.mark.parametrize(
    ("symbols", "kind"),
    [
        ("Na Cl", "halide"), ("Na Cl O", "oxide"), ("Nb O F", "halide"), ("Nb", "metallic"),
        ("Ga As", "pnictide"), ("Fe S", "chalcogenide"), ("Ti H", "hydride"),
    ],
)  # fmt: skip
def test_kinds_of_chemistry(symbols: str, kind: str) -> None:
    names = symbols.split()
    assert chemistries_of([Structure(Lattice.cubic(5), names, np.eye(3)[: len(names)] / 2)]).tolist() == [
        kind
    ]


def test_kinds_combine_and_a_part_alone_is_new() -> None:
    seen = np.array([(1, 0, 0), (0, 1, 0), (1, 0, 1)]) > 0
    asked = np.array([(1, 1, 0), (0, 0, 1), (1, 0, 1), (0, 0, 0)]) > 0
    assert combines(asked, seen).tolist() == [True, False, True, False]
    assert combines(asked, np.vstack([seen, asked[3]])).tolist() == [True, False, True, True]


def test_a_kind_of_chemistry_never_seen_is_abstained_from() -> None:
    """Fluorides and chlorides, asked of a surrogate that saw their elements in oxides and sulphides only."""
    kept = [s for s in ROWS if not {"F", "Cl"} & set(s.symbol_set)]
    mixed = [s.copy() for s in kept if "O" in s.symbol_set]
    for crystal, halogen in zip(mixed, itertools.cycle(("F", "Cl"))):
        crystal.replace(len(crystal) - 1, halogen)
    surrogate = make_surrogate("gbt", members=2, epochs=5)
    labels = np.arange(len(kept) + len(mixed)) / 10
    surrogate.fit([*kept, *mixed], {"log_volume": labels}, seed=1)
    asked = [s for s in ROWS if {"F", "Cl"} & set(s.symbol_set)]
    assert not surrogate.predict(asked)["log_volume"].in_domain.any()
    assert surrogate.predict([*kept, *mixed])["log_volume"].in_domain.mean() > 0.8


def test_each_kind_of_chemistry_is_held_back_for_an_interval_of_its_own() -> None:
    kinds = np.repeat(["oxide", "halide", "boride"], [1000, 60, 9])
    held = held_rows(kinds, seed=3)
    count = {str(kind): int((kinds[held] == kind).sum()) for kind in np.unique(kinds)}
    assert count["halide"] == 20 and count["boride"] >= 3 and 90 <= count["oxide"] <= 107
    assert len(held_rows(kinds[:6], seed=3)) == 2


def test_intervals_widen_for_elements_rarely_seen_together() -> None:
    """Oxides of two metals only: another metal's oxide is less sure than its sulphide."""
    kept = [s for s in ROWS if "O" not in s.symbol_set or {"Li", "Mg"} & set(s.symbol_set)]
    domain = Domain.fit(kept, fractions(kept))
    oxide, sulphide = relaxed("Ca", "O", 225), relaxed("Ca", "S", 225)
    wide, usual = domain.strain([oxide, sulphide])
    assert wide > 1.2 * usual >= 1.2
    assert (domain.strain(kept, trained=True) >= 1).all()


def test_a_training_row_is_asked_for_as_if_it_had_not_been_one() -> None:
    """Of caesium there is one crystal: the others know nothing of the element."""
    kept = [*ROWS, relaxed("Cs", "Cl", 225)]
    domain = Domain.fit(kept, fractions(kept))
    asked = Trained.of(domain, kept, fractions(kept))
    assert not asked.inside[-1] and asked.inside[:-1].mean() > 0.8
    assert domain.holds(kept[-1:], fractions(kept[-1:]))[0]


def test_noble_gases_are_no_metals() -> None:
    argon, alloy = (
        Structure(Lattice.cubic(5), names, np.eye(3)[:2] / 2) for names in (["Ar"] * 2, ["Ti", "Mn"])
    )
    assert chemistries_of([argon, alloy]).tolist() == ["noble gas", "metallic"]
    argon_only, asked = held_kinds(fractions([argon])), held_kinds(fractions([alloy]))
    assert not combines(asked, argon_only).any()


def test_a_checkpoint_that_saw_no_geometry_is_refused() -> None:
    with pytest.raises(OutdatedCheckpointError, match="of an older Niobe, whose domain saw no geometry"):
        Domain.restored({"rows": np.zeros((1, 2))}, ["Nb"])


def test_the_reach_is_kept_and_found_anew_where_an_older_checkpoint_has_none() -> None:
    domain = Domain.fit(ROWS, fractions(ROWS))
    kept = domain.arrays()
    asked = fractions([relaxed("Ca", "O", 225), relaxed("Cs", "Cl", 225)])
    for arrays in (kept, {name: array for name, array in kept.items() if name != "domain.reach"}):
        restored = Domain.restored(arrays, sorted(domain.elements))
        assert np.array_equal(restored.distance(asked), domain.distance(asked))
    moved = Domain.restored(kept | {"domain.reach": 2 * kept["domain.reach"]}, sorted(domain.elements))
    assert moved.distance(asked) == pytest.approx(domain.distance(asked) / 2)
