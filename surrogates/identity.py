"""What a training is: a digest of rows, its settings and the code. Work of another identity is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from niobe.config.atomic import write_whole
from niobe.config.version import code_version
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

_LENGTH, _MOST_SAID = 16, 300
UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, SafetensorError),
)
"""What comes of a checkpoint whose files are cut short, changed, or of another one."""


def in_a_line(error: BaseException) -> str:
    """What an error says, on one line, its kind where it says nothing."""
    return " ".join(str(error).split())[:_MOST_SAID] or type(error).__name__


class OutdatedCheckpointError(ValueError):
    """A checkpoint of an older Niobe, by which this one cannot answer."""


def rows_digest(structures: Sequence[Structure], labels: Mapping[str, FloatArray]) -> str:
    """Digest of structures in their order and of their labels by name: 16 hex digits.

    labels: shape (n,) each, NaN unknown.
    """
    held = [
        array
        for structure in structures
        for array in (structure.lattice.matrix, np.array(structure.atomic_numbers), structure.frac_coords)
    ]
    named = [part for name in sorted(labels) for part in (name.encode(), _bytes(np.asarray(labels[name])))]
    return _digest([*map(_bytes, held), *named])


def arrays_digest(arrays: Iterable[Any]) -> str:
    """Digest of arrays in their order, shapes and kinds of number included: 16 hex digits."""
    return _digest(map(_bytes, arrays))


def origin_of(structures: Sequence[Structure], labels: Mapping[str, FloatArray], seed: int) -> dict[str, Any]:
    """What a checkpoint says of where it comes from: number and digest of its rows, seed and code.

    labels: shape (n,) each, by target, NaN unknown.
    structures: n training rows.
    """
    digest = rows_digest(structures, labels)
    return {"rows": len(structures), "data": digest, "seed": seed, "code": code_version()}


def claim(file: Path, identity: Mapping[str, Any]) -> bool:
    """Write the identity of the work in ``file``'s folder; True where such work is there already.

    file: holds the identity as JSON. Alone in its folder it is of work that came to nothing, such as a row
    that was refused, and is written anew. identity: settings by name, and digests.
    Raises ValueError, naming what differs, where the folder holds work of another identity, or anything
    that says nothing of its own.
    """
    wanted = json.loads(json.dumps(dict(identity)))
    held = list(file.parent.iterdir()) if file.parent.is_dir() else []
    if held and not file.is_file():
        raise ValueError(f"{file.parent}: is used already and holds no {file.name}; name another folder")
    if held in ([], [file]):
        write_whole(file, json.dumps(wanted, indent=1))
        return False
    require_same(json.loads(file.read_text(encoding="utf-8")), wanted, file.parent)
    return True


def require_same(held: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    """Raises ValueError, naming what differs, where work held in a folder is not that which is wanted."""
    other = sorted(name for name in {*held, *wanted} if held.get(name) != wanted.get(name))
    if other:
        told = ", ".join(f"{name} ({held.get(name)}, not {wanted.get(name)})" for name in other)
        raise ValueError(f"{folder}: holds work of another identity: {told}; name another folder")


def _bytes(array: Any) -> bytes:
    kept = np.ascontiguousarray(array)
    return f"{kept.dtype.str}{kept.shape}".encode() + kept.tobytes()


def _digest(parts: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little") + part)
    return whole.hexdigest()[:_LENGTH]
