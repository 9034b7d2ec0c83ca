"""INCAR: tags with the types pymatgen knows them by, refused where VASP would refuse them."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_REPEATED = re.compile(r"(\d+)\*(\S+)")
Incar = Mapping[str, Any]


class RefusedError(ValueError):
    """Input that VASP would refuse."""


def read_incar(text: str) -> dict[str, Any]:
    """Tags by upper-case name: int, float, bool, list or str. Raises RefusedError for what cannot be read."""
    tags: dict[str, Any] = {}
    for line in re.sub(r"\\\s*\n", " ", text).splitlines():
        for statement in re.split(r"[#!]", line)[0].split(";"):
            if not statement.strip():
                continue
            name, sign, value = (part.strip() for part in statement.partition("="))
            if not sign or not name or not value:
                raise RefusedError(f"INCAR: {statement.strip()!r} is not TAG = VALUE")
            tags.setdefault(name.upper(), _typed(name.upper(), value))
    return tags


@functools.cache
def _known() -> dict[str, dict[str, Any]]:
    """Type and allowed values by tag, from the table pymatgen keeps; read without importing its parsers."""
    import pymatgen.io

    (folder,) = pymatgen.io.__path__
    found: dict[str, dict[str, Any]] = json.loads(
        (Path(folder) / "vasp" / "incar_parameters.json").read_text(encoding="utf-8")
    )
    return found


def _typed(name: str, value: str) -> Any:
    known = _known().get(name, {"type": "str"})
    try:
        typed = _READERS.get(known["type"], str)(value)
    except ValueError:
        raise RefusedError(f"INCAR: error reading item {name!r}: {value!r}") from None
    allowed = known.get("values")
    if known["type"] == "int" and allowed and typed not in allowed:
        raise RefusedError(f"INCAR: {name} = {typed}; allowed: {', '.join(map(str, allowed))}")
    return typed


def _integer(text: str) -> int:
    return int(text.split()[0])


def _number(text: str) -> float:
    number = float(text.split()[0].lower().replace("d", "e"))
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _switch(text: str) -> bool:
    first = text.strip(". ").upper()[:1]
    if first not in {"T", "F"}:
        raise ValueError(text)
    return first == "T"


def _list(text: str) -> list[Any]:
    """Numbers, or switches where there are none; ``2*0.6 1`` is three items."""
    words: list[str] = []
    for word in text.split():
        match = _REPEATED.fullmatch(word)
        words += [match[2]] * int(match[1]) if match else [word]
    if all(word.strip(".").upper()[:1] in {"T", "F"} for word in words):
        return [_switch(word) for word in words]
    return [int(word) if word.lstrip("+-").isdigit() else _number(word) for word in words]


_READERS = {"int": _integer, "float": _number, "bool": _switch, "list": _list}
