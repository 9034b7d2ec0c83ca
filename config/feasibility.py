"""What a campaign file may not ask for although each of its keys is sound: such a campaign could not work.

Checked where a file is read, not in the spec: what is stored from an older Niobe stays readable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from niobe.config.goals.spec import OF_OBJECTIVES
from niobe.config.potentials import unknown_to
from niobe.config.search.limits import Limits
from niobe.config.spec import CampaignSpec

_ROUNDING = 1e-6


def why_not(spec: CampaignSpec) -> str:
    """The first reason why the campaign could not work, with the key it lies at, or ""."""
    return next(_reasons(spec), "")


def _reasons(spec: CampaignSpec) -> Iterator[str]:
    if unknown := spec.oracle.unknown(spec.elements):
        key = "oracle.elements" if spec.oracle.elements else "oracle.name"
        yield _not_known(key, spec.oracle.calculator or spec.oracle.name, unknown)
    potentials: dict[str, str] = {}
    if spec.prerelax is not None:
        potentials["prerelax.potential"] = spec.prerelax.potential
    if spec.phonons.enabled and spec.phonons.oracle is not None:
        potentials["phonons.oracle"] = spec.phonons.oracle
    for rank, name in enumerate(spec.confirm.oracles if spec.confirm.enabled else ()):
        potentials[f"confirm.oracles.{rank}"] = name
    for key, potential in potentials.items():
        if unknown := unknown_to(potential, spec.elements):
            yield _not_known(key, potential, unknown)
    if not any(_fits(spec.sought, spec.sought_elements, n) for n in _sizes(spec.sought)):
        has = f"fractions {spec.limits.fractions}" if spec.limits.fractions else "one atom of each"
        yield (
            f"limits: no cell of {spec.limits.min_atoms} to {spec.limits.max_atoms} atoms of "
            f"{', '.join(spec.elements)} has {has}"
        )
    if spec.surrogate.model == "mlip_prior" and spec.prerelax is not None:
        yield "surrogate.model: mlip_prior has CHGNet as a prior mean of its own; allowed with prerelax: null"
    if spec.surrogate.model == "mlip_prior" and spec.oracle.name == "chgnet":
        yield "surrogate.model: mlip_prior is CHGNet, the oracle; what ranks may not judge"
    if spec.surrogate.checkpoint is not None and spec.prerelax is not None:
        yield "surrogate.checkpoint: learned no differences from a potential; allowed with prerelax: null"
    if spec.challenge.enabled and spec.prerelax is None:
        yield "challenge: the pre-relaxation potential looks for what lies lower; allowed with prerelax"
    generators = {part.name for part in spec.generation.mix}
    if "soft_mode" in generators and not spec.phonons.enabled:
        yield "generation.mix: soft_mode follows what phonons found; allowed with phonons.enabled: true"
    if spec.phonons.confirm_length < spec.phonons.min_length:
        yield "phonons.confirm_length: the second cell is no larger; allowed from phonons.min_length on"
    if spec.generation.phonon_critic and "gan" not in generators:
        yield "generation.phonon_critic: judges what the GAN draws; allowed with gan in generation.mix"
    if any(goal.sign for goal in spec.goals) and spec.acquisition.function != OF_OBJECTIVES:
        yield f"acquisition.function: goals to maximize or minimize need {OF_OBJECTIVES}, the default then"
    if spec.acquisition.function == "p_target" and not spec.phonons.enabled:
        yield "acquisition.function: p_target needs phonons; p_hull is the same without"


def _not_known(key: str, potential: str, unknown: list[str]) -> str:
    return f"{key}: {potential} does not know {unknown[0]}; chgnet, lj and vasp know all elements"


def _sizes(limits: Limits) -> range:
    return range(limits.min_atoms, limits.max_atoms + 1)


def _fits(limits: Limits, elements: tuple[str, ...], n: int) -> bool:
    """Whether n atoms can be shared among the elements within the limits' fractions."""
    least = 1 if limits.all_elements else 0
    shares = [limits.fractions.get(symbol, (0.0, 1.0)) for symbol in elements]
    fewest = [max(math.ceil(n * (low - _ROUNDING)), least) for low, _ in shares]
    most = [math.floor(n * (high + _ROUNDING)) for _, high in shares]
    return sum(fewest) <= n <= sum(most) and all(a <= b for a, b in zip(fewest, most, strict=True))
