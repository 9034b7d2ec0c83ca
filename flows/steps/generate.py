"""Candidate steps: draw structures from the campaign's generators, set aside what is invalid or known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from niobe.config.spec import CampaignSpec
from niobe.flows.goals.candidates import why_out_by_composition
from niobe.flows.stages import DRAWN_AT_ONCE
from niobe.flows.steps.checkpoints import fetched_checkpoint
from niobe.flows.steps.generators import RoundContext, make_generator
from niobe.flows.steps.known import Relatives, SeenBefore, known_elsewhere, with_crystals
from niobe.flows.steps.requests import drawn_in_subsystems, request_for, sample_request
from niobe.loop.campaign.seeds import excluded_structures, new_record
from niobe.loop.crystals.similarity import SeenStructures, Shape
from niobe.loop.crystals.validity import why_invalid
from niobe.loop.documents.records import Lineage, Status, StructureRecord
from niobe.loop.documents.rounds import Diversity, RoundRecord
from niobe.loop.documents.structures import candidate_structure, generated_structure, relaxed_structure
from niobe.loop.generators.mix import bandit_shares, counts, without
from niobe.loop.generators.mode_collapse import diversity, why_collapsed
from niobe.loop.generators.parents import at_rest, is_at_rest
from niobe.loop.stability.prerelaxed import briefly_prerelaxed
from niobe.loop.store.database import Database
from niobe.surrogates.protocols import Sample, SampleBatch

if TYPE_CHECKING:
    from pymatgen.core import Structure

_UNTRAINED = ("random", "prototype")
_AVOIDING = ("gan", "substitution")
"""They are told what is known, and draw something else."""
_FROM_LIBRARY = ("prototype", "substitution")
_BANDIT_DRAWS = 2000


def generate(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Draw candidates from every generator of the mix and store them as records.

    Soft modes are followed first; what finds no mode to follow, the others draw. In a round that draws
    offspring last, offspring are left to ``draw_offspring``. Where the GAN has collapsed or had nothing to
    learn from, a note says so, its samples are rejected and the others draw its part.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    number, total = round_record.number, spec.generation.candidates
    context = RoundContext(spec, number, database)
    mix, missing = _without_untrained(database, spec, number, _shares(database, spec, number))
    database.rounds.add_notes(spec.id, number, missing)
    modes = _sample(context, "soft_mode", counts(mix, total).get("soft_mode", 0))
    mix.pop("soft_mode", None)
    wanted = counts(mix, total - len(modes.samples))
    database.rounds.update_open(spec.id, number, wanted=wanted)
    drawn_now = [name for name in wanted if name != "offspring" or not spec.draws_offspring]
    asked = {name: wanted[name] for name in drawn_now}
    batches = _first_part(context, asked) | {"soft_mode": modes}
    batches |= drawn_in_subsystems(spec, number)
    if wanted.get("gan"):
        found = _diversity(context, batches["gan"], min(wanted["gan"], DRAWN_AT_ONCE))
        database.rounds.update(spec.id, number, metrics__diversity=found)
        reason = why_collapsed(found)
        if reason:
            instead = counts(without(mix, "gan", _UNTRAINED), wanted["gan"])
            note = f"the GAN collapsed ({reason}); {', '.join(sorted(instead))} drew its {wanted['gan']}"
            database.rounds.add_notes(spec.id, number, [note])
            fallback = {f"{name}/fallback": n for name, n in instead.items()}
            asked = {name: n for name, n in asked.items() if name != "gan"} | fallback
            batches = _fall_back(batches, _first_part(context, fallback))
    drawn = sum(len(batch.samples) for batch in batches.values())
    database.rounds.update_open(spec.id, number, further=_further_parts(asked, start=drawn))
    rejected = _store(database, spec, number, batches)
    _add_rejected(database, spec, number, rejected)


def _first_part(context: RoundContext, asked: Mapping[str, int]) -> dict[str, SampleBatch]:
    """Up to ``DRAWN_AT_ONCE`` samples of each generator. asked: by generator, and by what for."""
    return {key: _sample(context, key, min(n, DRAWN_AT_ONCE)) for key, n in asked.items()}


def _further_parts(asked: Mapping[str, int], start: int) -> dict[str, dict[str, Any]]:
    """What each part after the first has to draw, by its number. A part that draws less than it was asked for
    leaves indexes unused.

    asked: by generator, and by what for. start: the index of the first sample.
    """
    parts = dict[str, dict[str, Any]]()
    for part in range(2, 1 + max((-(-count // DRAWN_AT_ONCE) for count in asked.values()), default=1)):
        left = {f"{key}/{part}": count - (part - 1) * DRAWN_AT_ONCE for key, count in asked.items()}
        samples = {key: min(count, DRAWN_AT_ONCE) for key, count in left.items() if count > 0}
        parts[str(part)] = {"start": start, "samples": samples}
        start += sum(samples.values())
    return parts


def generate_part(database: Database, spec: CampaignSpec, round_record: RoundRecord, *, part: int) -> None:
    """Draw one part of a large round beside the others, and store it; nothing where all was drawn before.

    database: the campaign database. spec: the campaign. round_record: the round. part: from 2.
    """
    number, further = round_record.number, round_record.further.get(str(part))
    if further is None:
        return
    context = RoundContext(spec, number, database)
    batches = {key: _sample(context, key, count) for key, count in further.samples.items()}
    rejected = _store(database, spec, number, batches, further.start)
    database.rounds.update(spec.id, number, **{f"further__{part}__rejected": rejected})


def _without_untrained(
    database: Database, spec: CampaignSpec, number: int, mix: dict[str, float]
) -> tuple[dict[str, float], list[str]]:
    """The mix without a GAN that had nothing to learn from, and the note that says so."""
    if "gan" not in mix or fetched_checkpoint(database, spec.id, number, "gan").is_dir():
        return mix, []
    left = without(mix, "gan", [name for name in mix if name != "gan"] or _UNTRAINED)
    return left, [f"no prototype that the GAN could learn from; {', '.join(sorted(left))} drew its part"]


def draw_offspring(
    database: Database,
    spec: CampaignSpec,
    round_record: RoundRecord,
    *,
    offspring_batch: int,
    offspring_batches: int,
) -> None:
    """Draw one batch of the round's offspring, once all before it is pre-relaxed, and screen it.

    It is compared with relaxed crystals, so that most of what it can repeat is found; the choice after
    pre-relaxation finds the rest.

    database: the campaign database. spec: the campaign. round_record: the round. offspring_batch: which of
    the batches, from 1. offspring_batches: how many there are.
    """
    number, context = round_record.number, RoundContext(spec, round_record.number, database)
    count = (round_record.wanted or _wanted_before(database, spec, number))["offspring"]
    first, end = (count * part // offspring_batches for part in (offspring_batch - 1, offspring_batch))
    batch = _sample(context, f"offspring/{offspring_batch}", end - first)
    drawn = database.records.find(spec.id, round=number)
    others = [record.index for record in drawn if record.lineage.generator != "offspring"]
    start = max(others, default=-1) + 1 + first
    rejected = _store(database, spec, number, {f"offspring/{offspring_batch}": batch}, start)
    _add_rejected(database, spec, number, rejected)
    formulas = set(database.search.formulas(spec.id, round=number, status=Status.GENERATED.value))
    alike = [record for record in _known_records(context) if record.formula_reduced in formulas]
    _screen(database, spec, number, _at_rest_or_waiting(alike))


def _wanted_before(database: Database, spec: CampaignSpec, number: int) -> dict[str, int]:
    """What was asked in a round that an older Niobe, which did not keep it, left open."""
    return counts(_shares(database, spec, number), spec.generation.candidates)


def _store(
    database: Database, spec: CampaignSpec, number: int, batches: dict[str, SampleBatch], start: int = 0
) -> dict[str, int]:
    """Samples become records, numbered from ``start``; those that were rejected, by generator and reason.

    batches: by generator, and by what for where it draws more than once (``generator/fallback``).
    """
    drawn = [(key.split("/")[0], sample) for key, batch in batches.items() for sample in batch.samples]
    records = [
        new_record(spec, number, index, sample.structure, _lineage(spec, number, name, sample))
        for index, (name, sample) in enumerate(drawn, start)
    ]
    database.records.insert(records)
    return {f"{key}: {why}": lost for key, batch in batches.items() for why, lost in batch.rejected.items()}


def _add_rejected(database: Database, spec: CampaignSpec, number: int, rejected: Mapping[str, int]) -> None:
    before = database.rounds.get(spec.id, number).metrics.rejected_by_generator
    database.rounds.update(spec.id, number, metrics__rejected_by_generator=before | dict(rejected))


def _lineage(spec: CampaignSpec, number: int, name: str, sample: Sample) -> Lineage:
    origin = dict(sample.origin)
    named = [str(origin.pop(key)) for key in ("parent", "other_parent") if key in origin]
    parents = list(dict.fromkeys(named))
    checkpoint = _checkpoint_name(spec, number, name)
    return Lineage(generator=name, checkpoint=checkpoint, parents=parents, origin=origin)


def _shares(database: Database, spec: CampaignSpec, number: int) -> dict[str, float]:
    """The mix of the campaign file, as its bandit has shifted it by this round."""
    shares: dict[str, float] = {part.name: part.share for part in spec.generation.mix}
    if not spec.generation.bandit:
        return shares
    earlier = [record for record in database.records.find(spec.id) if record.round < number]
    seed = spec.derived_seed(number, "generate/bandit")
    return bandit_shares(shares, earlier, draws=_BANDIT_DRAWS, seed=seed)


def _diversity(context: RoundContext, batch: SampleBatch, asked: int) -> Diversity:
    from niobe.surrogates.gan import CrystalGAN

    database, campaign, number = context.database, context.spec.id, context.number
    earlier = [record for record in _known_records(context) if record.round < number]
    return diversity(
        [sample.structure for sample in batch.samples],
        [relaxed_structure(record) for record in earlier],
        asked=asked,
        critic_gap=CrystalGAN.load(fetched_checkpoint(database, campaign, number, "gan")).critic_gap,
    )


def _fall_back(
    batches: Mapping[str, SampleBatch], drawn: Mapping[str, SampleBatch]
) -> dict[str, SampleBatch]:
    """The batches with the GAN's samples counted as rejected, and what was drawn for them."""
    rejected = dict(batches["gan"].rejected) | {"collapsed": len(batches["gan"].samples)}
    return {**batches, "gan": SampleBatch((), rejected), **drawn}


