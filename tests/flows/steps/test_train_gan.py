"""What the campaign's own records teach the GAN."""

from __future__ import annotations

import numpy as np
import pytest

from niobe.flows.steps.train import gan_targets, gan_weights
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import StructureRecord, Verdict
from tests.loop.factory import rutile, validated


def judged(above: float, outcome: Stability) -> StructureRecord:
    verdict = Verdict(
        formation_energy_per_atom=-1.0, e_above_hull_found=above, e_above_hull_now=above, hull_round=1
    )
    return validated(rutile(), -9.0, outcome=outcome).model_copy(update={"verdict": verdict})


def test_only_what_is_near_the_hull_and_not_known_to_be_unstable_shows_what_stable_is() -> None:
    cases = [
        (0.0, Stability.STABLE, 1.0, True),
        (0.0, Stability.UNDECIDED, 1.0, True),
        (0.0, Stability.UNSTABLE, 0.5, False),
        (0.1, Stability.STABLE, np.exp(-1), False),
        (2.0, Stability.UNSTABLE, 0.01, False),
    ]
    records = [judged(above, outcome) for above, outcome, _, _ in cases]
    assert gan_weights(records) == pytest.approx([weight for *_, weight, _ in cases])
    assert gan_targets(records).tolist() == [target for *_, target in cases]
