"""What every surrogate promises."""

import functools
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.loop.generators import RandomSymmetric
from niobe.surrogates.models import load_surrogate, make_surrogate, models
from niobe.surrogates.models.boosting import ROWS
from niobe.surrogates.models.prior import PRIOR
from niobe.surrogates.models.recipes import RECIPES
from niobe.surrogates.protocols import SampleRequest, Surrogate
from tests.loop.factory import nbo

SINGLE = 1e-5  # networks compute in single precision
SMALL: dict[str, dict[str, int]] = {
    "elemnet": {"shrink": 8},
    "ptable_cnn": {"width": 8},
    "cgcnn": {"width": 16, "layers": 2},
    "schnet": {"width": 16, "layers": 2},
    "physnet": {"width": 16, "layers": 2},
    "moments": {"width": 16, "layers": 2, "channels": 4},
}
REQUEST = SampleRequest(elements=("Nb", "O"), max_atoms=8)


def structures(n: int) -> list[Structure]:
    return [sample.structure for sample in RandomSymmetric().sample(REQUEST, n, seed=1).samples]


TRAIN = structures(30)
OXYGEN = np.array([s.composition.get_atomic_fraction("O") for s in TRAIN])
LABELS = {
    "formation_energy_per_atom": -6 * OXYGEN * (1 - OXYGEN),
    "log_volume": np.array([np.log(s.volume / len(s)) for s in TRAIN]),
    "p_stable": np.array([float(len(s) > 5) for s in TRAIN]),
    "p_failure": np.zeros(len(TRAIN)),
}


@pytest.fixture(params=models())
def fitted(request: pytest.FixtureRequest) -> Surrogate:
    return trained(request.param)


@functools.cache
def trained(name: str) -> Surrogate:
    model = make_surrogate(name, members=2, epochs=30, options=SMALL.get(name, {}))
    model.fit(TRAIN, LABELS, seed=7)
    return model


def test_it_learns_and_says_how_sure_it_is(fitted: Surrogate) -> None:
    answer, truth = fitted.predict(TRAIN)["formation_energy_per_atom"], LABELS["formation_energy_per_atom"]
    assert np.abs(answer.mean - truth).mean() < 0.9 * np.abs(truth - truth.mean()).mean()
    assert (answer.std > 0).all()


def test_one_by_one_equals_all_at_once(fitted: Surrogate) -> None:
    together = fitted.predict(TRAIN[:5])
    for row, structure in enumerate(TRAIN[:5]):
        alone = fitted.predict([structure])
        for name, answer in together.items():
            assert alone[name].mean[0] == pytest.approx(answer.mean[row], abs=SINGLE)


def test_a_translated_rotated_supercell_is_the_same_crystal(fitted: Surrogate) -> None:
    moved = nbo() * (1, 2, 1)
    moved.translate_sites(range(len(moved)), [0.13, 0.2, 0.31])
    one, other = fitted.features([nbo(), moved])
    assert one == pytest.approx(other, abs=100 * SINGLE)


def test_probabilities_are_probabilities_and_one_class_is_not_certain(fitted: Surrogate) -> None:
    answer = fitted.predict(TRAIN)
    for name in ("p_stable", "p_failure"):
        assert ((answer[name].mean > 0) & (answer[name].mean < 1)).all()


def test_it_abstains_for_an_element_it_never_saw(fitted: Surrogate) -> None:
    strange = Structure(Lattice.cubic(4.2), ["U", "O"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
    answer = fitted.predict([strange])["log_volume"]
    assert not answer.in_domain[0]
    assert np.isnan(answer.mean[0])


def test_a_checkpoint_predicts_to_the_bit(fitted: Surrogate, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    again = load_surrogate(tmp_path).predict(TRAIN)
    for name, answer in fitted.predict(TRAIN).items():
        assert (again[name].mean == answer.mean).all()
        assert (again[name].std == answer.std).all()


def test_bad_input_is_refused() -> None:
    model = make_surrogate("gbt", members=2, epochs=5)
    with pytest.raises(ValueError, match="1 labels for 2"):
        model.fit(TRAIN[:2], {"log_volume": np.array([1.0])}, seed=1)
    with pytest.raises(ValueError, match="no target has a known label"):
        model.fit(TRAIN[:2], {"log_volume": np.array([np.nan, np.nan])}, seed=1)
    with pytest.raises(ValueError, match="unknown; allowed"):
        make_surrogate("oracle", members=2, epochs=5)


def test_a_cell_without_volume_is_refused(fitted: Surrogate) -> None:
    flat = Structure(
        Lattice(np.array([[3, 0, 0], [0, 3, 0], [3, 3, 1e-4]])), ["Nb", "O"], np.array([[0, 0, 0], [0.5] * 3])
    )
    with pytest.raises(ValueError, match="cell without volume"):
        fitted.predict([flat])


def test_one_atom_and_five_hundred_get_a_number_or_an_abstention(fitted: Surrogate) -> None:
    lone = Structure(Lattice.cubic(3.3), ["Nb"], np.zeros((1, 3)))
    large = nbo() * (4, 4, 5)
    assert len(large) >= 480
    answer = fitted.predict([lone, large, nbo()])["formation_energy_per_atom"]
    assert (np.isfinite(answer.mean) == answer.in_domain).all()
    assert (np.isfinite(answer.std) == answer.in_domain).all()
    if answer.in_domain[1:].all():
        assert answer.mean[1] == pytest.approx(answer.mean[2], abs=100 * SINGLE)


def test_an_unknown_label_is_left_out_and_an_infinite_one_refused() -> None:
    labels = np.where(np.arange(len(TRAIN)) % 3 == 0, np.nan, OXYGEN)
    model = make_surrogate("wyckoff_rnn", members=2, epochs=2)
    model.fit(TRAIN, {"log_volume": labels}, seed=1)
    assert "log_volume" in model.predict(TRAIN[:2])
    with pytest.raises(ValueError, match="label 4 is infinite"):
        model.fit(TRAIN, {"log_volume": np.where(np.arange(len(TRAIN)) == 4, np.inf, OXYGEN)}, seed=1)
    with pytest.raises(ValueError, match="labels must be 0, 1 or NaN"):
        model.fit(TRAIN, {"p_stable": 2 * OXYGEN}, seed=1)


def test_a_campaign_may_name_every_registered_model() -> None:
    assert set(RECIPES) | set(ROWS) | {PRIOR} == set(models())


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="option 'depth' is unknown; allowed: cutoff, hidden, layers"):
        make_surrogate("cgcnn", members=2, epochs=5, options={"depth": 3})
    with pytest.raises(ValueError, match="gbt has none"):
        make_surrogate("gbt", members=2, epochs=5, options={"depth": 3})
