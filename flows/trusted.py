"""Code that campaign files launched on this machine have named: what alone is imported by path.

A campaign launched from its file trusts what that file names; one that came in a bundle or over a database
does not (SECURITY.md).
"""

from __future__ import annotations

from niobe.config.home import trusted_calculators


def trust(line: str) -> None:
    """Let this machine import what a line describes, from now on.

    line: JSON, the same text for the same code with the same arguments.
    """
    if is_trusted(line):
        return
    file = trusted_calculators()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")


def is_trusted(line: str) -> bool:
    """Whether a campaign file launched here has named it."""
    file = trusted_calculators()
    return file.exists() and line in file.read_text(encoding="utf-8").splitlines()
