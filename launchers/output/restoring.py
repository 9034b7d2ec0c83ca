"""A bundle back into a database: nothing of it is written before all of it was found to be what it should.

A bundle may come from anyone. Checksums show that it is whole, not that it is honest: so it is data alone, of
collections and files that are listed here, and every document is made anew from Niobe's own models.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from niobe.config.errors import ConfigError
from niobe.config.home import checkpoints
from niobe.config.spec import CAMPAIGN_ID, SCHEMA_VERSION, CampaignSpec
from niobe.config.version import file_digest
from niobe.launchers.local.holding import only_one
from niobe.launchers.output.bundles import NOT_SUMMED, SUMS
from niobe.loop.documents.json_text import bounded_lines, extended, once_each
from niobe.loop.store.collections.checkpoints import digests_of
from niobe.loop.store.database import Database
from niobe.loop.store.foreign import COLLECTIONS, ForeignCampaign, foreign_spec, in_a_line
from niobe.loop.store.forgetting import check_not_begun, check_source

Document = dict[str, Any]
_MOST_FILES, _MOST_BYTES = 20_000, 50 * 2**30
_LONGEST = {SUMS: 4 * 2**20, "bundle.json": 100_000}
"""Bytes of what is read at once."""
_BATCH = 500
_FILES = re.compile(
    rf"bundle\.json|{SUMS}|CITATION\.cff|LICENCES\.md|campaigns/{CAMPAIGN_ID}\.yaml|schema/[a-z]+\.json"
    rf"|data/({'|'.join(COLLECTIONS)})\.jsonl"
    rf"|checkpoints/{CAMPAIGN_ID}/round-(0|[1-9]\d{{0,5}})(/[a-z0-9_-]{{1,60}}){{1,4}}\.(json|safetensors)"
)


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    bundle: Literal[1]
    schema_version: Annotated[int, Field(ge=1)]
    campaign: Annotated[str, Field(pattern=rf"^{CAMPAIGN_ID}$")]
    created: Annotated[str, Field(max_length=40)]
    documents: dict[str, Annotated[int, Field(ge=0, le=5_000_000)]]
    code: Annotated[str, Field(max_length=40)] = ""


@dataclass(frozen=True)
class _Spool:
    """Documents that were found to be in order, in a scratch folder: a file of BSON a collection."""

    folder: Path
    foreign: ForeignCampaign

    def batches(self, collection: str) -> Iterator[list[Document]]:
        """As they are stored here, under the campaign's name here, some at a time."""
        from bson import decode_file_iter

        with (self.folder / collection).open("rb") as file:
            documents = (self.foreign.under_new_name(collection, one) for one in decode_file_iter(file))
            while batch := list(islice(documents, _BATCH)):
                yield batch


def read_bundle(database: Database, folder: Path, name: str = "") -> dict[str, int]:
    """Restore a bundle; how many documents of each collection are new. Again, it changes nothing.

    name: what the campaign is called here; its own name where left out. A campaign that ran is stopped here.
    Raises ConfigError, before anything is written, where the checksums are wrong, a newer Niobe wrote it,
    anything in it is not what a bundle holds, the campaign runs or is being forgotten, or the database or
    checkpoints hold something else under the same names. A campaign document comes last: cut short, there is
    no campaign, and the same again ends it.

    folder: the bundle.
    """
    files = _checked_files(folder)
    manifest = _manifest(folder)
    if name and not re.fullmatch(CAMPAIGN_ID, name):
        raise ConfigError(f"--as: {name!r}: allowed are a-z, 0-9, dot, hyphen and underscore, up to 64")
    foreign = ForeignCampaign(_spec(folder, manifest), name or manifest.campaign)
    pairs = _checkpoints(folder, files, manifest.campaign, foreign.name)
    with tempfile.TemporaryDirectory(prefix="niobe-import-") as scratch:
        spool = _Spool(Path(scratch), foreign)
        _read_all(folder, manifest, spool)
        with only_one(database, foreign.name):
            _check_not_forgotten(database, spool)
            new = _new(database, spool)
            unstored = _unstored(database, folder / "checkpoints" / manifest.campaign, foreign.name, pairs)
            _write(database, spool, new, pairs, unstored)
    return {collection: len(found) for collection, found in new.items() if collection in manifest.documents}


def _check_not_forgotten(database: Database, spool: _Spool) -> None:
    """Raises ConfigError where the campaign, or a source that it has entries of, is being forgotten."""
    check_not_begun(database, "campaign", spool.foreign.name)
    entries = (entry["source"] for batch in spool.batches("entries") for entry in batch)
    for source in sorted(set(entries)):
        check_source(database, source)


def _new(database: Database, spool: _Spool) -> dict[str, set[object]]:
    """Keys of what is not stored yet. Raises ConfigError where something else is."""
    new: dict[str, set[object]] = {}
    for collection in COLLECTIONS:
        held: set[object] = set()
        new[collection] = set()
        for batch in spool.batches(collection):
            held |= {document["_id"] for document in batch}
            new[collection] |= {document["_id"] for document in database.documents.missing(collection, batch)}
        if collection != "entries":
            others = database.documents.foreign_ids(collection, spool.foreign.name, held)
            if others:
                there = f"campaign {spool.foreign.name!r} is there with other records"
                raise ConfigError(f"{there} ({collection} {others[0]}); --as NAME imports under another name")
    return new


def _write(
    database: Database,
    spool: _Spool,
    new: dict[str, set[object]],
    pairs: Iterable[tuple[Path, Path]],
    unstored: Iterable[tuple[int, str, Path]],
) -> None:
    for source, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for number, model, folder in unstored:  # for workers of hosts with a home of their own
        database.checkpoints.store(spool.foreign.name, number, model, folder)
    for collection in COLLECTIONS:
        for batch in spool.batches(collection):
            database.documents.restore(collection, [one for one in batch if one["_id"] in new[collection]])


