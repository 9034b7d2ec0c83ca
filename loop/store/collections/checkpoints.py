"""Checkpoints of campaigns' models: the collection ``checkpoints``; contents lie in GridFS.

Each checkpoint has contents of its own, even where another's are equal: nothing that is removed is another's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.config.home import resolved
from niobe.config.version import file_digest
from niobe.loop.store.claims import SupersededError
from niobe.loop.store.mapping import Document
from niobe.loop.store.unchanged import put

if TYPE_CHECKING:
    from gridfs import GridFSBucket
    from pymongo.collection import Collection as MongoCollection
    from pymongo.database import Database as MongoDatabase

BUCKET = "checkpoint_files"


class Checkpoints:
    """Checkpoints of campaigns' models, for hosts that do not share a home."""

    def __init__(self, collection: MongoCollection[Document], mongo: MongoDatabase[Document]) -> None:
        """collection: names the files of each. mongo: the database that holds their contents."""
        self._collection, self._mongo = collection, mongo

    def store(self, campaign: str, number: int, model: str, folder: Path) -> None:
        """Store the files of a folder as a round's checkpoint, over what is there.

        campaign: its id. number: of the round. model: ``surrogate`` or ``gan``. folder: the checkpoint.
        Raises SupersededError where a claim is held no more, or another was stored meanwhile.
        """
        digests = digests_of(folder)
        if digests == self.digests(campaign, number, model):
            return
        files = [
            {"path": path, "sha256": digest, "file": self._stored(folder / path, campaign)}
            for path, digest in digests.items()
        ]
        key = {"campaign": campaign, "number": number, "model": model}
        try:
            before = put(self._collection, key, key | {"files": files})
            if before is None:
                raise SupersededError(
                    f"{campaign} r{number} {model}: another checkpoint was stored meanwhile"
                )
        except SupersededError:
            self.remove_contents(one["file"] for one in files)
            raise
        if before:
            self._drop(before)

    def digests(self, campaign: str, number: int, model: str) -> dict[str, str] | None:
        """SHA-256 of each file of a checkpoint, by its path in the folder; None where none is stored.

        campaign: its id. number: of the round. model: ``surrogate`` or ``gan``.
        """
        found = self._collection.find_one({"campaign": campaign, "number": number, "model": model})
        return None if found is None else {one["path"]: one["sha256"] for one in found["files"]}

    def names(self, campaign: str) -> list[tuple[int, str]]:
        """Round and model of each checkpoint of a campaign."""
        found = self._collection.find({"campaign": campaign}, sort=[("number", 1), ("model", 1)])
        return [(one["number"], one["model"]) for one in found]

    def write(self, campaign: str, number: int, model: str, folder: Path) -> None:
        """Write the files of a stored checkpoint into a folder.

        campaign: its id. number: of the round. model: ``surrogate`` or ``gan``. folder: an empty one.
        Raises ValueError where a file is not what was stored, or would lie elsewhere.
        """
        found = self._collection.find_one({"campaign": campaign, "number": number, "model": model}) or {}
        for one in found.get("files", []):
            target = resolved(folder / one["path"])
            if not target.is_relative_to(resolved(folder)):
                raise ValueError(f"checkpoint {campaign} r{number} {model}: {one['path']!r} is outside of it")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as output:
                self._bucket.download_to_stream(one["file"], output)
            if file_digest(target) != one["sha256"]:
                raise ValueError(f"checkpoint {campaign} r{number} {model}: {one['path']} was changed")

    def forget(self, campaign: str) -> None:
        """Remove all checkpoints of a campaign, and what a process that was killed stored for one of them."""
        while found := self._collection.find_one({"campaign": campaign}):
            self._drop(found)
            self._collection.delete_one({"_id": found["_id"]})
        self.remove_contents([content._id for content in self._bucket.find({"metadata.campaign": campaign})])

    def unnamed_contents(self, before: datetime) -> list[object]:
        """Ids of contents that no checkpoint names: a process was killed while it stored or removed one.

        before: stored before then; what is stored just now is named soon.
        """
        named = set(self._collection.distinct("files.file"))
        return [one._id for one in self._bucket.find({"uploadDate": {"$lt": before}}) if one._id not in named]

    def without_contents(self) -> list[tuple[object, str]]:
        """Id of each checkpoint that names contents which are gone, and the file it lacks."""
        there = {one._id for one in self._bucket.find({})}
        lacking = []
        for found in self._collection.find({}):
            lost = [one["path"] for one in found["files"] if one["file"] not in there]
            lacking += [(found["_id"], lost[0])] if lost else []
        return lacking

    def remove_contents(self, ids: Iterable[object]) -> None:
        """Remove contents, their parts first: killed in between, what is left can be found.

        ids: in GridFS.
        """
        for one in ids:
            self._mongo[f"{BUCKET}.chunks"].delete_many({"files_id": one})
            self._mongo[f"{BUCKET}.files"].delete_one({"_id": one})

    def _drop(self, gone: Document) -> None:
        """Remove contents of a document; those that an older Niobe stored may be another's too."""
        contents = {one["file"] for one in gone.get("files", [])}
        others = self._collection.find({"files.file": {"$in": list(contents)}, "_id": {"$ne": gone["_id"]}})
        self.remove_contents(contents - {one["file"] for other in others for one in other["files"]})

    @property
    def _bucket(self) -> GridFSBucket:
        from gridfs import GridFSBucket

        return GridFSBucket(self._mongo, BUCKET)

    def _stored(self, file: Path, campaign: str) -> Any:
        """The id of a new content in GridFS."""
        with file.open("rb") as source:
            return self._bucket.upload_from_stream(file.name, source, metadata={"campaign": campaign})


def digests_of(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder, by its path in it; none where there is no such folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
