"""A collection of the session's server, and a folder for a server of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from niobe.launchers.embedded import stop_server
from tests.launchers.embedded.tools import connect


@pytest.fixture
def collection(mongo_uri: str) -> Iterator[Any]:
    with connect(mongo_uri) as client:
        name = f"t{ObjectId()}"
        yield client["embedded"][name]
        client["embedded"].drop_collection(name)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "db"
    stop_server(tmp_path / "db")
