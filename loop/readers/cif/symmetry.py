"""The space group of a CIF block: operations as listed, or those of a Hall symbol, a name or a number.

A name may leave the setting open: an origin, axes, a unique axis. What the cell rules out is left out here;
the sites decide between the rest (``crystal``).
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from niobe.loop.readers.cif.blocks import Block

OPERATIONS = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_xyz",
)
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
_NAMES = (
    "_space_group_name_H-M_alt",
    "_symmetry_space_group_name_H-M",
    "_space_group_name_H-M_ref",
    "_space_group_name_H-M_full",
    "_symmetry_space_group_name_H-M_full",
)
_NUMBERS = ("_space_group_IT_number", "_symmetry_Int_Tables_number")
_SETTING = "_space_group_IT_coordinate_system_code"
# A face-centred cell of the highest symmetry has 192; files repeat some, and list larger cells.
_MOST_OPERATIONS = 768
# Lengths and angles of a relaxed cell written with its symmetry differ from it by less than this share.
_METRIC = 0.03
# Endings of a symbol (ICSD; FINDSYM in words) as gemmi's table calls them.
_ENDINGS = {
    "s": "1",
    "z": "2",
    "h": "h",
    "r": "r",
    "originchoice1": "1",
    "originchoice2": "2",
    "hexagonalaxes": "h",
    "rhombohedralaxes": "r",
}


@dataclass(frozen=True)
class Group:
    """Operations x' = R x + t in fractions. rotations: (n, 3, 3); translations: (n, 3); name: as shown."""

    name: str
    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]


def groups(block: Block, metric: NDArray[np.float64]) -> list[Group]:
    """What the symmetry of a block may be, none where nothing is said; metric: the cell's tensor (Å², 3×3).

    Raises ValueError that names file and line: an operation that is none, a list that is no group or not
    the one named, a symbol that is unknown, a cell that does not fit.
    """
    stated = _stated(block)
    listed = _listed(block)
    if listed is not None:
        tag, operations = listed
        _require_agreement(block, tag, operations, stated[2] if stated else [])
        return [_fitting(block, tag, [_group("the operations listed", operations)], metric)[0]]
    if stated is None:
        return []
    tag, hall, settings = stated
    if hall is not None:
        return _fitting(block, tag, [_group(f"Hall {block.value(tag)!r}", hall)], metric)
    fitting = _fitting(block, tag, [_group(s.xhm(), s.operations()) for s in settings], metric)
    by_name = {setting.xhm(): setting for setting in settings}
    first = by_name[fitting[0].name].hm
    return [group for group in fitting if by_name[group.name].hm == first]


def _group(name: str, operations: Any) -> Group:
    matrices = np.array([operation.float_seitz() for operation in operations])
    return Group(name, matrices[:, :3, :3], matrices[:, :3, 3])


def _fitting(block: Block, tag: str, found: list[Group], metric: NDArray[np.float64]) -> list[Group]:
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    fitting = []
    for group in found:
        turned = np.einsum("nji,jk,nkl->nil", group.rotations, metric, group.rotations)
        if (np.abs(turned - metric) <= _METRIC * scale).all():
            fitting.append(group)
    if not fitting:
        names = " or ".join(group.name for group in found)
        raise ValueError(f"{block.at(tag)}: the cell has not the symmetry of {names}")
    return fitting


def _listed(block: Block) -> tuple[str, list[Any]] | None:
    """The tag and the operations listed, each once."""
    import gemmi

    tag = next((tag for tag in OPERATIONS if block.column(tag)), None)
    if tag is None:
        return None
    operations: dict[str, Any] = {}
    rows: list[Any] = []
    listed = block.column(tag)
    if len(listed) > _MOST_OPERATIONS:
        raise ValueError(f"{block.at(tag)}: {tag}: {len(listed)} rows; allowed: {_MOST_OPERATIONS}")
    for row, raw in enumerate(listed, start=1):
        try:
            operation = gemmi.Op(gemmi.cif.as_string(raw)).wrap()
        except (RuntimeError, UnicodeDecodeError):
            raise ValueError(f"{block.at(tag)}: {tag}: {raw!r} in row {row} is no operation") from None
        operations.setdefault(operation.triplet(), operation)
        rows.append(operation)
    for row, one in enumerate(rows, start=1):
        if not all((one * other).wrap().triplet() in operations for other in rows):
            raise ValueError(f"{block.at(tag)}: {tag}: row {row} makes no group with the other rows")
    return tag, list(operations.values())


def _stated(block: Block) -> tuple[str, Any, list[Any]] | None:
    """The tag that says most, a Hall symbol's operations or None, and the settings a name or number may mean.

    Raises ValueError where two tags contradict each other, or neither symbol nor operations can be read.
    """
    number, number_tag = _number(block)
    name_tag = next((tag for tag in _NAMES if block.value(tag)), None)
    code = (block.value(_SETTING) or "").strip().lower()
    settings = [] if name_tag is None else named(str(block.value(name_tag)), code)
    hall_tag, hall = _hall(block)
    if settings and number and number not in {setting.number for setting in settings}:
        message = f"{block.value(str(name_tag))!r} is not space group {number}"
        raise ValueError(f"{block.at(number_tag)}: {message}")
    if hall is not None:
        _require_agreement(block, hall_tag, list(hall), settings or _of_number(number, code))
        return hall_tag, hall, settings
    if name_tag and not settings and not any(block.column(tag) for tag in OPERATIONS):
        raise ValueError(f"{block.at(name_tag)}: {block.value(name_tag)!r} is no space group known here")
    if settings or number:
        return name_tag or number_tag, None, settings or _of_number(number, code)
    return None


