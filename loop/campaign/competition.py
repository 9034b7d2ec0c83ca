"""Which competing phases the oracle is asked for before anything is called stable."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.seeds import COMPETING
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.structures import candidate_structure
from niobe.loop.stability.convex_hull import Hull
from niobe.loop.stability.hull import atomic_fractions, build_hull, elemental_energies, judged
from niobe.loop.stability.prerelaxed import (
    above_joint_hull,
    prerelaxed_formation_energies,
    prerelaxed_references,
)
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

_FAR = 0.25
"""eV/atom above the hull of the pre-relaxation potential: no composition is asked about from here on."""
WINDOW = 0.1
"""eV/atom above that hull: a polymorph that is not its composition's lowest is asked about up to here."""
_CLAIMED = 0.05
"""eV/atom: about the error of a cheap potential's energy difference between two polymorphs."""
_FURTHER = 2
"""Times ``seeds.max_prototypes``: what may still lie on the hull once the first answers have moved it."""
_OF_AN_ELEMENT = 6
"""Crystals of an element that the oracle is asked for, where pre-relaxation ranks them."""


def competition(
    spec: CampaignSpec, records: Sequence[StructureRecord], seen: SeenStructures, excluded: SeenStructures
) -> list[StructureRecord]:
    """Of the crystals of elements and prototypes that wait in round 0 those that the oracle is to answer for.

    ``seeds.max_prototypes`` of each system at most, no two alike and none like what is
    ``seen`` or ``excluded``: the lowest of each composition within 0.25 eV/atom of the hull that
    pre-relaxation makes, and other polymorphs within 0.1, in the order of what they and their composition lie
    above; six of an element. Without pre-relaxation they come in the order in which they are, of an element
    all. Where the campaign's own potential was asked about pre-relaxed crystals of an element, those that
    either potential holds to be low come first. What oracles relaxed does not count, so that the choice is
    the same whatever the database knows by then.

    spec: the campaign. records: of round 0.
    """
    found = [record for record in records if record.lineage.generator in COMPETING]
    ranked = found if spec.prerelax is None else _ranked(spec, records)
    return _first_of_each_system(spec, ranked, seen, excluded)


def further(
    spec: CampaignSpec,
    answered: Sequence[StructureRecord],
    waiting: Sequence[StructureRecord],
    seen: SeenStructures,
    excluded: SeenStructures,
) -> list[StructureRecord]:
    """Of what still waits in round 0 that which may lie on the hull of the first answers, lowest first.

    Twice as many of each system at most, no two alike, as ``competition`` takes: up to 0.05 eV/atom above the
    hull by pre-relaxation, which is corrected by the answers at like compositions. Where an element has no
    answer so far, its other crystals and nothing else.

    spec: the campaign. answered: validated records. waiting: those that were not chosen. seen, excluded:
    crystals that are not asked about.
    """
    silent = set(spec.elements) - elemental_energies(answered).keys()
    if silent:
        ranked = [record for record in waiting if record.chemsys in silent]
    else:
        known = judged(answered, build_hull(spec.id, 0, spec.elements, answered))
        ranked = deeper(spec, [*known, *waiting], _CLAIMED)
    return _first_of_each_system(spec, ranked, seen, excluded, times=_FURTHER)


def _first_of_each_system(
    spec: CampaignSpec,
    ranked: Sequence[StructureRecord],
    seen: SeenStructures,
    excluded: SeenStructures,
    *,
    times: int = 1,
) -> list[StructureRecord]:
    by_system: dict[str, list[StructureRecord]] = defaultdict(list)
    for record in ranked:
        chosen, structure = by_system[record.chemsys], candidate_structure(record)
        most = times * spec.seeds.max_prototypes if record.nelements > 1 else most_of_an_element(spec)
        if len(chosen) < most and _new(structure, seen, excluded):
            seen.add(record.id, structure)
            chosen.append(record)
    return [record for chosen in by_system.values() for record in chosen]


