"""What was relaxed, one JSON file each, written whole: the benchmark can be killed and goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from niobe.loop.documents.records import Validation


@dataclass(frozen=True)
class Run:
    """One setting on one system with one seed."""

    system: str
    setting: str
    seed: int

    def folder(self, root: Path) -> Path:
        return root / self.system / self.setting / f"seed-{self.seed}"


def write(file: Path, content: dict[str, Any]) -> None:
    """Write JSON beside its place and move it there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_suffix(".part")
    scratch.write_text(json.dumps(content), encoding="utf-8")
    scratch.replace(file)


def read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def stored(root: Path, pattern: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Files and contents below ``root`` in the order of their names."""
    for file in sorted(root.glob(pattern)):
        yield file, read(file)


def structure(content: dict[str, Any]) -> Structure:
    """The relaxed structure of a stored answer."""
    return Structure.from_dict(content["structure"])


def validation(content: dict[str, Any]) -> Validation:
    """A stored answer as a campaign's record holds it."""
    return Validation.model_validate({name: content[name] for name in Validation.model_fields})
