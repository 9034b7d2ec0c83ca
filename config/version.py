"""Which code this is, and what a checkpoint says of where it comes from."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from niobe.config.extras import DISTRIBUTION

_FOLDERS = ("config", "flows", "launchers", "loop", "surrogates")
_DIGITS = 8


@functools.cache
def code_version() -> str:
    """The distribution's version and, after a ``+``, the first digits of a SHA-256 over all its modules.

    Two states of a checkout differ although neither has been released. The form is PEP 440's local version.
    """
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for folder in _FOLDERS:
        for file in sorted((root / folder).rglob("*.py")):
            digest.update(str(file.relative_to(root)).encode())
            digest.update(file.read_bytes())
    return f"{version(DISTRIBUTION)}+{digest.hexdigest()[:_DIGITS]}"


def origin(data: Iterable[str]) -> dict[str, Any]:
    """What a checkpoint keeps: the code, and the data by number and SHA-256 of the sorted ids or digests."""
    ids = sorted(data)
    return {
        "code": code_version(),
        "data": {"count": len(ids), "sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest()},
    }


def file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes, in hex digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
