"""CIF files: gemmi reads the syntax and says where it is broken, pymatgen makes the structure."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymatgen.core import Structure

_CELL = tuple(f"_cell_{part}" for part in ("length_a", "length_b", "length_c"))
_ANGLES = tuple(f"_cell_{part}" for part in ("angle_alpha", "angle_beta", "angle_gamma"))
_FRACTIONS = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_NAMES = ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M")
_MAX_LENGTH, _MAX_SITES = 1000.0, 5000


@dataclass(frozen=True)
class Block:
    """One data block of a CIF file, with its own text."""

    file: Path
    name: str
    line: int
    content: Any

    def value(self, tag: str) -> str | None:
        """The value of a tag, or None where it is missing, ``?`` or ``.``."""
        from gemmi import cif

        raw = self.content.find_value(tag)
        return None if raw is None or cif.is_null(raw) else str(cif.as_string(raw))

    def at(self, tag: str) -> str:
        """``file:line`` of a tag, or of the block where it has no such tag."""
        item = self.content.find_pair_item(tag) or self.content.find_loop_item(tag)
        return f"{self.file}:{item.line_number if item else self.line}"


def blocks(file: Path) -> list[Block]:
    """The data blocks of a file. Raises ValueError that names file and line where its syntax is broken."""
    content = file.read_bytes()
    try:
        return _blocks(content.decode("utf-8"), file)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}:{content[: error.start].count(b'%c' % 10) + 1}: not UTF-8") from None


def only_block(text: str) -> Block:
    """The one data block of a CIF text. Raises ValueError where there is none, or more."""
    found = _blocks(text, Path("cif"))
    if len(found) != 1:
        raise ValueError(f"{len(found)} data blocks; allowed: 1")
    return found[0]


def _blocks(text: str, file: Path) -> list[Block]:
    from gemmi import cif

    try:
        document = cif.read_string(text)
        document.check_for_missing_values()
        document.check_for_duplicates()
    except UnicodeDecodeError:
        line = next(n for n, line in enumerate(text.splitlines(), 1) if not line.isascii())
        raise ValueError(f"{file}:{line}: not readable near a letter that is not ASCII") from None
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{file}:{_line_in(str(error))}: {' '.join(str(error).split())[:200]}") from None
    if not len(document):
        raise ValueError(f"{file}:1: no data block")
    lines = [n for n, line in enumerate(text.splitlines(), 1) if line.strip().lower().startswith("data_")]
    return [
        Block(file, block.name, lines[min(i, len(lines) - 1)] if lines else 1, block)
        for i, block in enumerate(document)
    ]


def structure_of(block: Block) -> Structure:
    """The structure of a block, partial occupancies and oxidation states as given.

    Raises ValueError that names file and line: missing or impossible cell, sites or symmetry.
    """
    from pymatgen.io.cif import CifParser

    _check_cell(block)
    _check_sites(block)
    _check_symmetry(block)
    from gemmi import cif

    alone = cif.Document()
    alone.add_copied_block(block.content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parser = CifParser.from_str(alone.as_string(), occupancy_tolerance=1.02)
            (structure,) = parser.parse_structures(primitive=False, check_occu=True)
    except Exception as error:  # noqa: BLE001 - the parser raises anything; it is reported with its place
        message = " ".join(str(error).split())[:200]
        raise ValueError(f"{block.at('_atom_site_fract_x')}: {type(error).__name__}: {message}") from None
    _check_against_formula(block, structure)
    return structure


def _check_cell(block: Block) -> None:
    for tag in (*_CELL, *_ANGLES):
        raw = block.content.find_value(tag)
        value = float("nan") if raw is None else _number(raw)
        upper = _MAX_LENGTH if tag in _CELL else 180.0
        if not 0 < value < upper:
            shown = "missing" if raw is None else f"{raw!r} is not between 0 and {upper:g}"
            raise ValueError(f"{block.at(tag)}: {tag}: {shown}")


def _check_sites(block: Block) -> None:
    columns = {tag: list(block.content.find_loop(tag)) for tag in _FRACTIONS}
    if not all(columns.values()):
        missing = next(tag for tag, values in columns.items() if not values)
        raise ValueError(f"{block.at(_FRACTIONS[0])}: {missing}: no sites")
    if len(columns[_FRACTIONS[0]]) > _MAX_SITES:
        raise ValueError(f"{block.at(_FRACTIONS[0])}: more than {_MAX_SITES} sites")
    for tag, values in columns.items():
        for row, raw in enumerate(values, start=1):
            if not abs(_number(raw)) < 100:
                raise ValueError(f"{block.at(tag)}: {tag}: {raw!r} in row {row} is no fraction")
    for row, raw in enumerate(block.content.find_loop("_atom_site_occupancy"), start=1):
        if not 0 < _number(raw) <= 1.02:
            where = block.at("_atom_site_occupancy")
            raise ValueError(f"{where}: _atom_site_occupancy: {raw!r} in row {row} is not between 0 and 1")


def _check_symmetry(block: Block) -> None:
    """Raises ValueError for an operation that is none, or a list that is no group or not the one named."""
    import gemmi

    tag = next((tag for tag in _OPERATIONS if block.content.find_loop(tag)), None)
    if tag is None:
        return
    operations = []
    for row, raw in enumerate(block.content.find_loop(tag), start=1):
        try:
            operations.append(gemmi.Op(gemmi.cif.as_string(raw)).wrap())
        except (RuntimeError, UnicodeDecodeError):
            raise ValueError(f"{block.at(tag)}: {tag}: {raw!r} in row {row} is no operation") from None
    listed = {operation.triplet() for operation in operations}
    for row, one in enumerate(operations, start=1):
        if not all((one * other).wrap().triplet() in listed for other in operations):
            raise ValueError(f"{block.at(tag)}: {tag}: row {row} makes no group with the other rows")
    named = [gemmi.find_spacegroup_by_name(name) for tag in _NAMES if (name := block.value(tag))]
    if named and named[0] is not None and len(listed) != len(list(named[0].operations())):
        raise ValueError(f"{block.at(tag)}: {len(listed)} operations are not those of {named[0].hm}")


def _check_against_formula(block: Block, structure: Structure) -> None:
    """Raises ValueError where the sites do not make the formula the file itself gives."""
    from pymatgen.core import Composition

    given = block.value("_chemical_formula_sum")
    if given is None:
        return
    try:
        wanted = Composition(given).fractional_composition
    except ValueError:
        return
    have = structure.composition.element_composition.fractional_composition
    far = max(abs(have[element] - wanted[element]) for element in {*have, *wanted})
    if far > 0.03:
        where = block.at("_chemical_formula_sum")
        raise ValueError(
            f"{where}: sites make {structure.composition.reduced_formula}, the file says {given!r}"
        )


def _number(raw: str) -> float:
    from gemmi import cif

    return float(cif.as_number(raw))


def _line_in(message: str) -> int:
    """The line gemmi names in ``string:12:3: …`` or ``line 12``."""
    for word in message.replace("(", " ").replace(":", " ").split():
        if word.isdigit():
            return int(word)
    return 1
