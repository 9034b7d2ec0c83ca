"""What a campaign would cost, from what the worked example took on two busy cores; vasp is a guess."""

from __future__ import annotations

from typing import Any

from niobe.config.potentials import PrerelaxPotential
from niobe.config.settings import Settings
from niobe.config.spec import CampaignSpec, Prerelaxation

_SECONDS_PER_VALIDATION = {
    "7net-0": 6.5,
    "7net-l3i5": 15.0,
    "7net-mf-0-pbe": 6.5,
    "7net-mf-0-r2scan": 6.5,
    "chgnet": 8.0,
    "chgnet-r2scan": 8.0,
    "emt": 1.0,
    "lj": 1.0,
    "vasp": 7200.0,
    "gpaw": 300.0,
}
_SECONDS_PER_STEP: dict[PrerelaxPotential, float] = {
    "chgnet": 0.02,
    "7net-0": 0.07,
    "emt": 0.001,
    "lj": 0.001,
}
_SECONDS_UNKNOWN = 30.0
"""Of an oracle of another package, which nobody has timed here."""
_SECONDS_OF_LEARNING = 20.0
"""Of one round: training, drawing, screening and ranking some hundred candidates."""


_SHARE_OF_PHONONS = 0.8
"""Of a validation's time, by the archived runs of Nb-O with phonons (tests/benchmarks/runs)."""
_SHARE_OF_A_MODULUS = 0.45
"""Of a validation: seven energies of a crystal of Al-Li take 7net-0 some 3 s (docs/goals.md)."""


def estimate(spec: CampaignSpec, own: int = 0) -> dict[str, Any]:
    """Counts and expected time of a campaign; wall time is over this machine's workers.

    own: structures that ``seeds.files`` hold.
    """
    from niobe.loop.campaign.competition import most_of_an_element
    from niobe.loop.generators.elements import elemental_references

    validations = min(spec.budget.validations, spec.budget.rounds * spec.acquisition.batch)
    recomputed = spec.recompute.budget if spec.sources else 0
    compounds = sum("-" in system for system in spec.subsystems())
    choices = 1 if spec.prerelax is None else 2
    prototypes = choices * spec.seeds.max_prototypes * spec.seeds.prototypes * compounds
    crystals = (len(elemental_references([symbol])) for symbol in spec.elements)
    references = sum(min(found, most_of_an_element(spec)) + 1 for found in crystals)
    seeds = references + prototypes + own + recomputed
    further = _further(spec, validations + seeds, len(spec.elements) + spec.seeds.max_prototypes * compounds)
    oracle = _seconds_of_oracles(spec, validations, seeds, further)
    candidates = spec.budget.rounds * spec.generation.candidates
    prerelax = candidates * _seconds_of_prerelaxation(spec.prerelax) if spec.prerelax else 0.0
    wall = (oracle + prerelax) / Settings().workers + spec.budget.rounds * _SECONDS_OF_LEARNING
    challenge = spec.challenge.share * spec.challenges_finds
    all_else = oracle + spec.budget.rounds * _SECONDS_OF_LEARNING
    confirm = spec.confirm.seconds or spec.confirm.share * all_else
    finds = challenge * all_else + confirm * (spec.confirm.enabled and bool(spec.confirm.oracles))
    return {
        "campaign": spec.id,
        "system": spec.chemsys,
        "rounds": spec.budget.rounds,
        "candidates": candidates,
        "validations": validations,
        "seeds up to": seeds,
        **{name: count for name, count in further.items() if count},
        "oracle": spec.oracle.name,
        **({"conditions": spec.conditions.words} if spec.conditions.words else {}),
        "oracle minutes": round(oracle / 60, 1),
        "prerelax": spec.prerelax.potential if spec.prerelax else "none",
        "pre-relaxation minutes": round(prerelax / 60, 1),
        "wall minutes": round(wall / 60, 1),
        "challenge and confirm minutes up to": round(finds / 60, 1),
    }


def _seconds_of_oracles(spec: CampaignSpec, validations: int, seeds: int, further: dict[str, int]) -> float:
    """Of the oracle and of who judges phonons, which seeds, as a rule, do not get."""
    each = _SECONDS_PER_VALIDATION.get(spec.oracle.name, _SECONDS_UNKNOWN)
    judge = _SECONDS_PER_VALIDATION.get(spec.phonon_oracle.name, _SECONDS_UNKNOWN)
    phonons = _SHARE_OF_PHONONS * (judge - each) if spec.phonons.enabled else 0.0
    asked = validations + seeds + _SHARE_OF_A_MODULUS * further["asked for goals up to"]
    return asked * each + validations * phonons + further["force constants up to"] * judge


def _further(spec: CampaignSpec, results: int, compositions: int) -> dict[str, int]:
    """What the oracle is asked besides validations, at most: of results for goals, of the phases of so many
    compositions for force constants where finds compete at a temperature. A property by path is code, which
    nothing imports here, and counts as computed without the oracle."""
    from niobe.flows.goals.measuring import MOST_ASKED
    from niobe.flows.goals.resolving import property_of

    by_oracle = sum(property_of(goal).needs == "oracle" for goal in spec.goals if not goal.is_path)
    asked = min(results, MOST_ASKED * (spec.budget.rounds + 1))
    return {
        "asked for goals up to": by_oracle * asked,
        "force constants up to": compositions if spec.conditions.temperature else 0,
    }


def _seconds_of_prerelaxation(prerelax: Prerelaxation) -> float:
    """Seconds for one candidate, on average."""
    steps = prerelax.steps if prerelax.keep == 1 else prerelax.first_steps + prerelax.keep * prerelax.steps
    return steps * _SECONDS_PER_STEP[prerelax.potential]
