"""torch-sim answers in a batch what Niobe's potential answers alone. Skipped where it is not installed."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.batched_relaxations import agree, asked_together, differences, relaxed_together
from tests.loop.factory import nbo, rutile

pytest.importorskip("torch_sim", reason="torch-sim is not installed: pip install 'niobe-crystals[batched]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # of sevenn and torch-sim
CRYSTALS = [nbo(4.3).perturb(0.05, seed=1), rutile().perturb(0.05, seed=2), nbo(4.2)]


def test_a_batch_answers_as_single_structures_do() -> None:
    apart = differences("cpu", CRYSTALS)
    assert agree(apart), apart
    (turned,) = asked_together("cpu", CRYSTALS[1:2]).energies
    assert turned == pytest.approx(asked_together("cpu", CRYSTALS).energies[1], abs=1e-5)


def test_relaxed_in_a_batch_they_keep_their_order_and_end_lower() -> None:
    before, after = asked_together("cpu", CRYSTALS), relaxed_together("cpu", CRYSTALS)
    assert (after.energies < before.energies).all()
    assert after.energies[0] == pytest.approx(after.energies[2], abs=2e-3)  # the same crystal
    assert not np.isclose(after.energies[0], after.energies[1], atol=0.1)
    assert np.abs(after.stresses).max() < 1.0  # GPa
