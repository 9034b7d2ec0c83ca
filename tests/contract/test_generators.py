"""What every generator promises."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.loop.crystals.similarity import content_hash
from niobe.loop.generators import (
    Guided,
    Offspring,
    Parent,
    PrototypeSubstitution,
    RandomSymmetric,
    SoftModes,
    SoftParent,
    Substitution,
)
from niobe.loop.generators.prototypes import decorated_prototypes, known_prototypes
from niobe.surrogates.gan import CrystalGAN
from niobe.surrogates.protocols import Generator, Prediction, SampleRequest
from tests.loop.factory import nbo, rutile

REQUEST = SampleRequest(elements=("Nb", "O"), max_atoms=12)


@functools.cache
def trained_gan() -> CrystalGAN:
    corpus = [structure for _, structure in decorated_prototypes(("Nb", "O"), 8)][:60]
    gan = CrystalGAN(epochs=1)
    gan.fit(corpus, np.ones(len(corpus)), seed=1)
    return gan


@functools.cache
def point_cloud() -> CrystalGAN:
    corpus = [structure for _, structure in decorated_prototypes(("Nb", "O"), 8)][:30]
    gan = CrystalGAN(epochs=1, representation="point_cloud")
    gan.fit(corpus, np.ones(len(corpus)), seed=1)
    return gan


def soft_modes() -> SoftModes:
    modes = [
        {"q": [0.5, 0, 0.5], "frequency": -3.0, "real": np.eye(18)[0].tolist(), "imag": [0.0] * 18},
        {"q": [0, 0, 0], "frequency": -1.0, "real": np.eye(18)[8].tolist(), "imag": [0.0] * 18},
    ]
    parents = [SoftParent("a", rutile(), (modes[1],)), SoftParent("b", nbo(), tuple(modes))]
    return SoftModes(parents, energy=falling)


def falling(structure: Structure) -> float:
    """Lower for every site that left its place, as at a soft mode."""
    return -float(np.linalg.norm(structure.distance_matrix - np.round(structure.distance_matrix, 3)))


class Ranked:
    """A surrogate that finds oxygen-poor structures stable."""

    def predict(self, structures: Sequence[Structure]) -> dict[str, Prediction]:
        poor = np.array([s.composition.get_atomic_fraction("O") < 0.5 for s in structures])
        inside = np.ones(len(structures), dtype=bool)
        return {"p_stable": Prediction(np.where(poor, 0.9, 0.05), np.zeros(len(structures)), inside)}


def guided() -> Guided:
    return Guided(trained_gan(), Ranked(), draws=4)  # type: ignore[arg-type]


GENERATORS: dict[str, Callable[[], Generator]] = {
    "random": RandomSymmetric,
    "prototype": PrototypeSubstitution,
    "substitution": lambda: Substitution(known_prototypes(12)),
    "offspring": lambda: Offspring([Parent("a", rutile()), Parent("b", nbo())]),
    "soft_mode": soft_modes,
    "gan": trained_gan,
    "gan with a phonon critic": guided,
    "point_cloud": point_cloud,
}


@pytest.fixture(params=GENERATORS)
def generator(request: pytest.FixtureRequest) -> Generator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = GENERATORS[request.param]()
    assert made.name == request.param.split()[0]
    return made


def test_every_sample_lies_inside_the_request(generator: Generator) -> None:
    samples = generator.sample(REQUEST, 12, seed=5).samples
    assert 0 < len(samples) <= 12
    for sample in samples:
        assert {site.specie.symbol for site in sample.structure} == {"Nb", "O"}
        assert 2 <= len(sample.structure) <= 12
        assert sample.structure.volume > 0


def test_fractions_bound_every_sample(generator: Generator) -> None:
    request = replace(REQUEST, fractions={"O": (0.5, 0.7)})
    samples = generator.sample(request, 12, seed=5).samples
    assert samples
    for sample in samples:
        assert 0.5 <= sample.structure.composition.get_atomic_fraction("O") <= 0.7


def test_one_formula_is_kept_in_cells_of_up_to_forty_atoms(generator: Generator) -> None:
    request = replace(REQUEST, max_atoms=40, min_atoms=3, fractions={"Nb": (1 / 3,) * 2, "O": (2 / 3,) * 2})
    samples = generator.sample(request, 4, seed=5).samples
    assert samples
    assert {sample.structure.composition.reduced_formula for sample in samples} == {"NbO2"}
    assert all(3 <= len(sample.structure) <= 40 for sample in samples)


def test_the_same_seed_gives_the_same_batch_and_another_another(generator: Generator) -> None:
    one, again, other = (generator.sample(REQUEST, 6, seed=seed).samples for seed in (5, 5, 6))
    assert [content_hash(s.structure) for s in one] == [content_hash(s.structure) for s in again]
    assert [s.origin for s in one] != [s.origin for s in other]


def place_of_first_at_origin() -> int:
    """An atom of NbO on the plane x = 0, where a wave along x is real."""
    return next(i for i, site in enumerate(nbo()) if abs(site.frac_coords[0]) < 1e-6)


def test_a_soft_mode_at_the_zone_boundary_doubles_the_cell_and_alternates() -> None:
    move = np.eye(18)[3 * place_of_first_at_origin() + 1]
    mode = {"q": [0.5, 0, 0], "frequency": -1.0, "real": move.tolist(), "imag": [0.0] * 18}
    request = SampleRequest(elements=("Nb", "O"), max_atoms=20)
    batch = SoftModes([SoftParent("p", nbo(), (mode,))], energy=falling).sample(request, 1, seed=1)
    child, parent = batch.samples[0], nbo() * (2, 1, 1)
    shifts = []
    for site in child.structure:
        gaps = [site.distance(other) for other in parent if other.specie == site.specie]
        shifts.append(min(gaps))
    amplitude = child.origin["amplitude"]
    assert len(child.structure) == 12
    assert sorted(shifts)[-2:] == pytest.approx([amplitude, amplitude])
    assert sorted(shifts)[:-2] == pytest.approx([0.0] * 10, abs=1e-6)
    assert child.origin["parent"] == "p"


def test_the_phonon_critic_keeps_what_the_surrogate_finds_stable() -> None:
    alone, with_critic = (g.sample(REQUEST, 10, seed=5) for g in (trained_gan(), guided()))
    poor = [
        sum(s.structure.composition.get_atomic_fraction("O") < 0.5 for s in batch.samples)
        for batch in (alone, with_critic)
    ]
    assert poor[1] > poor[0]
    assert with_critic.rejected["phonon critic"] == 30
    assert with_critic.samples[0].origin["p_stable"] in {0.9, 0.05}


def test_the_gan_refuses_to_draw_before_training() -> None:
    with pytest.raises(ValueError, match="not been trained"):
        CrystalGAN(epochs=1).sample(REQUEST, 1, seed=1)


def test_where_not_all_elements_need_be_there_random_structures_leave_some_out() -> None:
    request = SampleRequest(elements=("Ag", "Au", "Cu"), max_atoms=2, min_atoms=1, all_elements=False)
    batch = RandomSymmetric().sample(request, 12, seed=1)
    assert len(batch.samples) == 12
    assert {len(sample.structure.composition) for sample in batch.samples} == {1, 2}


def test_what_no_prototype_fits_is_counted() -> None:
    batch = PrototypeSubstitution().sample(SampleRequest(elements=("Nb", "O"), max_atoms=1), 3, seed=1)
    assert (batch.samples, batch.rejected) == ((), {"no other fits": 3})
