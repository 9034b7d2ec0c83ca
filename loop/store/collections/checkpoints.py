"""Checkpoints of campaigns' models: the collection ``checkpoints``; contents lie in GridFS, each once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.config.version import file_digest
from niobe.loop.store.mapping import Document

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
        """
        digests = digests_of(folder)
        files = [
            {"path": path, "sha256": digest, "file": self._stored(folder / path, digest)}
            for path, digest in digests.items()
        ]
        key = {"campaign": campaign, "number": number, "model": model}
        before = self._collection.find_one(key) or {}
        self._collection.replace_one(key, key | {"files": files}, upsert=True)
        self._drop_unnamed(before)

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
            target = (folder / one["path"]).resolve()
            if not target.is_relative_to(folder.resolve()):
                raise ValueError(f"checkpoint {campaign} r{number} {model}: {one['path']!r} is outside of it")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as output:
                self._bucket.download_to_stream(one["file"], output)
            if file_digest(target) != one["sha256"]:
                raise ValueError(f"checkpoint {campaign} r{number} {model}: {one['path']} was changed")

    def forget(self, campaign: str) -> None:
        """Remove all checkpoints of a campaign, and contents that no other names."""
        while found := self._collection.find_one({"campaign": campaign}):
            self._collection.delete_one({"_id": found["_id"]})
            self._drop_unnamed(found)

    def _drop_unnamed(self, gone: Document) -> None:
        """Remove contents of a document that is there no more, unless another names them."""
        for content in {one["file"] for one in gone.get("files", [])}:
            if self._collection.find_one({"files.file": content}, {"_id": 1}) is None:
                self._bucket.delete(content)

    @property
    def _bucket(self) -> GridFSBucket:
        from gridfs import GridFSBucket

        return GridFSBucket(self._mongo, BUCKET)

    def _stored(self, file: Path, digest: str) -> Any:
        """The id of a content in GridFS, which holds it once."""
        known = next(iter(self._bucket.find({"metadata.sha256": digest}, limit=1)), None)
        if known is not None:
            return known._id
        with file.open("rb") as source:
            return self._bucket.upload_from_stream(file.name, source, metadata={"sha256": digest})


def digests_of(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder, by its path in it; none where there is no such folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