def _hall(block: Block) -> tuple[str, Any]:
    import gemmi

    tag = next((tag for tag in _HALL if block.value(tag)), "")
    if not tag:
        return tag, None
    try:
        return tag, gemmi.symops_from_hall(str(block.value(tag)).replace("=", '"'))
    except (RuntimeError, UnicodeDecodeError):
        if any(block.column(operations) for operations in OPERATIONS):
            return tag, None
        raise ValueError(f"{block.at(tag)}: {block.value(tag)!r} is no Hall symbol") from None


def _number(block: Block) -> tuple[int, str]:
    tag = next((tag for tag in _NUMBERS if block.value(tag)), "")
    if not tag:
        return 0, tag
    raw = str(block.value(tag))
    if not (raw.isdecimal() and 1 <= int(raw) <= 230):
        raise ValueError(f"{block.at(tag)}: {tag}: {raw!r} is not between 1 and 230")
    return int(raw), tag


def _require_agreement(block: Block, tag: str, operations: list[Any], wanted: list[Any]) -> None:
    """Raises ValueError where operations are not of the space-group type that is named.

    The type where gemmi's table has the setting, else the crystal class.
    """
    import gemmi

    if not wanted:
        return
    known: Any = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(operations))
    if known is not None:
        agrees = known.number in {setting.number for setting in wanted}
    else:
        agrees = any(_class(operations) == _class(list(setting.operations())) for setting in wanted)
    if not agrees:
        names = " or ".join(dict.fromkeys(setting.hm for setting in wanted))
        raise ValueError(f"{block.at(tag)}: {len(operations)} operations are not those of {names}")


def _class(operations: Sequence[Any]) -> dict[tuple[int, int], float]:
    """The share of each kind of rotation, by determinant and trace: it tells the 32 crystal classes apart."""
    rotations = [np.rint(np.array(operation.float_seitz())[:3, :3]) for operation in operations]
    kinds = Counter((round(np.linalg.det(r)), round(np.trace(r))) for r in rotations)
    return {kind: round(count / len(operations), 6) for kind, count in kinds.items()}


def named(symbol: str, setting: str = "") -> list[Any]:
    """The settings (gemmi.SpaceGroup) a Hermann-Mauguin symbol may mean, the usual first; none if unknown.

    Short, full and extended symbols, with or without spaces, ``_`` and parentheses (``P6(3)/mmc``), old ones
    (``F m 3 m``), and endings for origin and axes: ``:2``, ``H``, ``S``, ``(origin choice 2)``.
    setting: an ending that stands elsewhere in the file.
    """
    import gemmi

    core, ending = _split(symbol)
    found = _spellings().get(core)
    if found is None:
        one = gemmi.find_spacegroup_by_name(symbol.split(":")[0].strip())
        found = [] if one is None else [s for s in gemmi.spacegroup_table() if s.hm == one.hm]
    for chosen in (ending, setting):
        fitting = [s for s in found if chosen in (s.ext.lower(), s.qualifier)]
        if chosen and (fitting or chosen == ending):
            return fitting
    return found


def _split(symbol: str) -> tuple[str, str]:
    """The symbol in small letters without spaces, and its ending as gemmi's table calls it."""
    text = re.sub(r"\(\s*(?:no\.?|#)\s*\d+\s*\)|[\s_'\"]", "", symbol.lower())
    text = re.sub(r"\((\d)\)", r"\1", text)
    found = re.fullmatch(r"(.+?)(?::([a-z0-9-]+)|\((originchoice[12]|[a-z]+axes)\)|([shrz]))", text)
    if found is None:
        return text, ""
    ending = next(part for part in found.groups()[1:] if part)
    return found[1], _ENDINGS.get(ending, ending)


@functools.cache
def _spellings() -> dict[str, list[Any]]:
    """Settings by the symbols that mean them, as ``_split`` leaves these; the order is gemmi's table's."""
    import gemmi

    spelled: dict[str, list[Any]] = {}
    for setting in gemmi.spacegroup_table():
        symbols = {setting.hm, setting.short_name(), *_full_names().get(setting.hall, ())}
        if 3 <= setting.number <= 15:
            symbols.add(re.sub(r" 1(?= |$)", "", setting.hm))
        if setting.number >= 195:
            symbols.add(setting.hm.replace("-3", "3"))
        for core in {re.sub(r"[\s_]", "", symbol.lower()) for symbol in symbols}:
            spelled.setdefault(core, []).append(setting)
    for same in spelled.values():
        same.sort(key=lambda setting: setting.monoclinic_unique_axis() not in ("b", "\0"))
    return spelled


@functools.cache
def _full_names() -> dict[str, list[str]]:
    """Full symbols by gemmi's Hall symbol, from moyopy's table of 530 settings."""
    import gemmi
    from moyopy import HallSymbolEntry

    names: dict[str, list[str]] = {}
    for number in range(1, 531):
        entry = HallSymbolEntry(number)
        setting = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(entry.hall_symbol.replace("=", '"')))
        if setting is not None:
            names.setdefault(setting.hall, []).append(entry.hm_full)
    return names


def _of_number(number: int, setting: str = "") -> list[Any]:
    """The settings of a space-group type, that of the International Tables first, or those of this code."""
    import gemmi

    found = [one for one in gemmi.spacegroup_table() if one.number == number]
    return [one for one in found if setting and setting in (one.ext.lower(), one.qualifier)] or found
