"""Networks against slow loops, hand-computed passes and published sizes."""

import numpy as np
import pytest
import torch

from niobe.surrogates.networks.cgcnn import Cgcnn, GatedConvolution
from niobe.surrogates.networks.compositions import ElemNet
from niobe.surrogates.networks.graphs import harmonics, sum_by
from niobe.surrogates.networks.moments import MomentNet
from niobe.surrogates.representations.batches import GraphEncoder
from tests.loop.factory import nbo
from tests.surrogates.test_representations import PEROVSKITE, RUTILE

ENCODER = GraphEncoder(cutoff=8.0, neighbours=12)


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_cgcnn_has_the_published_number_of_parameters() -> None:
    embedding = 92 * 64 + 64
    convolution = (2 * 64 + 41) * 128 + 128 + 2 * 128 + 2 * 64
    hidden, output = 64 * 128 + 128, 128 + 1
    assert parameters(Cgcnn(1)) == embedding + 3 * convolution + hidden + output == 80_833


def test_elemnet_has_17_dense_layers() -> None:
    layers = [m for m in ElemNet(1).modules() if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in layers] == [1024] * 4 + [512] * 3 + [256] * 3 + [128] * 3 + [64] * 2 + [
        32,
        1,
    ]


def test_the_gated_convolution_equals_a_slow_loop() -> None:
    torch.manual_seed(0)
    convolution = GatedConvolution(8).double().eval()
    batch = ENCODER.collate(ENCODER.encode([RUTILE]))
    atoms, edges = torch.randn(6, 8).double(), torch.randn(len(batch["center"]), 41).double()
    met = torch.zeros(6, 8).double()
    for edge, (i, j) in enumerate(zip(batch["center"], batch["neighbour"], strict=True)):
        z = convolution.full(torch.cat([atoms[i], atoms[j], edges[edge]]))
        gate, core = convolution.norm_pairs(z[None])[0].chunk(2)
        met[i] += torch.sigmoid(gate) * torch.nn.functional.softplus(core)
    expected = torch.nn.functional.softplus(atoms + convolution.norm_atoms(met))
    assert torch.allclose(convolution(atoms, batch, edges), expected, atol=1e-10)


def test_a_forward_pass_of_cgcnn_computed_by_hand() -> None:
    """One atom, one edge to itself: every weight 0 but those named, so that numbers can be followed."""
    network = Cgcnn(1, width=1, layers=1, hidden=1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.embedding.bias.fill_(0.5)
        convolution = network.get_submodule("convolutions.0")
        assert isinstance(convolution, GatedConvolution)
        convolution.full.weight[:, 0] = torch.tensor([2.0, 1.0])
        for norm in (convolution.norm_pairs, convolution.norm_atoms):
            norm.weight.fill_(float(np.sqrt(1 + norm.eps)))
        network.hidden.weight.fill_(3.0)
        network.head.weight.fill_(-2.0)
        network.head.bias.fill_(0.25)
    batch = {
        "numbers": torch.tensor([41]),
        "owner": torch.tensor([0]),
        "center": torch.tensor([0]),
        "neighbour": torch.tensor([0]),
        "distances": torch.tensor([2.0]),
        "atoms": torch.tensor([1]),
    }

    def softplus(x: float) -> float:
        return float(np.log1p(np.exp(x)))

    message = 1 / (1 + np.exp(-1.0)) * softplus(0.5)
    atom = softplus(0.5 + message)
    expected = -2 * softplus(3 * softplus(atom)) + 0.25
    assert float(network(batch).detach()) == pytest.approx(expected, rel=1e-5)


def test_squared_moments_do_not_turn_with_the_crystal() -> None:
    torch.manual_seed(0)
    vectors, weights = torch.randn(9, 3).double(), torch.randn(9).double()
    turn = torch.linalg.qr(torch.randn(3, 3).double())[0]
    for part in (slice(0, 3), slice(3, 8)):
        before = (weights[:, None] * harmonics(vectors))[:, part].sum(0).square().sum()
        after = (weights[:, None] * harmonics(vectors @ turn))[:, part].sum(0).square().sum()
        assert float(after) == pytest.approx(float(before))
    assert harmonics(vectors)[:, 3:].square().sum(1) == pytest.approx(np.ones(9))


def test_the_moment_network_sees_angles() -> None:
    """Two crystals of equal distances but other angles: a chain's atoms bent by 90° or straight."""
    torch.manual_seed(0)
    network = MomentNet(1, width=8, layers=1).double().eval()
    straight, bent = torch.tensor([[2.0, 0, 0], [-2.0, 0, 0]]), torch.tensor([[2.0, 0, 0], [0, 2.0, 0]])
    answers = [float(network(_pair(vectors.double())).detach()) for vectors in (straight, bent)]
    assert abs(answers[0] - answers[1]) > 1e-6


def _pair(vectors: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "numbers": torch.tensor([41]),
        "owner": torch.tensor([0]),
        "center": torch.tensor([0, 0]),
        "neighbour": torch.tensor([0, 0]),
        "vectors": vectors,
        "distances": vectors.norm(dim=1),
        "atoms": torch.tensor([1]),
        "rows": torch.zeros(1, 133).double(),
    }


def test_sum_by_adds_rows_of_an_index() -> None:
    values = torch.tensor([[1.0], [2.0], [4.0]])
    assert sum_by(values, torch.tensor([1, 0, 1]), 3).tolist() == [[2.0], [5.0], [0.0]]


def test_a_batch_keeps_structures_apart() -> None:
    torch.manual_seed(0)
    network = Cgcnn(1).eval()
    structures = [nbo(), PEROVSKITE, RUTILE]
    items = ENCODER.encode(structures)
    with torch.inference_mode():
        together = network(ENCODER.collate(items))
        alone = torch.cat([network(ENCODER.collate([item])) for item in items])
    assert torch.allclose(together, alone, atol=1e-5)
