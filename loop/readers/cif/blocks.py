"""The syntax of CIF files: data blocks with their lines, values and columns, by gemmi."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from niobe.loop.readers.rows import read_text

# Letters that copying from a page leaves in place of ASCII ones; any other becomes "~", which no value has.
_COPIED = str.maketrans(
    {"−": "-", "–": "-", "\xad": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "\xa0": " "}
)
# CIF 2 and DDLm write _atom_site.fract_x for _atom_site_fract_x.
# gemmi keeps each value as a text of its own, 32 bytes at least.
_MOST_VALUES = 10_000_000
_DOTTED = re.compile(r"(?<!\S)(_[A-Za-z_]+)\.(?=[A-Za-z])")


@dataclass(frozen=True)
class Block:
    """One data block of a CIF file."""

    file: Path
    name: str
    line: int
    content: Any

    def value(self, tag: str) -> str | None:
        """The value of a tag, or None where it is missing, ``?`` or ``.``."""
        from gemmi import cif

        raw = self.content.find_value(tag)
        return None if raw is None or cif.is_null(raw) else str(cif.as_string(raw))

    def column(self, tag: str) -> list[str]:
        """The values of a tag as they stand, one where it is not looped, none where it is missing."""
        found = list(self.content.find_loop(tag))
        if found or (single := self.content.find_value(tag)) is None:
            return found
        return [single]

    def own(self) -> dict[str, str]:
        """What ``niobe export cif`` wrote beside the crystal: ``_niobe_e_above_hull`` under its name."""
        from gemmi import cif

        tags = [item.pair[0] for item in self.content if item.pair is not None]
        named = {tag.removeprefix("_niobe_"): tag for tag in tags if tag.startswith("_niobe_")}
        return {name: str(cif.as_string(self.content.find_value(tag))) for name, tag in named.items()}

    def at(self, tag: str) -> str:
        """``file:line`` of a tag, or of the block where it has no such tag."""
        item = self.content.find_pair_item(tag) or self.content.find_loop_item(tag)
        return f"{self.file}:{item.line_number if item else self.line}"


def blocks(file: Path) -> list[Block]:
    """The data blocks of a file that describe a crystal, or all where none does.

    Raises ValueError that names file and line where its syntax is broken.
    """
    return _blocks(read_text(file), file)


def only_block(text: str) -> Block:
    """The one crystal of a CIF text. Raises ValueError where there is none, or more."""
    found = _blocks(text, Path("cif"))
    if len(found) != 1:
        raise ValueError(f"{len(found)} data blocks; allowed: 1")
    return found[0]


def _blocks(text: str, file: Path) -> list[Block]:
    from gemmi import cif

    plain = re.sub(r"[^\x00-\x7f]", "~", text.lstrip("\ufeff").translate(_COPIED))
    plain = _DOTTED.sub(r"\1_", plain)
    if len(plain) > 2 * _MOST_VALUES and len(re.sub(r"\S+", "", re.sub(r"\s+", " ", plain))) > _MOST_VALUES:
        raise ValueError(f"{file}:1: more than {_MOST_VALUES} values")
    try:
        document = cif.read_string(plain)
        document.check_for_missing_values()
        document.check_for_duplicates()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{file}:{_line_in(str(error))}: {' '.join(str(error).split())[:200]}") from None
    if not len(document):
        raise ValueError(f"{file}:1: no data block")
    lines = [n for n, line in enumerate(plain.splitlines(), 1) if line.strip().lower().startswith("data_")]
    found = [
        Block(file, block.name, lines[min(i, len(lines) - 1)] if lines else 1, block)
        for i, block in enumerate(document)
    ]
    return [block for block in found if _has_crystal(block)] or found


def _has_crystal(block: Block) -> bool:
    return any(
        block.content.find_value(tag) is not None for tag in ("_cell_length_a", "_cell_angle_alpha")
    ) or bool(block.column("_atom_site_fract_x"))


def _line_in(message: str) -> int:
    """The line gemmi names in ``string:12:3: …`` or ``line 12``."""
    for word in message.replace("(", " ").replace(":", " ").split():
        if word.isdigit():
            return int(word)
    return 1
