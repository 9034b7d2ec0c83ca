"""What the campaign knows beyond its own records: what others validated with the same oracle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import UnknownFingerprintError
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.campaign.duplicates import Comparisons, relaxed_shapes
from niobe.loop.campaign.seeds import excluded_structures
from niobe.loop.crystals.similarity import Bucket, SeenStructures, Shape
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.structures import candidate_structure, generated_structure, relaxed_structure
from niobe.loop.generators.soft_mode_families import higher_relatives
from niobe.loop.stability.hull import build_hull, judged
from niobe.loop.store.database import Database
from niobe.loop.store.shared import failed_elsewhere, potcars_of, validated_elsewhere

if TYPE_CHECKING:
    from pymatgen.core import Structure


def oracle_of(database: Database, spec: CampaignSpec) -> str | None:
    """The fingerprint that the campaign's energies carry or will; None where the oracle answers first."""
    own = database.records.find(spec.id, status=Status.VALIDATED.value, round=0, limit=1)
    validation = own[0].validation if own else None
    if validation:
        return validation.oracle
    try:
        return make_oracle(spec.oracle, spec.conditions.pressure).fingerprint
    except UnknownFingerprintError:
        return None


def check_same_oracle(database: Database, spec: CampaignSpec) -> None:
    """Raises ConfigError where the campaign's energies are of another oracle than the one that would go on.

    Weights behind a path, packages and POTCARs may change between two launches; a hull holds one oracle.

    database: the campaign database. spec: the campaign.
    """
    before, oracle = oracle_of(database, spec), make_oracle(spec.oracle, spec.conditions.pressure)
    _check_same_potcars(database, spec, getattr(oracle, "potcars", _no_potcars))
    try:
        now = oracle.fingerprint
    except UnknownFingerprintError:
        return
    if before != now:
        raise ConfigError(
            f"oracle: campaign {spec.id!r} was begun with {before}; here it would go on with {now}; "
            "bring that back, or begin under another id"
        )


def _check_same_potcars(database: Database, spec: CampaignSpec, here: Callable[..., dict[str, str]]) -> None:
    now = here(spec.elements)
    before = potcars_of(database, spec) if now else {}
    for symbol in sorted(before.keys() & now.keys()):
        if before[symbol] != now[symbol]:
            raise ConfigError(
                f"oracle: campaign {spec.id!r} was begun with POTCAR {before[symbol]}; here it would go on "
                f"with {now[symbol]}; bring that back, or begin under another id"
            )


def _no_potcars(elements: Sequence[str]) -> dict[str, str]:
    return {}


def competitors_elsewhere(
    database: Database, spec: CampaignSpec, systems: Sequence[str] | None = None
) -> list[StructureRecord]:
    """What competes in the campaign's hull although another campaign validated it.

    Without what ``seeds.exclude`` holds out, as it began or as it was relaxed.

    database: the campaign database. spec: the campaign. systems: those asked about; all if None.
    """
    oracle = oracle_of(database, spec)
    found = validated_elsewhere(database, spec, oracle, systems) if oracle else []
    excluded = SeenStructures(excluded_structures(spec)) if found else SeenStructures()
    return [
        record
        for record in found
        if all(excluded.find(s) is None for s in (generated_structure(record), relaxed_structure(record)))
    ]


def known_elsewhere(
    database: Database, spec: CampaignSpec, own: Sequence[StructureRecord] | None = None
) -> list[StructureRecord]:
    """The same as if the campaign had begun with it: verdicts by its hull, its own potential's answers only,
    and no value of a goal, which another campaign may have in another unit, from another source.

    own: records of the campaign, what is finished among them; read where they are not given.

    database: the campaign database. spec: the campaign.
    """
    found = competitors_elsewhere(database, spec)
    if not found:
        return []
    own = database.records.finished(spec.id) if own is None else own
    potentials = {record.prerelaxed.potential for record in own if record.prerelaxed}
    hull = build_hull(spec.id, 0, spec.elements, [*(r for r in own if r.validation), *found])
    known = []
    for record in judged(found, hull):
        answer = record.prerelaxed
        kept = answer if answer and answer.potential in potentials else None
        update: dict[str, Any] = {"prerelaxed": kept, "round": 0, "acquired_round": 0, "properties": {}}
        known.append(record.model_copy(update=update))
    return known


def asked_before(database: Database, spec: CampaignSpec) -> dict[str, str]:
    """Content hash and id of what the same oracle was asked elsewhere, answered or failed.

    database: the campaign database. spec: the campaign.
    """
    oracle = oracle_of(database, spec)
    if oracle is None:
        return {}
    validated = validated_elsewhere(database, spec, oracle)
    return failed_elsewhere(database, spec) | {record.fingerprint: record.id for record in validated}


