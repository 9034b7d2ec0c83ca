"""The verdict of a find: known, or what it comes from, or new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.seeds import excluded_structures
from niobe.loop.documents.novelty import Novelty, NoveltyKind
from niobe.loop.documents.records import StructureRecord, Verdict
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.novelty.catalogue import Catalogue, prototypes_like
from niobe.loop.novelty.fingerprints import difference
from niobe.loop.novelty.flags import flags
from niobe.loop.novelty.matching import Crystal, same_crystal, same_framework
from niobe.loop.novelty.relatives import (
    RELATED,
    SAME,
    Relation,
    distortion_of,
    ordering_of,
    substitution_of,
)
from niobe.loop.store.database import Database


@dataclass(frozen=True)
class _Compared:
    """A known crystal of a find's composition, and what each comparison says of the two."""

    crystal: Crystal
    matches: bool
    difference: float

    @property
    def close(self) -> bool:
        return self.difference <= SAME

    @property
    def relation(self) -> Relation:
        return Relation(self.crystal.id, self.crystal.source, self.crystal.formula, self.difference)


def find_of(record: StructureRecord) -> Crystal:
    """A validated record as a find to compare."""
    return Crystal(record.id, f"campaign {record.campaign}", relaxed_structure(record))


def judge(find: Crystal, catalogue: Catalogue) -> Novelty:
    """What a find is beside all that the catalogue knows.

    Known is what the structure matcher calls the same and average minimum distances do not contradict: they
    differ by 3.5 % at most, or by 12 % at most and the space groups are the same. Where the matcher says the
    same and the find has the lower symmetry, it is a distortion. Where only one of the two says the same, the
    verdict is disputed and names what each holds for it, unless the find is an ordering or a distortion.
    """
    known = catalogue.of_formula(find.formula)
    compared = sorted((_compare(find, other) for other in known), key=lambda one: one.difference)
    kind, relation = _verdict(find, compared, catalogue)
    prototype = next((other for other in prototypes_like(find) if same_framework(find, other)), None)
    return Novelty(
        kind=kind,
        of=relation.id if relation else "",
        source=relation.source if relation else "",
        formula=relation.formula if relation else "",
        difference=round(relation.difference, 5) if relation else None,
        prototype=f"{prototype.id} ({prototype.formula})" if prototype else "",
        structure_matcher=next((one.crystal.id for one in compared if one.matches), ""),
        minimum_distances=next((one.crystal.id for one in compared if one.close), ""),
        flags=flags(find.structure),
        catalogue=catalogue.size,
    )


def _compare(find: Crystal, other: Crystal) -> _Compared:
    apart = float(difference(find.minimum_distances, other.minimum_distances))
    return _Compared(other, same_crystal(find, other), apart)


def _verdict(
    find: Crystal, compared: Sequence[_Compared], catalogue: Catalogue
) -> tuple[NoveltyKind, Relation | None]:
    same = next((one for one in compared if _is_same(find, one)), None)
    if same is not None:
        return NoveltyKind.KNOWN, same.relation
    ordering = ordering_of(find, catalogue.disordered("-".join(sorted(find.elements))))
    if ordering is not None:
        return NoveltyKind.ORDERING, ordering
    lower = next((one for one in compared if one.matches and _is_lower(find, one.crystal)), None)
    distortion = lower.relation if lower else distortion_of(find, [one.crystal for one in compared])
    if distortion is not None:
        return NoveltyKind.DISTORTION, distortion
    disputed = next((one for one in compared if one.matches or one.close), None)
    if disputed is not None:
        return NoveltyKind.DISPUTED, disputed.relation
    parent = substitution_of(find, catalogue.frameworks(find))
    return (NoveltyKind.SUBSTITUTION, parent) if parent else (NoveltyKind.NEW, None)


def _is_same(find: Crystal, one: _Compared) -> bool:
    alike = one.difference <= RELATED and find.symmetry[0] == one.crystal.symmetry[0]
    return one.matches and (one.close or alike)


def _is_lower(find: Crystal, other: Crystal) -> bool:
    """Whether a find has fewer symmetry operations an atom than another crystal."""
    return find.symmetry[1] < other.symmetry[1] - 1e-6


def judge_again(database: Database) -> int:
    """Judge the finds of all campaigns against what the database knows by now; how many verdicts changed.

    What was known stays known. For when source entries were added; a round that closes judges by itself.

    database: the campaign database.
    """
    changes: dict[str, dict[str, Verdict]] = {}
    for campaign in database.campaigns.find():
        spec = CampaignSpec.model_validate(campaign.spec)
        catalogue = Catalogue(database, campaign.id, excluded_structures(spec))
        for record in database.records.find(campaign.id, verdict__discovery=True):
            novelty = judge(find_of(record), catalogue)
            if record.verdict is not None and _differ(novelty, record.verdict.novelty):
                given = record.verdict.given(novelty)
                # Field by field: a round that closes meanwhile has written the others.
                changes[record.id] = {f"verdict.{name}": getattr(given, name) for name in _OF_NOVELTY}
    database.records.update_many(changes)
    return len(changes)


_OF_NOVELTY = ("novelty", "rediscovered", "discovery", "discovery_round", "displaced_round")


def _differ(one: Novelty, other: Novelty | None) -> bool:
    """Whether two verdicts say another thing, however many crystals each was compared with."""
    return other is None or one.model_dump(exclude={"catalogue"}) != other.model_dump(exclude={"catalogue"})
