"""Which of a campaign's crystals have children, best first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from niobe.config.search.limits import amounts_in
from niobe.config.spec import CampaignSpec
from niobe.loop.crystals.formulas import amounts_of
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.structures import candidate_structure, phonon_structure, relaxed_structure
from niobe.loop.generators import Parent, SoftParent
from niobe.loop.generators.offspring import way_shares
from niobe.loop.stability.prerelaxed import above_joint_hull, prerelaxed_references
from niobe.loop.store.database import Database

if TYPE_CHECKING:
    from pymatgen.core import Structure

_MOST = 40
_OF_ONE_COMPOSITION = 10


def soft_parents(database: Database, spec: CampaignSpec, number: int) -> list[SoftParent]:
    """Dynamically unstable results whose modes were not followed in rounds before ``number``.

    database: the campaign database. spec: the campaign.
    """
    records = database.records.find(spec.id)
    children = [r for r in records if r.lineage.generator == "soft_mode" and r.round < number]
    followed = {parent for child in children for parent in child.lineage.parents}
    unstable = [record for record in records if record.dynamically_unstable and record.id not in followed]
    parents = []
    for record in sorted(unstable, key=lambda r: (r.verdict.e_above_hull_now if r.verdict else 9.0, r.id)):
        phonons = database.phonons.find_one(record.id)
        if phonons is not None and phonons.modes:
            structure = phonon_structure(record, phonons)
            parents.append(SoftParent(record.id, structure, tuple(phonons.modes)))
    return parents


def offspring_parents(records: Sequence[StructureRecord], spec: CampaignSpec) -> list[Parent]:
    """Of relaxed crystals the 40 lowest above the joint hull: no elements, nothing too large, none alike.

    At most 10 of one composition, so that one deep valley is not all of them; of a campaign of one
    formula those of it.

    records: of the campaign and what it knows. spec: the campaign.
    """
    references = prerelaxed_references([record for record in records if record.round == 0])
    resting = [record for record in records if is_at_rest(record)]
    above = above_joint_hull(resting, references, spec.elements)
    best = [resting[row] for row in np.argsort(above, kind="stable") if np.isfinite(above[row])]
    sought = None if spec.formula is None else amounts_in(spec.formula)
    compounds, seen = min(len(spec.elements), 2), SeenStructures()
    parents: list[Parent] = []
    room = Counter[str]()
    for record in best:
        fits = record.nelements >= compounds and sought in (None, amounts_of(record.formula_reduced))
        if not fits or (sought is None and room[record.formula_reduced] >= _OF_ONE_COMPOSITION):
            continue
        structure = at_rest(record)
        if len(structure) <= spec.sought.max_atoms and seen.find(structure) is None:
            seen.add(record.id, structure)
            room[record.formula_reduced] += 1
            parents.append(Parent(record.id, structure))
        if len(parents) == _MOST:
            break
    return parents


def surviving_shares(records: Sequence[StructureRecord], parents: Sequence[Parent]) -> dict[str, float]:
    """Shares of the ways of making offspring, by which children of the campaign are among the ``parents``.

    records: of the campaign.
    """
    ways = {r.id: str(r.lineage.origin["way"]) for r in records if r.lineage.generator == "offspring"}
    survived = Counter(ways[parent.id] for parent in parents if parent.id in ways)
    return way_shares(Counter(ways.values()), survived)


def is_at_rest(record: StructureRecord) -> bool:
    """Whether the oracle relaxed it, or the pre-relaxation potential beyond a short pre-relaxation."""
    waiting = record.status in {Status.SCREENED, Status.ACQUIRED}
    relaxed = record.prerelaxed is not None and not record.prerelaxed.brief
    return record.validation is not None or (waiting and relaxed)


def at_rest(record: StructureRecord) -> Structure:
    """The crystal of what ``is_at_rest``, as it was relaxed."""
    return relaxed_structure(record) if record.validation is not None else candidate_structure(record)
