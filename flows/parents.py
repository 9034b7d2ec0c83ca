"""Which of a campaign's crystals have children, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from config.spec import CampaignSpec
from loop.database import Database
from loop.generators import Parent, SoftParent
from loop.prior import above_joint_hull, prior_references
from loop.records import Stability, Status, StructureRecord
from loop.structures import candidate_structure, relaxed_structure

if TYPE_CHECKING:
    from pymatgen.core import Structure

_MOST = 40


def soft_parents(database: Database, spec: CampaignSpec) -> list[SoftParent]:
    """Dynamically unstable results whose modes were not followed yet."""
    records = database.records(spec.id)
    followed = {p for r in records if r.lineage.generator == "soft_mode" for p in r.lineage.parents}
    unstable = [
        record
        for record in records
        if record.validation
        and record.validation.phonon.outcome is Stability.UNSTABLE
        and record.id not in followed
    ]
    parents = []
    for record in sorted(unstable, key=lambda r: (r.verdict.e_above_hull_now if r.verdict else 9.0, r.id)):
        phonons = database.phonons(record.id)
        if phonons is not None and phonons.modes:
            parents.append(SoftParent(record.id, relaxed_structure(record), tuple(phonons.modes)))
    return parents


def offspring_parents(records: Sequence[StructureRecord], spec: CampaignSpec) -> list[Parent]:
    """Of what came to rest, the 40 lowest above the joint hull; no elements.

    At rest is what the oracle relaxed, or the prior beyond a first look.
    """
    references = prior_references([record for record in records if record.round == 0])
    resting = [(r, s) for r in records if (s := _at_rest(r)) is not None]
    above = above_joint_hull([record for record, _ in resting], references, spec.elements)
    alone = len(spec.elements) == 1
    best = [int(row) for row in np.argsort(above, kind="stable") if np.isfinite(above[row])]
    compounds = [resting[row] for row in best if alone or resting[row][0].nelements > 1]
    return [Parent(record.id, structure) for record, structure in compounds[:_MOST]]


def _at_rest(record: StructureRecord) -> Structure | None:
    if record.verdict is not None:
        return relaxed_structure(record) if record.verdict.duplicate_of is None else None
    relaxed = record.prior is not None and not record.prior.brief
    return candidate_structure(record) if relaxed and record.status is Status.SCREENED else None
