"""What a campaign would cost, from what the worked example took on two busy cores; vasp is a guess."""

from __future__ import annotations

from typing import Any

from niobe.config.potentials import PriorName
from niobe.config.settings import Settings
from niobe.config.spec import CampaignSpec, Prior

_SECONDS_PER_VALIDATION = {
    "7net-0": 6.5,
    "7net-l3i5": 15.0,
    "chgnet": 8.0,
    "emt": 1.0,
    "lj": 1.0,
    "vasp": 7200.0,
}
_SECONDS_PER_STEP: dict[PriorName, float] = {"chgnet": 0.02, "7net-0": 0.07, "emt": 0.001, "lj": 0.001}
_SECONDS_OF_LEARNING = 20.0
"""Of one round: training, drawing, screening and ranking some hundred candidates."""


def estimate(spec: CampaignSpec, own: int = 0) -> dict[str, Any]:
    """Counts and expected time of a campaign; wall time is over this machine's workers.

    own: structures that ``seeds.files`` hold.
    """
    validations = min(spec.budget.validations, spec.budget.rounds * spec.acquisition.batch)
    recomputed = spec.recompute.budget if spec.sources else 0
    prototypes = spec.seeds.max_prototypes * spec.seeds.prototypes
    seeds = 3 * len(spec.elements) + prototypes + own + recomputed
    oracle = (validations + seeds) * _SECONDS_PER_VALIDATION[spec.oracle.name]
    candidates = spec.budget.rounds * spec.generation.candidates
    prior = candidates * _seconds_of_prior(spec.prior) if spec.prior else 0.0
    wall = (oracle + prior) / Settings().workers + spec.budget.rounds * _SECONDS_OF_LEARNING
    return {
        "campaign": spec.id,
        "system": spec.chemsys,
        "rounds": spec.budget.rounds,
        "candidates": candidates,
        "validations": validations,
        "seeds up to": seeds,
        "oracle": spec.oracle.name,
        "oracle minutes": round(oracle / 60, 1),
        "prior": spec.prior.potential if spec.prior else "none",
        "prior minutes": round(prior / 60, 1),
        "wall minutes": round(wall / 60, 1),
    }


def _seconds_of_prior(prior: Prior) -> float:
    """Seconds for one candidate, on average."""
    steps = prior.steps if prior.keep == 1 else prior.first_steps + prior.keep * prior.steps
    return steps * _SECONDS_PER_STEP[prior.potential]
