"""Documents that another Niobe wrote, before they are stored: data of one campaign, and nothing else."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import BaseModel, ValidationError

from niobe.config.spec import SCHEMA_VERSION, CampaignSpec
from niobe.loop.crystals.decoding import decoded
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import Status, StructureRecord, is_own_folder, record_id
from niobe.loop.documents.rounds import (
    CampaignRecord,
    CampaignState,
    HullRecord,
    PhononRecord,
    RoundRecord,
    batch_digest,
)
from niobe.loop.stability.force_constants import unpacked
from niobe.loop.store.mapping import Document, body, derived, from_mongo
from niobe.loop.store.upgrade import renamed_steps, upgraded

# A campaign comes last: it is there once all of it is.
COLLECTIONS: dict[str, type[BaseModel]] = {
    "entries": SourceEntry,
    "structures": StructureRecord,
    "phonons": PhononRecord,
    "hulls": HullRecord,
    "rounds": RoundRecord,
    "campaigns": CampaignRecord,
}
IMPORTED = "imported; `niobe launch` goes on with it"
_UPGRADED = {"campaigns", "structures"}
_LONGEST_TEXT, _MOST_VALUES, _DEEPEST = 8 * 2**20, 1_000_000, 16
_LARGEST = 2**63


@dataclass
class ForeignCampaign:
    """What is known of a campaign while its documents are read. keys: of all documents, by collection.

    named: ids of structure records that other documents name; parents: of each record. renamed: the id of
    each record once the campaign is called ``name``.
    """

    spec: CampaignSpec
    name: str
    keys: set[tuple[str, object]] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    parents: dict[str, list[str]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)

    def read(self, collection: str, given: object) -> Document:
        """The document as this Niobe stores it, made from its model. Raises ValueError in one line.

        given: a document of this campaign; every field of it is checked, and what it names is data.
        """
        plain = _plain_document(given)
        record = _record(collection, plain)
        key = _CHECKS[collection](self, record)
        if collection not in _KEYED and not _is_object_id(plain["_id"]):
            raise ValueError("_id: no ObjectId")
        if collection in _KEYED and plain["_id"] != key:
            raise ValueError(f"_id: {str(plain['_id'])[:80]!r} is not {key!r}")
        if (collection, key) in self.keys:
            raise ValueError(f"{key!r} is there twice")
        self.keys.add((collection, key))
        document = {"_id": plain["_id"]} | _stored(record, plain.get("modified"))
        check_plain(document)
        return document

    def check_references(self) -> None:
        """Raises ValueError where a structure that is named is not there, or is its own ancestor."""
        unknown = sorted(self.named - self.renamed.keys())
        if unknown:
            raise ValueError(f"structure {unknown[0][:80]!r} is named and not there")
        try:
            TopologicalSorter(self.parents).prepare()
        except CycleError as error:
            raise ValueError(f"structure {error.args[1][0]!r} is its own ancestor") from None

    def under_new_name(self, collection: str, document: Document) -> Document:
        """The document as it is once the campaign is called ``name``: new ids, paths and digests."""
        if self.name == self.spec.id or collection == "entries":
            return document
        moved: Document = _replaced(document, self.renamed)
        if collection == "campaigns":
            spec = self.spec.model_copy(update={"id": self.name})
            return moved | {
                "_id": self.name,
                "spec": spec.model_dump(mode="json"),
                "spec_digest": spec.digest(),
            }
        moved["campaign"] = self.name
        if collection == "structures":
            moved["facets"]["id"] = moved["_id"]
            self._move_paths(moved)
        if collection == "rounds" and moved["batch_digest"]:
            moved["batch_digest"] = batch_digest(moved["batch"])
        if collection not in _KEYED:
            moved["_id"] = _renamed_object_id(self.name, document["_id"])
        return moved

    def _move_paths(self, document: Document) -> None:
        old, new = self.spec.id, self.name
        if document["lineage"]["checkpoint"]:
            document["lineage"]["checkpoint"] = new + document["lineage"]["checkpoint"].removeprefix(old)
        for part in ("failure", "validation"):
            if document[part] and document[part]["files"]:
                step = document[part]["files"].split("/")[3:]
                document[part]["files"] = "/".join(["failed", new, document["_id"], *step])


def foreign_spec(given: object) -> CampaignSpec:
    """What a campaign document, of this or an older version, asks for. Raises ValueError in one line."""
    return CampaignSpec.model_validate(_record("campaigns", _plain_document(given)).model_dump()["spec"])


def foreign_structure(given: object) -> StructureRecord:
    """A structure record, of this or an older version. Raises ValueError in one line.

    given: a document that a bundle holds.
    """
    return StructureRecord.model_validate(_record("structures", _plain_document(given)))


def in_a_line(error: Exception) -> str:
    """What is wrong, and where in the document, without what stands there."""
    text = str(error)
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False, include_input=False)[0]
        text = f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.split())[:300]


def check_plain(value: object) -> None:
    """Raises ValueError where a document is too deep or large, or holds what is no finite, storable value."""
    from bson import Int64, ObjectId

    plain = {dict, list, str, int, Int64, float, bool, type(None), datetime, ObjectId}
    for count, (depth, part) in enumerate(_parts(value, 0)):
        if type(part) not in plain:
            raise ValueError(f"holds a {type(part).__name__}")
        if depth > _DEEPEST or count > _MOST_VALUES:
            raise ValueError(f"nested deeper than {_DEEPEST}, or more than {_MOST_VALUES} values")
        if isinstance(part, float) and not math.isfinite(part):
            raise ValueError("holds a number that is not finite")
        if isinstance(part, int) and not -_LARGEST <= part < _LARGEST:
            raise ValueError("holds an integer of more than 64 bits")
        if isinstance(part, str) and (len(part.encode()) > _LONGEST_TEXT or "\0" in part):
            raise ValueError(f"holds a text of more than {_LONGEST_TEXT} bytes, or a zero byte in one")
        if isinstance(part, dict) and any(not isinstance(key, str) or key[:1] == "$" for key in part):
            raise ValueError("has a key that begins with $")


def _parts(value: object, depth: int) -> Iterator[tuple[int, object]]:
    """Every value within a value, keys too, without recursion."""
    waiting = [(depth, value)]
    while waiting:
        depth, part = waiting.pop()
        yield depth, part
        if isinstance(part, dict):
            waiting += [(depth + 1, inner) for pair in part.items() for inner in pair]
        elif isinstance(part, list):
            waiting += [(depth + 1, inner) for inner in part]


def _plain_document(given: object) -> Document:
    check_plain(given)
    if not isinstance(given, dict) or "_id" not in given:
        raise ValueError("no document with an _id")
    return given


def _record(collection: str, given: Document) -> BaseModel:
    version = given.get("schema_version", 1)
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise ValueError(f"schema version {str(version)[:20]}; this Niobe reads 1 to {SCHEMA_VERSION}")
    try:
        if collection in _UPGRADED:
            return upgraded(collection, from_mongo(given))
        content = from_mongo(given)
        if collection != "entries":
            del content["id"]
        return COLLECTIONS[collection].model_validate(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__} {error}") from None


def _stored(record: BaseModel, modified: object) -> Document:
    document = body(record)
    if isinstance(record, StructureRecord):
        document |= derived(record)
        document |= {"modified": modified} if isinstance(modified, datetime) else {}
    return document


def _check_campaign(known: ForeignCampaign, record: CampaignRecord) -> str:
    spec = CampaignSpec.model_validate(record.spec)
    if record.id != known.spec.id or spec != known.spec or record.spec_digest != spec.digest():
        raise ValueError(f"campaign {known.spec.id!r}: its id, spec and digest disagree")
    record.spec = spec.model_dump(mode="json")
    record.stop = False
    if record.state is CampaignState.RUNNING:  # Workers go on by themselves with what runs.
        record.state, record.reason = CampaignState.STOPPED, IMPORTED
    return record.id


def _check_structure(known: ForeignCampaign, record: StructureRecord) -> str:
    _check_own(known, record.campaign)
    if record.id != record_id(record.campaign, record.round, record.fingerprint):
        raise ValueError(f"{record.id[:80]!r} is not the id of its campaign, round and fingerprint")
    _check_crystal(record)
    if not set(record.chemsys.split("-")) <= set(known.spec.elements):
        raise ValueError(f"chemsys {record.chemsys!r}: the campaign's elements are {known.spec.chemsys}")
    lacks = {
        "validation": record.validation is None and (record.verdict or record.status is Status.VALIDATED),
        "failure": record.failure is None and record.status is Status.FAILED,
    }
    for part, missing in lacks.items():
        if missing:
            raise ValueError(f"status {record.status}: there is no {part}")
    _check_paths(record)
    known.renamed[record.id] = record_id(known.name, record.round, record.fingerprint)
    known.parents[record.id] = record.lineage.parents
    known.named.update(record.lineage.parents)
    return record.id


def check_crystals(document: Document) -> None:
    """Raises ValueError in one line where a crystal that a document holds, anywhere in it, is none."""
    for _, part in _parts(document, 0):
        if isinstance(part, dict) and part.get("structure") is not None:
            decoded(part["structure"])


def _check_crystal(record: StructureRecord) -> None:
    check_crystals(body(record))
    structure = decoded(record.structure)
    composition = structure.composition
    told = record.formula, record.chemsys, record.n_atoms, record.nelements
    found = composition.reduced_formula, composition.chemical_system, len(structure), len(composition)
    if told != found or not structure.is_ordered:
        raise ValueError(
            f"{record.formula[:40]}, {record.chemsys[:40]}, {record.n_atoms} is not its structure"
        )


def _check_paths(record: StructureRecord) -> None:
    for part in (record.failure, record.validation):
        if part is not None and part.files is not None and not is_own_folder(record, part.files):
            raise ValueError(f"files: {part.files[:80]!r} is no folder of this structure")
    checkpoint = record.lineage.checkpoint
    place = re.escape(record.campaign) + r"/round-\d{1,6}/[a-z_]{1,40}"
    if checkpoint is not None and not re.fullmatch(place, checkpoint):
        raise ValueError(f"lineage.checkpoint: {checkpoint[:80]!r} is none of this campaign")


def _check_entry(known: ForeignCampaign, entry: SourceEntry) -> str:
    if entry.source not in {source.name for source in known.spec.sources}:
        raise ValueError(f"source {entry.source[:40]!r} is none of the campaign")
    if entry.id != f"{entry.source}:{entry.source_id}":
        raise ValueError(f"{entry.id[:80]!r} is not the id of its source and source_id")
    structure = decoded(entry.structure)
    if entry.n_atoms != len(structure) or entry.elements != sorted(structure.composition.get_el_amt_dict()):
        raise ValueError(f"{entry.formula[:40]}, {entry.n_atoms} atoms: does not describe its structure")
    return entry.id


def _check_round(known: ForeignCampaign, record: RoundRecord) -> int:
    _check_own(known, record.campaign)
    record.steps = renamed_steps(record.steps)
    known.named.update(record.batch, record.promising, record.phonons, record.finds, record.asked_for_goals)
    known.named.update(record.force_constants)
    record.rivals = {}  # the challenge begins anew
    return record.number


def _check_hull(known: ForeignCampaign, record: HullRecord) -> int:
    _check_own(known, record.campaign)
    known.named.update(entry.record_id for entry in record.entries)
    return record.round


def _check_phonons(known: ForeignCampaign, record: PhononRecord) -> str:
    _check_own(known, record.campaign)
    known.named.add(record.record_id)
    check_crystals(body(record))
    if record.phonopy:
        unpacked(record.phonopy)
    return record.record_id


def _check_own(known: ForeignCampaign, campaign: str) -> None:
    if campaign != known.spec.id:
        raise ValueError(f"campaign {campaign[:80]!r}: the bundle is of {known.spec.id!r}")


_CHECKS: dict[str, Callable[[ForeignCampaign, Any], object]] = {
    "entries": _check_entry,
    "structures": _check_structure,
    "phonons": _check_phonons,
    "hulls": _check_hull,
    "rounds": _check_round,
    "campaigns": _check_campaign,
}
_KEYED = COLLECTIONS.keys() - {"hulls", "rounds"}


def _is_object_id(value: object) -> bool:
    from bson import ObjectId

    return isinstance(value, ObjectId)


def _renamed_object_id(name: str, old: object) -> object:
    from bson import ObjectId

    return ObjectId(hashlib.sha256(f"{name}\n{old}".encode()).digest()[:12])


def _replaced(value: Any, names: dict[str, str]) -> Any:
    """The value with each text that is a key of ``names`` replaced."""
    if isinstance(value, dict):
        return {key: _replaced(part, names) for key, part in value.items()}
    if isinstance(value, list):
        return [_replaced(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value
