"""The fused convolution gives what SevenNet's own gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray
from pymatgen.io.ase import AseAtomsAdaptor
from sevenn._keys import EDGE_LENGTH
from sevenn.calculator import SevenNetCalculator
from sevenn.nn.edge_embedding import EdgeEmbedding

from niobe.flows.oracles.kernels.fused import FusedConvolution, fuse
from niobe.flows.oracles.kernels.loops import _interpolate, backward, forward
from niobe.flows.oracles.kernels.radial import KNOTS, table
from niobe.flows.oracles.potentials import potential
from tests.loop.factory import rutile

pytestmark = pytest.mark.filterwarnings("ignore:No tensor product accelerator:UserWarning")

CRYSTALS = {
    "rutile": AseAtomsAdaptor.get_atoms(rutile(), msonable=False),
    "one atom": bulk("W"),
    "four elements": bulk("NaCl", "rocksalt", a=4.6, cubic=True),
    "no neighbours": Atoms("Ar", cell=[12, 12, 12], pbc=True),
}
CRYSTALS["four elements"].symbols = "LiFeP2O4"


@pytest.fixture(scope="module", params=["7net-0", pytest.param("7net-l3i5", marks=pytest.mark.slow)])
def both(request: pytest.FixtureRequest) -> tuple[SevenNetCalculator, SevenNetCalculator]:
    plain = SevenNetCalculator(request.param, device="cpu")
    fused = SevenNetCalculator(request.param, device="cpu")
    fuse(fused.model)
    return plain, fused


@pytest.mark.parametrize("name", CRYSTALS)
def test_same_energy_forces_and_stress(
    both: tuple[SevenNetCalculator, SevenNetCalculator], name: str
) -> None:
    answers = []
    for calculator in both:
        atoms = CRYSTALS[name].copy()
        atoms.rattle(0.1, seed=3)
        atoms.calc = calculator
        answers.append((atoms.get_potential_energy() / len(atoms), atoms.get_forces(), atoms.get_stress()))
    (energy, forces, stress), (fused_energy, fused_forces, fused_stress) = answers
    assert fused_energy == pytest.approx(energy, abs=4e-6)  # 13 eV in single precision: 1e-6
    np.testing.assert_allclose(fused_forces, forces, atol=2e-5)
    np.testing.assert_allclose(fused_stress, stress, atol=2e-6)


def test_forces_are_the_slope_of_the_energy(both: tuple[SevenNetCalculator, SevenNetCalculator]) -> None:
    atoms = CRYSTALS["rutile"].copy()
    atoms.rattle(0.1, seed=1)
    atoms.calc = both[1]
    force = atoms.get_forces()[2, 0]
    energies = []
    for step in (-0.01, 0.01):
        moved = atoms.copy()
        moved.calc = both[1]
        moved.positions[2, 0] += step
        energies.append(moved.get_potential_energy())
    assert force == pytest.approx((energies[0] - energies[1]) / 0.02, abs=5e-3)


def test_what_is_not_a_number_stays_so(both: tuple[SevenNetCalculator, SevenNetCalculator]) -> None:
    convolution = next(m for m in both[1].model.children() if isinstance(m, FusedConvolution))
    plain = convolution.plain
    graph = {
        plain.key_x: torch.full((1, plain.convolution.irreps_in1.dim), float("nan")),
        plain.key_filter: torch.ones(1, plain.convolution.irreps_in2.dim),
        EDGE_LENGTH: torch.ones(1),
        plain.key_edge_idx: torch.zeros(2, 1, dtype=torch.int64),
    }
    assert torch.isnan(convolution(dict(graph))[plain.key_x]).all()
    graph |= {plain.key_x: torch.ones_like(graph[plain.key_x]), EDGE_LENGTH: torch.tensor([float("nan")])}
    assert torch.isnan(convolution(graph)[plain.key_x]).all()


def test_the_table_says_what_the_network_says(
    both: tuple[SevenNetCalculator, SevenNetCalculator],
) -> None:
    embedding = next(m for m in both[1].model.children() if isinstance(m, EdgeEmbedding))
    convolution = next(m for m in both[1].model.children() if isinstance(m, FusedConvolution))
    plain, cutoff = convolution.plain, both[1].cutoff
    lengths = torch.linspace(0.3, cutoff, 777)
    asked = embedding.basis_function(lengths) * embedding.cutoff_function(lengths).unsqueeze(-1)
    exact = plain.weight_nn(asked).numpy()
    width = np.uint64(exact.shape[1])
    knots = table(embedding, plain.weight_nn, cutoff)
    read = np.empty_like(exact)
    for length, row in zip(lengths.double().numpy(), read, strict=True):
        _interpolate(knots.ravel(), length / cutoff * (KNOTS - 1), width, row)
    assert np.abs(read - exact).max() < 3e-6 * np.abs(exact).max()


def test_the_oracles_potential_is_fused() -> None:
    model = potential("7net-0").model
    assert any(isinstance(module, FusedConvolution) for module in model.children())


@pytest.mark.parametrize(("components", "channels"), [(1, 128), (3, 64), (5, 32), (7, 32), (2, 48), (3, 5)])
def test_messages_and_slopes_of_any_numbers_of_components_and_channels(
    components: int, channels: int
) -> None:
    """Messages are linear in x and in the matrices; the slopes along knots are those of finite steps."""
    rng, atoms, edges, made = np.random.default_rng(components), 3, 4, 2
    row = (components, made, channels, 0, 0, 0, 0)
    width, size = np.uint64(channels), np.uint64(made * components)
    table = rng.standard_normal(6 * 2 * channels).astype(np.float32)
    from_, to_ = rng.integers(0, atoms, (2, edges)).astype(np.uint64)
    begins = from_ * np.uint64(components * channels), to_ * np.uint64(made * channels)
    paths = np.array([row], dtype=np.uint64)
    x = rng.standard_normal(atoms * components * channels).astype(np.float32)
    matrices = rng.standard_normal(edges * made * components).astype(np.float32)
    knots, slopes = rng.uniform(0.2, 3.8, edges), rng.standard_normal(atoms * made * channels)

    def messages(x: NDArray[Any], knots: NDArray[Any], matrices: NDArray[Any]) -> NDArray[np.float32]:
        out = np.zeros(atoms * made * channels, dtype=np.float32)
        forward(x, knots, matrices, table, width, size, *begins, paths, out)
        return out

    expected = np.zeros((atoms, made, channels))
    for edge in range(edges):
        weight = np.empty(channels, dtype=np.float32)
        _interpolate(table, knots[edge], width, weight)
        source = x.reshape(atoms, components, channels)[from_[edge]]
        expected[to_[edge]] += weight * (matrices.reshape(edges, made, components)[edge] @ source)
    np.testing.assert_allclose(messages(x, knots, matrices), expected.ravel(), atol=2e-4)

    g_x, g_knots, g_matrices = np.zeros_like(x), np.zeros_like(knots), np.zeros_like(matrices)
    single, found = slopes.astype(np.float32), (g_x, g_knots, g_matrices)
    backward(x, knots, matrices, table, width, size, *begins, paths, single, *found)
    one, other = (rng.standard_normal(len(given)).astype(np.float32) for given in (x, matrices))
    assert g_x @ one == pytest.approx(slopes @ messages(one, knots, matrices), rel=1e-3, abs=1e-2)
    assert g_matrices @ other == pytest.approx(slopes @ messages(x, knots, other), rel=1e-3, abs=1e-2)
    for edge in range(edges):
        aside = 1e-3 * np.eye(edges)[edge]
        apart = messages(x, knots + aside, matrices).astype(float) - messages(x, knots - aside, matrices)
        assert g_knots[edge] == pytest.approx(slopes @ apart / 2e-3, rel=2e-2, abs=0.2)