def _sample(context: RoundContext, key: str, count: int) -> SampleBatch:
    if count == 0:
        return SampleBatch((), {})
    name, spec = key.split("/")[0], context.spec
    request = sample_request(spec)
    if name in _AVOIDING:
        request = replace(request, known=_known(_known_records(context), context.number))
    generator = make_generator(context, name)
    return generator.sample(request, count, seed=spec.derived_seed(context.number, f"generate/{key}"))


def _known_records(context: RoundContext) -> list[StructureRecord]:
    """All that is no unasked competing phase: those are neither known nor candidates."""
    return [record for record in context.records() if not record.unasked]


def _known(records: Sequence[StructureRecord], number: int) -> list[Structure]:
    """What earlier rounds drew, and what the oracle made of it."""
    earlier = [record for record in records if record.round < number]
    results = [relaxed_structure(record) for record in earlier if record.validation is not None]
    return [generated_structure(record) for record in earlier] + results


def _checkpoint_name(spec: CampaignSpec, number: int, name: str) -> str | None:
    return f"{spec.id}/round-{number}/gan" if name == "gan" else None


def screen(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Mark invalid and duplicate candidates, before anything is spent on them.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    _screen(database, spec, round_record.number, SeenBefore(database, spec))


def screen_compositions(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """The same for every ``slots``-th composition of the round: crystals of two are never alike.

    database: the campaign database. spec: the campaign. number: of the round. slot: from 0. slots: how many
    share the round.
    """
    own = database.search.formulas(spec.id, round=number)[slot::slots]
    _screen(database, spec, number, SeenBefore(database, spec), {"formula_reduced": {"$in": own}})


def _screen(
    database: Database,
    spec: CampaignSpec,
    number: int,
    seen: SeenStructures | SeenBefore,
    which: Mapping[str, Any] | None = None,
) -> None:
    excluded = SeenStructures(excluded_structures(spec))
    why_out = why_out_by_composition(spec) if spec.goals else _nothing_wanted
    relatives = Relatives(database, spec)
    waiting = {"round": number, "status": Status.GENERATED.value} | dict(which or {})
    while drawn := database.records.find(spec.id, limit=DRAWN_AT_ONCE, **waiting):
        shapes = {record.id: Shape(record.id, generated_structure(record)) for record in drawn}
        screened = {
            r.id: _screen_one(spec, r, shapes[r.id], seen, excluded, why_out, exclude=relatives.higher(r))
            for r in drawn
        }
        database.records.update_many(screened, status=Status.GENERATED)
        passed = [record.model_copy(update=screened[record.id]) for record in drawn]
        database.shapes.keep(passed, shapes)


def _at_rest_or_waiting(records: Sequence[StructureRecord]) -> SeenStructures:
    """What is relaxed, and what was screened and waits for the cheap potential's short pre-relaxation."""
    seen = SeenStructures((record.id, at_rest(record)) for record in records if is_at_rest(record))
    for record in records:
        if record.status is Status.SCREENED and record.prerelaxed is None:
            seen.add(record.id, generated_structure(record))
    return seen


def _nothing_wanted(record: StructureRecord) -> str:
    return ""


def _screen_one(
    spec: CampaignSpec,
    record: StructureRecord,
    shape: Shape,
    seen: SeenStructures | SeenBefore,
    excluded: SeenStructures,
    why_out: Callable[[StructureRecord], str],
    *,
    exclude: Collection[str],
) -> dict[str, object]:
    reason = why_invalid(shape.structure, request_for(spec, record)) or why_out(record)
    if not reason and record.lineage.generator in _FROM_LIBRARY and excluded.find_shape(shape):
        reason = "excluded"
    if reason:
        return {"status": Status.INVALID, "reason": reason}
    original = seen.find_shape(shape, exclude=exclude)
    if original is not None:
        return {"status": Status.DUPLICATE, "reason": "duplicate", "duplicate_of": original.id}
    seen.add_shape(shape)
    return {"status": Status.SCREENED}


def mark_duplicates(database: Database, spec: CampaignSpec, number: int) -> None:
    """Mark candidates that turned out to be a structure that is already there.

    Those that the pre-relaxation potential relaxed in this round are compared with each other and with what
    earlier rounds hold, but for what had a short pre-relaxation only; all others, with what the last round's
    validations relaxed into, or all validations of an asynchronous campaign, where some come late.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    light = spec.prerelax is None
    pool = [record for record in database.records.pool(spec.id, light=light) if not record.competing]
    open_ = [record for record in pool if not record.pinned]
    fresh = _relaxed_now(database, spec, number, pool)
    relatives = Relatives(database, spec)
    if fresh:
        unsure = {record.id for record in pool if briefly_prerelaxed(record) or record.round == number}
        seen = SeenBefore(database, spec, exclude=fresh | unsure)
        for record in open_:
            reason = "duplicate after the pre-relaxation potential"
            if record.id in fresh:
                shape = Shape(record.id, candidate_structure(record))
                if not _merged(database, record, shape, relatives, seen, reason):
                    seen.add_shape(shape)
    news = _results(database, spec, None if spec.asynchronous or number == 1 else [number - 1, number])
    late = [r for r in open_ if r.id not in fresh and r.round < number and news.holds(r.formula)]
    shapes = _candidate_shapes(database, spec, late)
    for record in late:
        _merged(database, record, shapes[record.id], relatives, news, "duplicate of a result")


def _candidate_shapes(
    database: Database, spec: CampaignSpec, records: Sequence[StructureRecord]
) -> dict[str, Shape]:
    """The shapes of candidates by id: those that are kept of what was read without its crystal."""
    found = database.shapes.generated([r.id for r in records if not r.structure and r.prerelaxed is None])
    lacking = [record for record in records if record.id not in found]
    made = with_crystals(database, spec, lacking)
    return found | {record.id: Shape(record.id, candidate_structure(record)) for record in made}


def _merged(
    database: Database,
    record: StructureRecord,
    shape: Shape,
    relatives: Relatives,
    seen: SeenStructures | SeenBefore,
    reason: str,
) -> bool:
    """Whether the candidate is a duplicate of something seen; it is then marked, unless it was settled
    since."""
    original = seen.find_shape(shape, exclude=relatives.higher(record))
    if original is not None:
        fields = {"status": Status.DUPLICATE, "reason": reason, "duplicate_of": original.id}
        database.candidates.update_screened(record.id, **fields)
    return original is not None


def _relaxed_now(
    database: Database, spec: CampaignSpec, number: int, pool: Sequence[StructureRecord]
) -> set[str]:
    """Candidates that the pre-relaxation potential relaxed in this round, as far as it relaxes any."""
    if spec.prerelax is not None and spec.prerelax.keep < 1:
        return set(database.rounds.get(spec.id, number).promising)
    return {record.id for record in pool if record.round == number and record.prerelaxed}


def _results(database: Database, spec: CampaignSpec, rounds: Sequence[int] | None) -> SeenStructures:
    """What the validations of some rounds relaxed into; of all if None, what others validated included."""
    late: dict[str, Any] = {} if rounds is None else {"acquired_round": {"$in": list(rounds)}}
    own = database.records.find(spec.id, status=Status.VALIDATED.value, **late)
    known = known_elsewhere(database, spec) if rounds is None else []
    return SeenStructures((record.id, relaxed_structure(record)) for record in [*own, *known])
