"""What the tests of the embedded database share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pymongo
import pytest

from niobe.launchers.embedded import server_status

EMBEDDED_ONLY = pytest.mark.skipif(
    "NIOBE_TEST_MONGO_URI" in os.environ, reason="about the embedded server itself, not MongoDB"
)


def connect(uri: str, **options: Any) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(uri, **options)


def pid_of(folder: Path) -> int:
    info = server_status(folder)
    assert info is not None
    return info.pid
