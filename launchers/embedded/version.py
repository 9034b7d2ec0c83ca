"""Which server code this is: a server that was started by another goes on serving after an update."""

from __future__ import annotations

import functools
import hashlib
from importlib.metadata import version
from pathlib import Path

from niobe.config.extras import DISTRIBUTION


@functools.cache
def server_version() -> str:
    """The distribution's version and the first digits of a SHA-256 over the server's modules."""
    digest, root = hashlib.sha256(), Path(__file__).parent
    for file in sorted(root.rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode())
        digest.update(file.read_bytes())
    return f"{version(DISTRIBUTION)}+{digest.hexdigest()[:8]}"
