"""The ablation series of a generative benchmark: one campaign with its parts off, then on, one after the
other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from niobe.config.loading import with_changes
from niobe.config.plugins import AcquisitionName
from niobe.config.spec import CampaignSpec

BASELINE = "random"
_FROM_PARENTS = ("offspring", "soft_mode")
_WITHOUT_STABILITY: Mapping[AcquisitionName, AcquisitionName] = {"p_target": "p_hull"}


@dataclass(frozen=True)
class Size:
    """What every run may spend: oracle calls, how many of them at once, candidates drawn a round."""

    calls: int
    batch: int
    candidates: int


SIZES = {"short": Size(calls=12, batch=4, candidates=30), "full": Size(calls=50, batch=10, candidates=500)}


@dataclass(frozen=True)
class Setting:
    """A campaign with all parts up to and with the one that names the setting."""

    name: str
    adds: str
    spec: CampaignSpec


def ablation_series(spec: CampaignSpec, size: Size) -> list[Setting]:
    """The settings of a campaign file, each with one part more than the one before; the last is the file's
    own.

    Parts that the file does not have make no setting. No setting draws controls: the first one is the
    control.
    """
    settings: list[Setting] = []
    current = with_changes(spec, _same_for_all(spec, size))
    for name, adds, changes in _steps(spec):
        changed = with_changes(current, changes)
        if not settings or changed != current:
            settings.append(Setting(name, adds, changed))
        current = changed
    return settings


def _same_for_all(spec: CampaignSpec, size: Size) -> Mapping[str, Any]:
    rounds = -(-size.calls // size.batch)
    return {
        "budget": {"rounds": rounds, "validations": size.calls},
        "acquisition.batch": size.batch,
        "acquisition.control_share": 0.0,
        "generation.candidates": size.candidates,
        "generation.bandit": False,
        "policy.patience": None,
        "asynchronous": False,
        "launcher": "local",
    }


def _steps(spec: CampaignSpec) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Name, what it adds and what it changes, in order; the first switches everything off."""
    generation = spec.generation
    from_nothing = [part for part in generation.mix if part.name not in _FROM_PARENTS] or generation.mix
    without_modes = [part for part in generation.mix if part.name != "soft_mode"] or generation.mix
    off = {
        "generation.mix": [{"name": "random"}],
        "generation.finetune": False,
        "generation.phonon_critic": False,
        "acquisition.function": "random",
        "surrogate.retrain": False,
        "phonons.enabled": False,
        "prerelax": None,
    }
    function = spec.acquisition.function
    phonons = {
        "phonons.enabled": spec.phonons.enabled,
        "generation.mix": generation.mix,
        "acquisition.function": _WITHOUT_STABILITY.get(function, function),
    }
    modes = any(part.name == "soft_mode" for part in generation.mix)
    p_stable = {"acquisition.function": function, "generation.phonon_critic": generation.phonon_critic}
    return [
        (BASELINE, "random generator, random choice", off),
        ("generators", "+ GAN", {"generation.mix": from_nothing}),
        ("greedy", "+ greedy surrogate", {"acquisition.function": "greedy"}),
        ("acquisition", "+ acquisition", {"acquisition.function": function}),
        ("retraining", "+ retraining", {"surrogate.retrain": spec.surrogate.retrain}),
        ("finetuning", "+ fine-tuning the GAN", {"generation.finetune": generation.finetune}),
        ("prerelax", "+ potential as prior mean", {"prerelax": spec.prerelax}),
        ("offspring", "+ offspring", {"generation.mix": without_modes}),
        ("phonons", "+ phonons, soft modes" if modes else "+ phonons", phonons),
        ("p_stable", "+ P(dynamically stable)", p_stable),
    ]
