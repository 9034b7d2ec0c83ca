"""What a campaign would cost, from figures measured on two cores (docs/benchmarks.md); vasp is a guess."""

from __future__ import annotations

from typing import Any

from config.settings import Settings
from config.spec import CampaignSpec

_SECONDS_PER_VALIDATION = {
    "7net-0": 12.0,
    "7net-l3i5": 30.0,
    "chgnet": 15.0,
    "emt": 1.0,
    "lj": 1.0,
    "vasp": 7200.0,
}


def estimate(spec: CampaignSpec) -> dict[str, Any]:
    """Counts and expected oracle time of a campaign; wall time is over this machine's workers."""
    validations = min(spec.budget.validations, spec.budget.rounds * spec.acquisition.batch)
    seeds = spec.seeds.max_prototypes * spec.seeds.prototypes + 3 * len(spec.elements)
    oracle = (validations + seeds) * _SECONDS_PER_VALIDATION[spec.oracle.name]
    return {
        "campaign": spec.id,
        "system": spec.chemsys,
        "rounds": spec.budget.rounds,
        "validations": validations,
        "seeds up to": seeds,
        "oracle": spec.oracle.name,
        "oracle minutes": round(oracle / 60, 1),
        "wall minutes": round(oracle / 60 / Settings().workers, 1),
    }
