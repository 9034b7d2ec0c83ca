"""Everything in a database server, elsewhere: into files laid out as mongodump does, or into another server.

Documents go as the bytes they are. Digests do not depend on the order of documents.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import bson
from bson import json_util
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, ConfigurationError, OperationFailure, PyMongoError

from niobe.config.errors import ConfigError
from niobe.config.home import unlike
from niobe.config.outside.json_text import not_too_deep
from niobe.config.settings import patience
from niobe.launchers.embedded.wire import MAX_DOCUMENT_BYTES

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
_BATCH = 500
_TIMEOUT_MS = 10_000
_SYSTEM = {"admin", "config", "local"}
_DUPLICATE = 11000
_LENGTH = 4
_NOT_OPTIONS = {"v", "key", "name", "ns"}
RawCollection = Collection[RawBSONDocument]


@dataclass(frozen=True)
class Content:
    """What a collection holds. digest: sum of its documents' SHA-256, modulo 2**256, in hexadecimal."""

    documents: int
    digest: str


def dump(uri: str, to: Path) -> dict[str, int]:
    """Write every collection of the server at ``uri`` to the new folder ``to``; documents by collection.

    Raises ConfigError where ``to`` exists or the server does not answer. The folder appears whole.
    """
    if to.exists():
        raise ConfigError(f"{to}: exists already; name a folder that does not")
    scratch = to.with_name(f".{to.name}.unfinished")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700, parents=True)
    with _server(uri) as client:
        counts = {c.full_name: _write(c, scratch) for c in _collections(client)}
    scratch.rename(to)
    return counts


def _write(collection: RawCollection, folder: Path) -> int:
    folder = folder / quote(collection.database.name, safe="")
    folder.mkdir(exist_ok=True)
    stem = quote(collection.name, safe="")
    meta = {"indexes": list(_indexes(collection)), "collectionName": collection.name, "type": "collection"}
    (folder / f"{stem}.metadata.json").write_text(json_util.dumps(meta), encoding="utf-8")
    count = 0
    with (folder / f"{stem}.bson").open("wb") as output:
        for document in collection.find():
            output.write(document.raw)
            count += 1
    return count


def load(uri: str, dumped: Path) -> dict[str, int]:
    """Put a dump into the server at ``uri``; documents by collection.

    Raises ConfigError where ``dumped`` is no intact dump or a collection in it has documents already;
    nothing is written then.
    """
    files = sorted(dumped.glob("*/*.bson"))
    if not files:
        raise ConfigError(f"{dumped}: no dump there (a folder for each database with .bson files)")
    for file in files:
        _check(file)
    with _server(uri) as client:
        targets = [_target(client, file) for file in files]
        for target in targets:
            if target.find_one() is not None:
                raise ConfigError(f"{target.full_name}: holds documents already; nothing was restored")
        try:
            return {t.full_name: _restore(t, file) for t, file in zip(targets, files, strict=True)}
        except (ConfigError, PyMongoError):
            with suppress(PyMongoError):
                for target in targets:
                    target.delete_many({})
            raise


def _restore(target: RawCollection, file: Path) -> int:
    count = _fill(target, _read(file), _stored_indexes(file))
    if target.count_documents({}) != count:
        raise ConfigError(f"{file}: holds an _id twice; nothing was restored")
    return count


def _check(file: Path) -> None:
    try:
        for path in (file, _metadata(file)):
            if problem := unlike(path, "file"):
                raise ConfigError(f"{problem}; nothing was restored")
        for document in _read(file):
            bson.decode(document.raw)
        for index in _stored_indexes(file):
            if not (isinstance(index["key"], dict) and isinstance(index["name"], str)):
                raise ValueError("an index without its keys or its name")
    except (OSError, BSONError, ValueError, LookupError, TypeError, RecursionError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ConfigError(f"{file}: not an intact dump ({said}); nothing was restored") from error


def _read(file: Path) -> Iterator[RawBSONDocument]:
    with file.open("rb") as source:
        while head := source.read(_LENGTH):
            size = int.from_bytes(head, "little", signed=True)
            if len(head) < _LENGTH or not _LENGTH < size <= MAX_DOCUMENT_BYTES:
                raise ValueError(f"a document of {size} bytes")
            yield RawBSONDocument(head + source.read(size - _LENGTH))


def _metadata(file: Path) -> Path:
    return file.with_suffix(".metadata.json")


def _stored_indexes(file: Path) -> list[dict[str, Any]]:
    if (size := _metadata(file).stat().st_size) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"metadata of {size} bytes")
    text = _metadata(file).read_text(encoding="utf-8")
    return list(json_util.loads(not_too_deep(text))["indexes"])