def with_crystals(
    database: Database, spec: CampaignSpec, records: Sequence[StructureRecord]
) -> list[StructureRecord]:
    """Records of the campaign as they are, those that were read without their crystals read anew.

    database: the campaign database. spec: the campaign. records: structure records.
    """
    lacking = [record.id for record in records if not record.structure]
    found = {r.id: r for r in database.records.find(spec.id, _id={"$in": lacking})} if lacking else {}
    return [found.get(record.id, record) for record in records]


def finished_and_known(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    """What the oracle answered for or failed on in the campaign, and what others validated."""
    own = database.records.finished(spec.id)
    return [*own, *known_elsewhere(database, spec, own)]


def validated_and_known(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    """What the campaign validated and what others did."""
    return [record for record in finished_and_known(database, spec) if record.status is Status.VALIDATED]


def records_and_known(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    """All records of the campaign, and what others validated."""
    own = database.records.find(spec.id)
    return [*own, *known_elsewhere(database, spec, own)]


class Relatives:
    """What soft modes' children are no duplicates of; records are read where there is such a child."""

    def __init__(self, database: Database, spec: CampaignSpec) -> None:
        """database: the campaign database. spec: the campaign."""
        self._database, self._spec = database, spec

    @cached_property
    def _by_id(self) -> dict[str, StructureRecord]:
        known = records_and_known(self._database, self._spec)
        return {record.id: record for record in known if not record.unasked}

    def higher(self, record: StructureRecord) -> set[str]:
        """Ids of the record's soft-mode family as far as it lies higher; empty for any other record."""
        return higher_relatives(record, self._by_id) if record.lineage.generator == "soft_mode" else set()


class SeenBefore:
    """What passed screening in a campaign, as generated, relaxed by the cheap potential and by the oracle,
    and what others validated; asked for by composition and size. ``find`` answers with the first that
    matches.
    """

    def __init__(self, database: Database, spec: CampaignSpec, exclude: Collection[str] = ()) -> None:
        """database: the campaign database. spec: the campaign. exclude: ids of records left out."""
        database.shapes.complete(spec.id)
        self._database, self._campaign, self._left_out = database, spec.id, exclude
        self._kept: dict[tuple[str, int], Bucket] = {}
        self._counts: dict[str, bool] = {}
        self._later = SeenStructures(_as_compared(known_elsewhere(database, spec)))

    def add_shape(self, shape: Shape) -> None:
        """Remember a crystal, after all others."""
        self._later.add_shape(shape)

    def find_shape(self, asked: Shape, *, exclude: Collection[str] = ()) -> Shape | None:
        """The first that matches and whose id is not in ``exclude``, or None."""
        for seen in self._like(asked).same(asked):
            if seen.id not in exclude and self._is_seen(seen.id):
                return seen
        return self._later.find_shape(asked, exclude=exclude)

    def _like(self, asked: Shape) -> Bucket:
        key = (asked.formula, asked.sites)
        if key not in self._kept:
            self._kept[key] = self._database.shapes.like(self._campaign, asked, self._left_out)
        return self._kept[key]

    def _is_seen(self, identifier: str) -> bool:
        """Whether a record still is what others are compared with."""
        if identifier not in self._counts:
            record = self._database.records.get(identifier)
            never = record.unasked or record.status in {Status.INVALID, Status.DUPLICATE}
            self._counts[identifier] = not never
        return self._counts[identifier]


def _as_compared(records: Sequence[StructureRecord]) -> Iterator[tuple[str, Structure]]:
    """Id and crystal of results in each form that they have."""
    for record in records:
        yield record.id, generated_structure(record)
        if record.prerelaxed is not None:
            yield record.id, candidate_structure(record)
        yield record.id, relaxed_structure(record)


def kept_comparisons(database: Database, spec: CampaignSpec) -> Comparisons:
    """Comparisons of a campaign's results by the shapes that are kept, with those made before.

    database: the campaign database. spec: the campaign.
    """
    database.shapes.complete(spec.id)

    def shapes_of(records: Sequence[StructureRecord]) -> list[Shape]:
        kept = database.shapes.relaxed([r.id for r in records if r.campaign == spec.id])
        lacking = [r if r.structure else database.records.get(r.id) for r in records if r.id not in kept]
        made = {shape.id: shape for shape in relaxed_shapes(lacking)}
        return [kept.get(record.id) or made[record.id] for record in records]

    return Comparisons(shapes_of, database.shapes.answers, partial(database.shapes.orders, spec.id))