def _unstored(
    database: Database, own: Path, campaign: str, pairs: Sequence[tuple[Path, Path]]
) -> list[tuple[int, str, Path]]:
    """Round, model and folder of each checkpoint that the database lacks; only folders are checkpoints.

    own: the bundle's checkpoints. Raises ConfigError where the database holds another.
    """
    unstored = []
    found = {source.relative_to(own).parts[:2] for source, _ in pairs if source.parent.parent != own}
    for round_, model in sorted(found):
        number, folder = int(round_.removeprefix("round-")), own / round_ / model
        stored = database.checkpoints.digests(campaign, number, model)
        if stored is None:
            unstored.append((number, model, folder))
        elif stored != digests_of(folder):
            there = f"campaign {campaign!r} is there with another {model} of round {number}"
            raise ConfigError(f"{there}; --as NAME imports under another name")
    return unstored


def _read_all(folder: Path, manifest: _Manifest, spool: _Spool) -> None:
    """Every document checked and put into the spool. Raises ConfigError that names the line."""
    from bson import encode

    for collection in COLLECTIONS:
        count = 0
        with (spool.folder / collection).open("wb") as output:
            wanted = manifest.documents.get(collection, 0)
            for document in islice(_documents(folder, collection, spool.foreign.read), wanted + 1):
                output.write(encode(document))
                count += 1
        if count != wanted:
            raise ConfigError(f"{folder}: data/{collection}: not as many documents as bundle.json says")
    try:
        spool.foreign.check_references()
    except ValueError as error:
        raise ConfigError(f"{folder}: {error}") from None


def _documents(folder: Path, collection: str, read: Callable[[str, object], Document]) -> Iterator[Document]:
    file = folder / "data" / f"{collection}.jsonl"
    if not file.is_file():
        return
    for number, line in bounded_lines(file):
        try:
            yield read(collection, extended(line))
        except ValueError as error:
            raise ConfigError(f"{file}:{number}: {in_a_line(error)}") from None


def _spec(folder: Path, manifest: _Manifest) -> CampaignSpec:
    """What the bundle's one campaign was asked to do."""
    read = _documents(folder, "campaigns", lambda _, given: {"spec": foreign_spec(given)})
    specs: list[CampaignSpec] = [found["spec"] for found in islice(read, 2)]
    if len(specs) != 1 or manifest.documents.get("campaigns") != 1:
        raise ConfigError(f"{folder}: a bundle holds one campaign")
    return specs[0]


def _manifest(folder: Path) -> _Manifest:
    file = folder / "bundle.json"
    try:
        manifest = _Manifest.model_validate(extended(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: {in_a_line(error)}") from None
    if manifest.schema_version > SCHEMA_VERSION:
        raise ConfigError(
            f"{folder}: schema version {manifest.schema_version}; this Niobe reads {SCHEMA_VERSION}"
        )
    return manifest


def _checkpoints(folder: Path, files: Iterable[str], campaign: str, name: str) -> list[tuple[Path, Path]]:
    """Each checkpoint file and its place. Raises ConfigError where another file stands there."""
    pairs = []
    for file in files:
        if file.startswith("checkpoints/"):
            _, owner, rest = file.split("/", 2)
            if owner != campaign:
                raise ConfigError(f"{folder / file}: belongs to another campaign than {campaign!r}")
            target = checkpoints(name) / rest
            if target.exists() and file_digest(target) != file_digest(folder / file):
                raise ConfigError(f"{target}: another checkpoint stands there")
            pairs.append((folder / file, target))
    return pairs


def _checked_files(folder: Path) -> list[str]:
    """Names of all files, relative. Raises ConfigError for one that is none of a bundle, or was changed."""
    if not (folder / SUMS).is_file():
        raise ConfigError(f"{folder}: no bundle: {SUMS} is missing")
    found = dict(_walk(folder))
    for name, most in _LONGEST.items():
        if found.get(name, 0) > most:
            raise ConfigError(f"{folder / name}: more than {most} bytes")
    if sum(found.values()) > _MOST_BYTES:
        raise ConfigError(f"{folder}: larger than a bundle may be ({_MOST_BYTES} bytes)")
    wanted = _wanted(folder / SUMS)
    have = {name: file_digest(folder / name) for name in found if name not in NOT_SUMMED}
    wrong = sorted(name for name in wanted.keys() | have.keys() if wanted.get(name) != have.get(name))
    if wrong:
        raise ConfigError(f"{folder / wrong[0]}: missing, added or changed since the bundle was written")
    return sorted(found)


def _wanted(sums: Path) -> dict[str, str]:
    """The checksum of each file that is named. Raises ConfigError where one is named twice."""
    lines = sums.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        return once_each((name, total) for total, _, name in (line.partition("  ") for line in lines))
    except ValueError as error:
        raise ConfigError(f"{sums}: {error}") from None


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    """Name and size of each file. Raises ConfigError for a link, a name of no bundle, or too many."""
    count = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place) / name
            count += 1
            if path.is_symlink():
                raise ConfigError(f"{path}: is a link; a bundle holds files only")
            if count > _MOST_FILES:
                raise ConfigError(f"{folder}: more than {_MOST_FILES} files and folders")
            if name in files:
                relative = path.relative_to(folder).as_posix()
                if not path.is_file() or not _FILES.fullmatch(relative):
                    raise ConfigError(f"{str(path)!r}: is no file of a bundle")
                yield relative, path.stat().st_size
