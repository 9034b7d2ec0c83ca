"""The representations are exact, skeletons obey their rules, and checkpoints carry the GAN."""

import functools
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure
from pymatgen.core.structure_matcher import StructureMatcher

from niobe.loop.crystals.similarity import SeenStructures, spacegroup_number
from niobe.loop.generators.prototypes import decorated_prototypes
from niobe.surrogates.compositions import Compositions
from niobe.surrogates.gan import CrystalGAN
from niobe.surrogates.gan.closeness import SeenCrystals, closest_contacts
from niobe.surrogates.gan.conditions import by_role, condition, without_composition
from niobe.surrogates.gan.point_cloud import PointCloud
from niobe.surrogates.gan.representation import Crystal, Representation, from_circle, to_circle
from niobe.surrogates.gan.symmetric import END, SymmetricCrystals
from niobe.surrogates.gan.wyckoff import decode, encode, positions
from niobe.surrogates.protocols import SampleRequest
from niobe.surrogates.representations.elements import radius
from tests.loop.factory import element, nbo, rutile

ELEMENTS = ("Nb", "O")
PROTOTYPES = decorated_prototypes(ELEMENTS, 10)[::4]
REPRESENTATIONS: list[Representation] = [SymmetricCrystals(), PointCloud()]


def test_a_displaced_supercell_is_not_taken_for_its_undisplaced_primitive_cell() -> None:
    """Niobium doubled, one atom 0.1 Å off its place: another crystal, of two atoms."""
    doubled = element("Nb").get_primitive_structure() * (2, 1, 1)
    doubled.translate_sites([0], [0.1, 0, 0], frac_coords=False)
    encoded = PointCloud().encode(doubled, ("Nb",))
    assert encoded is not None
    (decoded,) = PointCloud().decode(encoded[0], encoded[1][None], ("Nb",))
    assert len(decoded.symbols) == 2


@functools.cache
def trained() -> tuple[CrystalGAN, list[tuple[int, int]]]:
    """A GAN trained a little, and what its training reported."""
    gan = CrystalGAN(epochs=1)
    done: list[tuple[int, int]] = []
    structures = [structure for _, structure in PROTOTYPES]
    gan.fit(structures, np.ones(len(structures)), seed=2, report=lambda *step: done.append(step))
    return gan, done


