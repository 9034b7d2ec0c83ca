"""What other oracles think of a campaign's finds, each on a hull of its own. Pure: records in, opinions
out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten

import numpy as np

from niobe.loop.crystals.symmetry import work_of_dft
from niobe.loop.documents.answers import SecondAnswer
from niobe.loop.documents.claims import Agreement, Opinion
from niobe.loop.documents.records import StructureRecord, Verdict
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.documents.tiers import by_dft
from niobe.loop.stability.hull import Competitors, build_hull
from niobe.loop.stability.prerelaxed import ANYWHERE, nearness
from niobe.surrogates.protocols import FloatArray

_LEAST_RANKED, _LONGEST_SAID = 3, 200
LEAST_BY_DFT = 6
"""Finds that DFT has answered for, below which it corrects no ranking."""


def rests_on(find: StructureRecord, known: Mapping[str, StructureRecord]) -> list[StructureRecord]:
    """What an oracle has to answer for before it has an opinion of a find, the find first.

    What it would fall into, and the lowest other crystal of each of its elements. known: validated records
    by id, the elements among them.
    """
    products = [product.record_id for product in find.verdict.products] if find.verdict else []
    elements = [_lowest(symbol, known, find) for symbol in find.chemsys.split("-")]
    needed = [find, *(known.get(name) for name in products), *elements]
    return list({record.id: record for record in needed if record is not None}.values())


def least_work_first(
    finds: Iterable[StructureRecord], known: Mapping[str, StructureRecord]
) -> list[StructureRecord]:
    """Finds by what a program that solves for electrons would take for them and all that they rest on, so
    that a budget buys opinions of as many as it can.

    known: as ``rests_on`` has it.
    """

    def work(find: StructureRecord) -> tuple[float, str]:
        return sum(work_of_dft(relaxed_structure(record)) for record in rests_on(find, known)), find.id

    return sorted(finds, key=work)


def _lowest(
    symbol: str, known: Mapping[str, StructureRecord], find: StructureRecord
) -> StructureRecord | None:
    of_it = [r for r in known.values() if r.chemsys == symbol and not _is_same(r, find)]
    found = [(record.validation.energy_per_atom, record.id) for record in of_it if record.validation]
    return known[min(found)[1]] if found else None


def _is_same(record: StructureRecord, find: StructureRecord) -> bool:
    return find.id in {record.id, record.verdict.duplicate_of if record.verdict else None}


@dataclass(frozen=True)
class SecondOracle:
    """Who is asked besides the campaign's oracle.

    agree: eV/atom above its own hull up to which it agrees. is_dft: it solves for electrons.
    """

    name: str
    fingerprint: str
    agree: float
    is_dft: bool = False


def opinions(
    oracle: SecondOracle,
    finds: Sequence[StructureRecord],
    known: Mapping[str, StructureRecord],
    answers: Mapping[str, SecondAnswer],
) -> dict[str, Opinion]:
    """What one oracle thinks of each find that it was asked about, by the find's id.

    Answers of one program with other settings, and so of another fingerprint, or with another POTCAR of an
    element, are on no hull of each other.

    finds: of the round. known: validated records by id. answers: the oracle's, by the id of the record.
    """
    asked = [find for find in finds if all(r.id in answers for r in rests_on(find, known))]
    needed = {record.id: record for find in asked for record in rests_on(find, known)}
    answered = [
        record.model_copy(update={"validation": answers[name].validation})
        for name, record in needed.items()
        if answers[name].validation is not None
    ]
    found = {}
    for find in asked:
        own = answers[find.id]
        fingerprint = own.validation.oracle if own.validation else oracle.fingerprint
        potcars = own.validation.potcars if own.validation else {}
        same = {
            r.id: r
            for r in answered
            if r.validation and r.validation.oracle == fingerprint and r.validation.meets(potcars)
        }
        said = Opinion(oracle=oracle.name, fingerprint=fingerprint, is_dft=oracle.is_dft, seconds=own.seconds)
        missing = [f"{r.formula}: {_cause(answers[r.id])}" for r in rests_on(find, known) if r.id not in same]
        update = {"reason": "; ".join(missing)} if missing else _heights(find, same, oracle.agree)
        found[find.id] = said.model_copy(update=update)
    return found


def _heights(
    find: StructureRecord, answered: Mapping[str, StructureRecord], agree: float
) -> dict[str, float | bool]:
    """How high a find lies on the hull of all that an oracle answered for in its system."""
    elements = find.chemsys.split("-")
    within = [record for record in answered.values() if set(record.chemsys.split("-")) <= set(elements)]
    hull = build_hull(find.campaign, 0, elements, within)
    height = next(entry.e_above_hull for entry in hull.entries if entry.record_id == find.id)
    return {
        "e_above_hull": height,
        "above_products": Competitors(hull).of(find.id)[1],
        "agrees": height <= agree,
    }


def _cause(answer: SecondAnswer) -> str:
    if answer.failure is None:
        return "answered by other settings"
    said = shorten(answer.failure.message, _LONGEST_SAID)
    return f"{answer.failure.cause} ({said})" if said else answer.failure.cause


def agreements(finds: Sequence[StructureRecord]) -> list[Agreement]:
    """How each oracle that has opinions of the finds sees them, in the order in which they are named."""
    names = dict.fromkeys(opinion.oracle for find in finds for opinion in find.opinions)
    return [_agreement(name, finds) for name in names]


def _agreement(oracle: str, finds: Sequence[StructureRecord]) -> Agreement:
    said = [(find, opinion) for find in finds for opinion in find.opinions if opinion.oracle == oracle]
    pairs = [
        (find.verdict.above_products, opinion.above_products)
        for find, opinion in said
        if find.verdict and find.verdict.above_products is not None and opinion.above_products is not None
    ]
    own, theirs = np.array(pairs, dtype=float).reshape(-1, 2).T
    return Agreement(
        oracle=oracle,
        agreeing=sum(opinion.agrees for _, opinion in said),
        asked=len(said),
        tau=kendall_tau(own.tolist(), theirs.tolist()),
        difference=float(np.median(theirs - own)) if len(pairs) else None,
    )


def height_corrections(
    records: Sequence[StructureRecord], finds: Sequence[StructureRecord]
) -> FloatArray | None:
    """What DFT adds to how far each record lies above what it would fall into, eV/atom, shape (n,).

    A difference of heights, each on a hull of its own: no energy of one oracle meets one of another. It is
    the mean over the finds that DFT answered for, weighted by how near they are in composition; 0 for
    elements. None for fewer than ``LEAST_BY_DFT`` of these.

    records: what is ranked. finds: with the opinions of other oracles.
    """
    pairs = [(find, by_dft(find)) for find in finds]
    judged = [
        (find, said.above_products - find.verdict.above_products)
        for find, said in pairs
        if said and said.above_products is not None
        if find.verdict and find.verdict.above_products is not None
    ]
    if len(judged) < LEAST_BY_DFT or not records:
        return None
    weights = nearness(records, [find for find, _ in judged]) + ANYWHERE
    mean = weights @ np.array([added for _, added in judged]) / weights.sum(axis=1)
    return np.asarray(mean * [record.nelements > 1 for record in records])


def kendall_tau(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Kendall's tau-b between two orders of the same things, -1 to 1.

    None for fewer than three, and where all are equal in one of them.
    """
    from scipy.stats import kendalltau

    if len(one) < _LEAST_RANKED or len(set(one)) == 1 or len(set(other)) == 1:
        return None
    return float(kendalltau(one, other).statistic)


def spread(verdict: Verdict, opinions: Sequence[Opinion]) -> float | None:
    """How far apart oracles put a claim above what it would fall into, highest less lowest, eV/atom.

    verdict: by the campaign's oracle. opinions: of the others. None where only one of all has an answer.
    """
    given = [verdict.above_products, *(opinion.above_products for opinion in opinions)]
    heights = [height for height in given if height is not None]
    return max(heights) - min(heights) if len(heights) > 1 else None
