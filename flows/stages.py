"""The plan of a round: one table of its stages, from which come the job graph, what a distributed launcher
submits next, and what a running campaign is said to be doing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from niobe.config.potentials import BATCHED
from niobe.config.spec import CampaignSpec

SEED_SLOTS = 8
PRERELAX_SLOTS = 8
CHALLENGE_SLOTS = 4
CONFIRM_SLOTS = 4
DFT_SLOTS = 16
"""Each answer takes minutes: one worker is not left alone with several while others have come to an end."""
GOAL_SLOTS = 4
THERMAL_SLOTS = 4
SCREEN_SLOTS = 8
GPU_SLOTS = 2
"""Jobs that share what a GPU is asked about together: one stores its answers while it has the other's."""
DRAWN_AT_ONCE = 5_000
"""Samples of a generator that are held before they are stored: some 100 MB."""
OFFSPRING_BATCHES = 4
"""A child that comes out low can have children itself in the next batch: docs/experiments/0092."""

_SEEDS = "validating seeds and competing phases"

Kind = Literal["learning", "prerelax", "oracle", "dft"]


@dataclass(frozen=True)
class Stage:
    """One stage of a round.

    name: as ``RoundRecord.steps`` and job names have it. job: the function of ``flows.jobs`` behind it.
    needs: names of the stages whose jobs end first. kind: what machine it wants, one that learns, one for the
    cheap potential, one for the oracle or one for the DFT that confirms. label: what a running campaign is
    said to be doing.
    slots: how many jobs share its work; None for one job, which is marked done in the round.
    arguments: what the job takes besides campaign and round. lenient: it runs although a job before it died.
    """

    name: str
    job: str
    needs: tuple[str, ...] = ()
    kind: Kind = "learning"
    label: str = ""
    slots: int | None = None
    arguments: tuple[int, ...] = ()
    lenient: bool = False


def plan(spec: CampaignSpec, number: int) -> tuple[Stage, ...]:
    """The stages of round ``number`` (0: seeds), each after those that it needs."""
    if number == 0:
        judged = tuple(_judgement("validate_further", SEED_SLOTS, _SEEDS))
        return (*_seeding(spec), *judged, *_conclusion(spec, number, judged[-1].name))
    slots, label = spec.acquisition.batch, "validating"
    validation = Stage(
        "validate", "validate", ("acquire",), "oracle", label, _sharing(spec, spec.oracle.name, slots)
    )
    judged = tuple(_judgement("validate", slots, label))
    return (*_discovery(spec), validation, *judged, *_conclusion(spec, number, judged[-1].name))