def most_of_an_element(spec: CampaignSpec) -> int:
    """How many crystals of an element the oracle is asked for at most: six, or all where nothing ranks them.

    spec: the campaign.
    """
    return sys.maxsize if spec.prerelax is None else _OF_AN_ELEMENT


def _new(structure: Structure, *known: SeenStructures) -> bool:
    return all(those.find(structure) is None for those in known)


def _ranked(spec: CampaignSpec, records: Sequence[StructureRecord]) -> list[StructureRecord]:
    """What waits near the hull of the pre-relaxation potential, the most likely competitors first; then all
    crystals of an element that it has no answer for."""
    answered = [record for record in records if record.prerelaxed is not None]
    energies = prerelaxed_formation_energies(answered, prerelaxed_references(answered))
    known = np.where(np.isnan(energies), np.inf, energies)
    hull = Hull([atomic_fractions(record) for record in answered], spec.elements)
    above = _by_oracle(answered, known - hull.level(known))
    lowest: dict[str, float] = {}
    for record, height in zip(answered, above.tolist(), strict=True):
        lowest[record.formula] = min(height, lowest.get(record.formula, np.inf))
    order = []
    for row, record in enumerate(answered):
        base = lowest[record.formula]
        beyond = float(above[row]) - base if np.isfinite(above[row]) else np.inf
        near = base <= _FAR if beyond == 0 else base + beyond <= WINDOW
        if near and record.lineage.generator in COMPETING:
            order.append((base + 2 * beyond, row))
    known_elements = {record.chemsys for record in answered if record.nelements == 1}
    unknown = [r for r in records if r.nelements == 1 and r.chemsys not in known_elements]
    return [*(answered[row] for _, row in sorted(order)), *unknown]


def _by_oracle(records: Sequence[StructureRecord], above: FloatArray) -> FloatArray:
    """``above`` (eV/atom), but for crystals of the elements that the campaign's own potential was asked about
    as pre-relaxed: these by the lesser height of the two potentials, or out of reach where it has no answer.
    """
    energies: dict[str, dict[int, float]] = defaultdict(dict)
    for row, record in enumerate(records):
        if record.nelements == 1 and record.prerelaxed and record.prerelaxed.oracle:
            answer = record.prerelaxed.by_oracle
            energies[record.chemsys][row] = np.inf if answer is None else answer
    found = above.copy()
    for own in energies.values():
        lowest = min(own.values())
        if np.isfinite(lowest):
            rows, heights = list(own), np.array(list(own.values())) - lowest
            found[rows] = np.where(np.isfinite(heights), np.fmin(heights, above[rows]), np.inf)
    return found


def deeper(
    spec: CampaignSpec, records: Sequence[StructureRecord], window: float = WINDOW
) -> list[StructureRecord]:
    """The unasked competing phases of a campaign that may lie on its hull, the most likely first.

    At most ``window`` (eV/atom) above the hull that answers, and corrected pre-relaxations elsewhere, make
    together. What lies at the composition of a claim, or of what it would fall into, comes as if 0.05 lower.

    spec: the campaign. records: all of it.
    """
    usable = [r for r in records if r.status not in {Status.INVALID, Status.FAILED}]
    known = [r for r in usable if r.prerelaxed or r.verdict]
    references = prerelaxed_references([r for r in known if r.round == 0])
    above = _by_oracle(known, above_joint_hull(known, references, spec.elements))
    claims = [record.verdict for record in records if record.verdict and record.verdict.is_find]
    claimed = {record.formula for record in records if record.verdict and record.verdict.is_find}
    claimed |= {product.formula for verdict in claims for product in verdict.products}
    order = [
        (height - _CLAIMED * (record.formula in claimed), row)
        for row, (record, height) in enumerate(zip(known, above.tolist(), strict=True))
        if record.unasked and height <= window
    ]
    return [known[row] for _, row in sorted(order)]