@pytest.mark.parametrize("kind", REPRESENTATIONS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(("label", "structure"), PROTOTYPES, ids=[label for label, _ in PROTOTYPES])
def test_a_prototype_survives_encoding_and_decoding(
    kind: Representation, label: str, structure: Structure
) -> None:
    encoded = kind.encode(structure, ELEMENTS)
    if encoded is None:
        pytest.skip("more than eight orbits")
    tokens, geometry = encoded
    (decoded,) = kind.decode(tokens, geometry[None], ELEMENTS)
    assert StructureMatcher().fit(decoded.structure(), structure)


@pytest.mark.parametrize("kind", REPRESENTATIONS, ids=lambda kind: kind.name)
def test_every_step_of_a_real_skeleton_is_allowed(kind: Representation) -> None:
    for _, structure in PROTOTYPES:
        encoded = kind.encode(structure, ELEMENTS)
        if encoded is None:
            continue
        tokens, geometry = encoded
        for step in range(kind.length):
            assert kind.allowed(tokens[None], step, 2, len(structure))[0, tokens[step]]
        fixed = kind.free(tokens[None])[0] == 0
        assert kind.features(tokens[None]).shape == (1, kind.n_features)
        assert (geometry[fixed] == 0).all() or kind.name == "point_cloud"


@pytest.mark.parametrize("kind", REPRESENTATIONS, ids=lambda kind: kind.name)
@given(seed=st.integers(0, 2**32 - 1), most=st.integers(2, 12), roles=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_any_allowed_skeleton_keeps_its_limits(
    kind: Representation, seed: int, most: int, roles: int
) -> None:
    rng = np.random.default_rng(seed)
    elements = ("Nb", "O", "Ti")[:roles]
    tokens = np.full((1, kind.length), kind.vocabulary)
    for step in range(kind.length):
        choices = np.flatnonzero(kind.allowed(tokens, step, roles, most)[0])
        assert len(choices)
        tokens[0, step] = rng.choice(choices)
    for crystal in kind.decode(tokens[0], rng.normal(size=(3, kind.width)) * 0.2, elements):
        assert 1 <= len(crystal.symbols) <= most
        assert set(crystal.symbols) <= set(elements)


def test_a_fixed_position_taken_twice_is_no_crystal_and_no_skeleton() -> None:
    crystal = encode(nbo(), ELEMENTS)
    assert crystal is not None
    fixed = [orbit for orbit in crystal.orbits if positions(crystal.space_group)[orbit.letter].is_fixed]
    letters, free = [fixed[0].letter] * 2, np.array([[fixed[0].free] * 2])
    assert decode(crystal.space_group, letters, ["Nb", "O"], free, np.array([crystal.lattice])) == []
    encoded = SymmetricCrystals().encode(nbo(), ELEMENTS)
    assert encoded is not None
    assert not SymmetricCrystals().allowed(encoded[0][None], 2, 2, 12)[0, encoded[0][1]]


def test_letters_are_those_of_the_tables() -> None:
    start = np.full((1, SymmetricCrystals.length), END)
    start[0, 0] = 0
    assert SymmetricCrystals().allowed(start, 1, 1, 10**6).sum() == 1
    start[0, 0] = 46
    assert SymmetricCrystals().allowed(start, 1, 1, 10**6).sum() == 27
    assert set(positions(221)) == set("abcdefghijklmn")
    assert len(positions(225)["a"].translations) == 1


@given(st.lists(st.floats(0, 0.999), min_size=3, max_size=3))
def test_coordinates_survive_the_circle(coordinates: list[float]) -> None:
    back = from_circle(to_circle(np.array(coordinates)))[0]
    assert np.abs((back - coordinates + 0.5) % 1 - 0.5).max() < 1e-9


def test_roles_go_by_electronegativity_and_a_composition_can_be_left_open() -> None:
    assert by_role(["O", "Nb", "O"]) == ("Nb", "O")
    told = condition(ELEMENTS, stable=True, fractions=[0.25, 0.75])
    assert (without_composition(told[None])[0] == condition(ELEMENTS, stable=True)).all()


def test_supercells_and_rotations_are_much_alike_and_other_crystals_are_not() -> None:
    seen = SeenCrystals()
    turned = rutile()
    turned.make_supercell([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    squeezed = rutile()
    squeezed.apply_strain([0.3, 0.3, -0.3])
    kept = [seen.add(Crystal.of(s)) for s in (rutile(), turned, rutile() * (1, 1, 2), nbo(), squeezed)]
    assert kept == [True, False, False, True, True]


def test_no_sample_has_contacts_below_three_quarters_of_the_radii() -> None:
    request = SampleRequest(elements=ELEMENTS, max_atoms=10)
    samples = trained()[0].sample(request, 20, seed=3).samples
    contacts = [closest_contacts([Crystal.of(sample.structure)])[0] for sample in samples]
    assert len(contacts) > 10
    assert min(contacts) >= 0.75


def test_the_closest_contact_is_in_units_of_the_radii() -> None:
    """In NbO at 4.2 Å the neighbours Nb–Nb are a little closer than Nb–O, in these units."""
    assert closest_contacts([Crystal.of(nbo(4.2))]) == pytest.approx(4.2 / 2**0.5 / (2 * radius("Nb")))
    assert closest_contacts([Crystal.of(element("O", 1.0))]) == pytest.approx(0.75**0.5 / (2 * radius("O")))


def test_a_checkpoint_draws_the_same_samples(tmp_path: Path) -> None:
    gan, done = trained()
    assert done[-1][0] == done[-1][1] == len(done)
    assert np.isfinite(gan.critic_gap)
    gan.save(tmp_path)
    request = SampleRequest(elements=ELEMENTS, max_atoms=12)
    one, other = (g.sample(request, 20, seed=4) for g in (gan, CrystalGAN.load(tmp_path)))
    assert [s.structure for s in one.samples] == [s.structure for s in other.samples]
    assert one.rejected == other.rejected
    assert {file.suffix for file in tmp_path.iterdir()} == {".safetensors", ".json"}


def test_training_teaches_what_the_corpus_holds() -> None:
    """Trained on rutile alone, the GAN draws rutile's space group far more often than any other."""
    gan = CrystalGAN(epochs=60)
    gan.fit([rutile()] * 64, np.ones(64), seed=2)
    request = SampleRequest(elements=ELEMENTS, max_atoms=6)
    drawn = [gan.sample(request, 1, seed=seed).samples[0].structure for seed in range(20)]
    assert sum(spacegroup_number(structure) == 136 for structure in drawn) > 10


def test_a_composition_asked_for_exactly_is_met_exactly() -> None:
    fractions = {"Nb": (1 / 3, 1 / 3), "O": (2 / 3, 2 / 3)}
    request = SampleRequest(elements=ELEMENTS, max_atoms=12, fractions=fractions)
    batch = trained()[0].sample(request, 5, seed=1)
    assert batch.samples
    assert {s.structure.composition.reduced_formula for s in batch.samples} == {"NbO2"}


@given(
    low=st.floats(0, 0.6),
    width=st.floats(0.3, 1),
    most=st.integers(3, 16),
    seed=st.integers(0, 2**32 - 1),
)
def test_compositions_drawn_lie_inside_the_fractions_asked_for(
    low: float, width: float, most: int, seed: int
) -> None:
    fractions = {"O": (low, min(1.0, low + width)), "Ti": (0.0, 0.5)}
    request = SampleRequest(elements=("Nb", "O", "Ti"), max_atoms=most, fractions=fractions)
    elements = by_role(request.elements)
    compositions = Compositions.inside(request, elements)
    possible = [
        (nb, o, ti)
        for nb, o, ti in itertools.product(range(1, most), repeat=3)
        if nb + o + ti <= most and request.allows({"Nb": nb, "O": o, "Ti": ti})
    ]
    assert set(compositions.totals) == {sum(counts) for counts in possible}
    if possible:
        for row in compositions.draw(5, np.random.default_rng(seed)):
            assert request.allows(dict(zip(elements, row, strict=True)))


def test_a_range_of_fractions_is_kept_and_an_impossible_one_refused() -> None:
    rich = SampleRequest(elements=ELEMENTS, max_atoms=12, fractions={"O": (0.6, 0.8)})
    batch = trained()[0].sample(rich, 20, seed=1)
    assert len(batch.samples) == 20
    assert all(0.6 <= s.structure.composition.get_atomic_fraction("O") <= 0.8 for s in batch.samples)
    never = SampleRequest(elements=ELEMENTS, max_atoms=3, fractions={"O": (0.4, 0.45)})
    with pytest.raises(ValueError, match="cannot have the fractions asked for"):
        trained()[0].sample(never, 1, seed=1)


def test_hardly_any_known_crystal_is_drawn_again() -> None:
    """The GAN's quick look by distances lets a few of twenty by; the loop's matcher sorts them out."""
    request = SampleRequest(elements=ELEMENTS, max_atoms=12)
    first = [sample.structure for sample in trained()[0].sample(request, 20, seed=1).samples]
    again = trained()[0].sample(replace(request, known=first), 20, seed=1)
    assert len(again.samples) == 20
    seen = SeenStructures((str(number), structure) for number, structure in enumerate(first))
    assert sum(seen.find(sample.structure) is not None for sample in again.samples) <= 2


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gan.json").write_text(json.dumps({"epochs": 1}))
    with pytest.raises(ValueError, match="version 1; this Niobe reads 3"):
        CrystalGAN.load(tmp_path)


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(ValueError, match="no structure to train on"):
        CrystalGAN(epochs=1).fit([], np.array([]), seed=1)