def preparation(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages of a plan up to the validation of its batch."""
    first = next(index for index, stage in enumerate(stages) if stage.name == "validate")
    return tuple(stages[:first])


def conclusion(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages of a plan after the phonons of its batch."""
    last = next(index for index, stage in enumerate(stages) if stage.name == "phonons")
    first, *rest = stages[last + 1 :]
    return (replace(first, needs=()), *rest)


def current(stages: Sequence[Stage], done: Collection[str]) -> Stage | None:
    """The stage after the last one of a plan that is done, by the names that a round holds; None at the end.

    A stage of several slots has no name there; one whose job died may be missing for good.
    """
    reached = max((index for index, stage in enumerate(stages, start=1) if stage.name in done), default=0)
    return next(iter(stages[reached:]), None)


def _seeding(spec: CampaignSpec) -> Iterator[Stage]:
    """Seeds and what competes. On one machine the GAN learns from its corpus beside that, so that no worker
    waits for it in round 1."""
    yield Stage("seed", "seed", label="making seeds")
    if spec.launcher == "local" and any(part.name == "gan" for part in spec.generation.mix):
        yield Stage("train_gan", "train_gan", ("seed",), label="train gan")
    if spec.prerelax is not None:
        yield _prerelax(spec, "prerelax", "seed", "pre-relaxing competing phases")
    ranked = spec.prerelax is not None
    before = ("seed", "prerelax") if ranked else ("seed",)
    choosing = "choosing competing phases"
    yield Stage("compete", "compete", before, label=choosing, lenient=ranked)
    sharing = _sharing(spec, spec.oracle.name, SEED_SLOTS)
    yield Stage("validate", "validate", ("compete",), "oracle", _SEEDS, sharing)
    yield Stage("compete_further", "compete_further", ("validate",), label=choosing, lenient=True)
    yield Stage("validate_further", "validate", ("compete_further",), "oracle", _SEEDS, sharing)


def _discovery(spec: CampaignSpec) -> Iterator[Stage]:
    """Train, draw, screen, pre-relax, perhaps draw offspring of that a few times, predict, acquire."""
    yield Stage("train_surrogate", "train_surrogate", label="train surrogate")
    yield Stage("train_gan", "train_gan", label="train gan")
    learned = ("train_gan", "train_surrogate") if spec.generation.phonon_critic else ("train_gan",)
    yield Stage("generate", "generate", learned, label="generate")
    yield from _in_parts(-(-spec.generation.candidates // DRAWN_AT_ONCE))
    before = [*_prerelaxation(spec, "screen", 0)]
    for batch in range(1, OFFSPRING_BATCHES + 1) if spec.draws_offspring else ():
        drawn = Stage(
            f"offspring_{batch}",
            "draw_offspring",
            tuple(stage.name for stage in before),
            label=f"draw offspring, batch {batch}",
            arguments=(batch, OFFSPRING_BATCHES),
            lenient=True,
        )
        before += [drawn, *_prerelaxation(spec, drawn.name, batch)]
    yield from before
    asked = ("train_surrogate", "screen", *(stage.name for stage in before))
    yield from _prediction(spec, asked)
    yield Stage("acquire", "acquire", ("predict",), label="acquire")


def _prediction(spec: CampaignSpec, after: tuple[str, ...]) -> Iterator[Stage]:
    """One job for all; of rounds that are drawn in parts, shared by composition once what is known is set
    aside."""
    if spec.generation.candidates <= DRAWN_AT_ONCE:
        yield Stage("predict", "predict", after, label="predict", lenient=True)
        return
    yield Stage("set_aside", "set_aside", after, label="predict", lenient=True)
    slots, needs = SCREEN_SLOTS, ("set_aside",)
    yield Stage("predict", "predict_compositions", needs, label="predict", slots=slots, lenient=True)


def _in_parts(parts: int) -> Iterator[Stage]:
    """Further parts of the drawing, if any, and screening, which is then shared by composition."""
    if parts == 1:
        yield Stage("screen", "screen", ("generate",), label="screen")
        return
    further = [
        Stage(f"generate_{part}", "generate", ("generate",), label="generate", arguments=(part,))
        for part in range(2, parts + 1)
    ]
    yield from further
    drawn = ("generate", *(stage.name for stage in further))
    yield Stage("screen", "screen_compositions", drawn, label="screen", slots=SCREEN_SLOTS)


def _prerelaxation(spec: CampaignSpec, after: str, batch: int) -> Iterator[Stage]:
    """Ask the cheap potential, once or twice; not at all without one. batch: of offspring, 0 for all else."""
    if spec.prerelax is None:
        return
    of = f", offspring batch {batch}" if batch else ""
    end = f"_{batch}" if batch else ""
    what = "offspring" if batch else "candidates"
    yield _prerelax(spec, f"prerelax{end}", after, f"pre-relaxing {what}{of}")
    if spec.prerelax.keep == 1:
        return
    further = f"relaxing the promising further{of}"
    chosen = Stage(
        f"choose_promising{end}",
        "choose_promising",
        (f"prerelax{end}",),
        label=further,
        arguments=(batch,),
        lenient=True,
    )
    yield chosen
    slots = _sharing(spec, spec.prerelax.potential, PRERELAX_SLOTS)
    yield Stage(f"relax_promising{end}", "relax_promising", (chosen.name,), "prerelax", further, slots)


def _prerelax(spec: CampaignSpec, name: str, after: str, label: str) -> Stage:
    potential = spec.prerelax.potential if spec.prerelax else ""
    return Stage(name, "prerelax", (after,), "prerelax", label, _sharing(spec, potential, PRERELAX_SLOTS))


def _sharing(spec: CampaignSpec, potential: str, slots: int) -> int:
    """How many jobs share relaxations: few where the campaign wants a GPU, asked about many at once."""
    together = potential in BATCHED and spec.oracle.device == "cuda" and not spec.conditions.pressure
    return min(GPU_SLOTS, slots) if together else slots


def _judgement(after: str, slots: int, label: str) -> Iterator[Stage]:
    """Once the batch is relaxed: phonons near its hull, then close."""
    yield Stage("choose_phonons", "choose_phonons", (after,), label=label, lenient=True)
    yield Stage("phonons", "phonons", ("choose_phonons",), "oracle", label, slots)


def _who_confirms(spec: CampaignSpec) -> tuple[Kind, int]:
    """What machine confirmation wants, and how many jobs share it."""
    return ("dft", DFT_SLOTS) if spec.confirm.by_dft else ("oracle", CONFIRM_SLOTS)


def _conclusion(spec: CampaignSpec, number: int, before: str) -> Iterator[Stage]:
    """Challenge the finds, ask other oracles about those that survive, measure goals, compute force constants
    of what finds compete with at a temperature, close. Round 0 has no finds."""
    if number and spec.challenges_finds:
        label = "challenging finds"
        yield Stage("choose_finds", "choose_finds", (before,), label=label, lenient=True)
        yield Stage("challenge", "challenge", ("choose_finds",), "oracle", label, CHALLENGE_SLOTS)
        before = "challenge"
    if number and spec.confirm.enabled and spec.confirm.oracles:
        label = "asking other oracles about finds"
        kind, slots = _who_confirms(spec)
        yield Stage("confirm", "confirm", (before,), kind, label, slots, lenient=True)
        before = "weigh_opinions"
        yield Stage(before, "weigh_opinions", ("confirm",), label=label, lenient=True)
    if spec.goals:
        label, first = "measuring goals", "compute_goals"
        yield Stage(first, first, (before,), label=label, lenient=True)
        yield Stage("ask_goals", "ask_goals", (first,), "oracle", label, GOAL_SLOTS, lenient=True)
        before = "ask_goals"
    if number and spec.conditions.temperature:
        label, needed = "force constants of what finds compete with", (before,)
        before = "force_constants"
        yield Stage(before, before, needed, "oracle", label, THERMAL_SLOTS, lenient=True)
    yield Stage("close", "close", (before,), label="closing", lenient=True)
