"""How sure a result is: validated, metastable or stable, challenged, confirmed; and whether it is new."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from niobe.loop.documents.claims import Opinion, k_of_n
from niobe.loop.documents.novelty import NoveltyKind
from niobe.loop.documents.records import ON_HULL, StructureRecord

_AS_NEW = {NoveltyKind.NEW, NoveltyKind.SUBSTITUTION}


class Tier(IntEnum):
    """How far a record has come, each tier on top of the one before; a metastable one too may go on.

    validated: the oracle answered. metastable: within the campaign's tolerance of the hull, and not found to
    be dynamically unstable. stable: the same, and on the hull. challenged: it outlived the search for what is
    lower. confirmed: more than half of the other oracles agree too, and none that solves for electrons
    disagrees.
    """

    NONE = 0
    VALIDATED = 1
    METASTABLE = 2
    STABLE = 3
    CHALLENGED = 4
    CONFIRMED = 5


def tier(record: StructureRecord) -> Tier:
    """The highest tier that a record has reached; what fell to a challenge is validated and no more."""
    verdict = record.verdict
    if record.validation is None:
        return Tier.NONE
    fell = record.challenge is not None and not record.challenge.survived
    loose = record.validation.refined is not None and not record.validation.refined.converged
    if verdict is None or not verdict.phase or record.dynamically_unstable or fell or loose:
        return Tier.VALIDATED
    if record.challenge is None:
        return Tier[verdict.phase.upper()]
    return Tier.CONFIRMED if _confirmed(record) else Tier.CHALLENGED


def _confirmed(record: StructureRecord) -> bool:
    agreeing, asked = k_of_n(record.opinions)
    answered = [opinion for opinion in record.opinions if opinion.e_above_hull is not None]
    refuted = any(opinion.is_dft and not opinion.agrees for opinion in answered)
    return 2 * agreeing > asked and not refuted


def by_dft(record: StructureRecord) -> Opinion | None:
    """The first opinion with an answer, of those of programs that solve for electrons.

    record: a find.
    """
    return next((o for o in record.opinions if o.is_dft and o.e_above_hull is not None), None)


def phase_by(opinion: Opinion) -> str:
    """What a find is on the hull of another oracle: ``stable``, ``metastable`` within what the campaign asks
    for, or that it ``fell``; "" without an answer.

    opinion: of that oracle.
    """
    if opinion.e_above_hull is None:
        return ""
    if opinion.e_above_hull <= ON_HULL:
        return "stable"
    return "metastable" if opinion.agrees else "fell"


def tier_text(record: StructureRecord) -> str:
    """The tier in words: "stable, challenged, confirmed (2 of 3; DFT: stable)", or what it fell to; "" for
    none.

    Challenged in part is what outlived a search that its part of the time cut short.
    """
    reached, verdict = tier(record), record.verdict
    if reached is Tier.NONE:
        return ""
    if record.challenge is not None and not record.challenge.survived:
        return f"validated; fell: {record.challenge.reason}"
    parts = [verdict.phase if verdict and reached > Tier.VALIDATED else "validated"]
    if record.challenge is not None and reached >= Tier.CHALLENGED:
        parts.append("challenged in part" if record.challenge.cut_short else "challenged")
    if record.opinions:
        agreeing, asked = k_of_n(record.opinions)
        judge = by_dft(record)
        dft = f"; DFT: {phase_by(judge)}" if judge else ""
        word = "confirmed " if reached is Tier.CONFIRMED else ""
        parts.append(f"{word}({agreeing} of {asked}{dft})")
    return ", ".join(parts)


def finding(record: StructureRecord) -> str:
    """``discovery``, ``rediscovered``, or the status of a record that is neither."""
    verdict = record.verdict
    if verdict is not None and verdict.is_find:
        return "rediscovered" if verdict.rediscovered else "discovery"
    return record.status.value


def novelty_text(record: StructureRecord) -> str:
    """The novelty of a record in words, "" where it was never judged."""
    novelty = record.verdict.novelty if record.verdict else None
    return novelty.words if novelty else ""


def is_new(record: StructureRecord) -> bool:
    """Whether a discovery is new or a substitution."""
    verdict = record.verdict
    if verdict is None or not verdict.discovery or verdict.novelty is None:
        return False
    return verdict.novelty.kind in _AS_NEW


def headline(records: Iterable[StructureRecord]) -> str:
    """What a campaign has found, in a line: new ones by tier, others that are no new crystals, known ones.

    "3 new (2 stable, 1 metastable; 2 challenged, 1 of them in part, 1 confirmed) · 1 ordering · 2 known
    phases rediscovered".
    """
    finds = [record for record in records if record.verdict is not None and record.verdict.is_find]
    new = [record for record in finds if is_new(record)]
    others = [r.verdict.novelty.kind for r in finds if r.verdict and r.verdict.novelty and not is_new(r)]
    parts = [f"{len(new)} new{_by_tier(new)}"]
    for kind in (NoveltyKind.ORDERING, NoveltyKind.DISTORTION, NoveltyKind.DISPUTED):
        parts += [f"{others.count(kind)} {kind}"] if kind in others else []
    unjudged = sum(r.verdict is not None and r.verdict.novelty is None for r in finds)
    parts += [f"{unjudged} not compared with what is known"] if unjudged else []
    known = others.count(NoveltyKind.KNOWN)
    return " · ".join([*parts, f"{known} known phase{'' if known == 1 else 's'} rediscovered"])


def _by_tier(new: list[StructureRecord]) -> str:
    """How many of the new are what, in brackets; "" for none."""
    phases = [record.verdict.phase for record in new if record.verdict]
    tiers = [tier(record) for record in new]
    challenged = [r.challenge for r in new if r.challenge and tier(r) >= Tier.CHALLENGED]
    how = [f"{phases.count(phase)} {phase}" for phase in ("stable", "metastable") if phase in phases]
    beyond = {
        "challenged": len(challenged),
        "of them in part": sum(challenge.cut_short for challenge in challenged),
        "confirmed": tiers.count(Tier.CONFIRMED),
    }
    then = [f"{count} {word}" for word, count in beyond.items() if count]
    return f" ({'; '.join(filter(None, (', '.join(how), ', '.join(then))))})" if how else ""
