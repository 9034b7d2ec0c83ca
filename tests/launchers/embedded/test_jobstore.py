"""jobflow's JobStore on the server, large outputs in GridFS."""

from __future__ import annotations

import os
from typing import Any

import gridfs
from bson import ObjectId

from tests.launchers.embedded.tools import connect

BLOB_BYTES = 20_000_000


def test_gridfs_brings_20_mb_back(mongo_uri: str) -> None:
    blob = os.urandom(BLOB_BYTES)
    with connect(mongo_uri) as client:
        database = client[f"g{ObjectId()}"]
        files = gridfs.GridFS(database)
        assert files.get(files.put(blob)).read() == blob
        client.drop_database(database.name)


def test_a_jobstore_brings_20_mb_back_through_its_data_store(mongo_uri: str) -> None:
    from jobflow import JobStore
    from maggma.stores import GridFSStore, MongoStore

    name = f"j{ObjectId()}"
    documents = MongoStore.from_uri(mongo_uri, database=name, collection_name="outputs")
    blobs = GridFSStore.from_uri(mongo_uri, database=name, collection_name="blobs")
    blob = os.urandom(BLOB_BYTES // 2).hex()
    with JobStore(documents, additional_stores={"data": blobs}) as store:
        document: dict[str, Any] = {
            "uuid": "u1",
            "index": 1,
            "output": {"energy": -1.5, "forces": {"@class": "Blob", "@module": "tests", "hex": blob}},
        }
        store.update(document, save={"data": ["forces"]})
        light = store.query_one({"uuid": "u1"})
        whole = store.query_one({"uuid": "u1"}, load=True)
    with connect(mongo_uri) as client:
        client.drop_database(name)
    assert light["output"]["energy"] == -1.5
    assert blob not in str(light)
    assert whole["output"]["forces"]["hex"] == blob