def _target(client: MongoClient[Any], file: Path) -> RawCollection:
    return client[unquote(file.parent.name)].get_collection(unquote(file.stem), codec_options=_RAW)


def migrate(source: str, target: str) -> dict[str, Content]:
    """Copy everything at ``source`` into the server at ``target`` and prove that it arrived.

    Nothing at the target is overwritten and a migration that was broken off goes on. Raises ConfigError
    where a server does not answer, or where a collection's counts or digests differ afterwards.
    """
    with _server(source) as here, _server(target) as there:
        pairs = [
            (c, there[c.database.name].get_collection(c.name, codec_options=_RAW)) for c in _collections(here)
        ]
        for collection, copy in pairs:
            _fill(copy, collection.find(), list(_indexes(collection)))
        return {collection.full_name: _verified(collection, copy) for collection, copy in pairs}


def _verified(collection: RawCollection, copy: RawCollection) -> Content:
    here, there = content(collection), content(copy)
    if here != there:
        raise ConfigError(
            f"{collection.full_name}: {here.documents} documents here, {there.documents} at the target, "
            "or not the same ones; stop what writes to either and clear the target's collection"
        )
    return here


def content(collection: RawCollection) -> Content:
    """Count and digest of a collection."""
    count = total = 0
    for document in collection.find():
        count += 1
        total += int.from_bytes(sha256(document.raw).digest(), "big")
    return Content(count, f"{total % 2**256:064x}")


def _fill(target: RawCollection, documents: Iterable[RawBSONDocument], indexes: list[dict[str, Any]]) -> int:
    """Insert what is not there yet, then make the indexes."""
    remaining, count = iter(documents), 0
    while batch := list(islice(remaining, _BATCH)):
        count += len(batch)
        try:
            target.insert_many(batch, ordered=False)
        except BulkWriteError as error:
            for refused in error.details["writeErrors"]:
                if refused["code"] != _DUPLICATE:
                    raise OperationFailure(refused["errmsg"], refused["code"]) from None
    for index in indexes:
        options = {key: value for key, value in index.items() if key not in _NOT_OPTIONS}
        target.create_index(list(index["key"].items()), name=index["name"], **options)
    return count


def _indexes(collection: RawCollection) -> Iterator[dict[str, Any]]:
    for index in collection.list_indexes():
        if index["name"] != "_id_":
            yield bson.decode(bson.encode(index))


def _collections(client: MongoClient[Any]) -> Iterator[RawCollection]:
    for database in sorted(set(client.list_database_names()) - _SYSTEM):
        for name in sorted(client[database].list_collection_names()):
            if not name.startswith("system."):
                yield client[database].get_collection(name, codec_options=_RAW)


@contextmanager
def _server(uri: str) -> Iterator[MongoClient[Any]]:
    """A client of the server at ``uri``; what fails inside is a ConfigError, which never shows the URI."""
    try:
        made = MongoClient[Any](uri, serverSelectionTimeoutMS=patience(uri, _TIMEOUT_MS))
    except (ConfigurationError, ValueError) as error:
        raise ConfigError(f"not a MongoDB URI (mongodb://host/ is one): {type(error).__name__}") from error
    try:
        with made as client:
            client.admin.command("ping")
            yield client
    except PyMongoError as error:
        said = str(error).split(" (configured timeouts")[0].split(", Timeout: ")[0]
        raise ConfigError(f"the database server: {type(error).__name__}: {said}") from error
