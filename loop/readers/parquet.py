"""Parquet tables, row by row, with a bound on what a small file unpacks to, looked at before it is unpacked.

Runs and dictionaries of the format make gigabytes of some kilobytes. Texts are therefore read as they are
stored, each once and a number where it stands, and made into rows only where the rows have room. A file whose
bytes were changed may end the process that reads it, so that is one of its own: ``FILE rows|numbers``.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch
    from pyarrow.parquet import FileMetaData, ParquetFile

MOST_ROWS, LONGEST_TEXT = 10_000_000, 2 * 2**20
_LARGEST, _LARGEST_PART = 256 * 2**20, 32 * 2**20
_MOST_MEMORY = 4 * 2**30  # Of addresses: pyarrow alone takes a good part of them.
_ROWS_AT_ONCE = 1000
_SECONDS = 60  # Of one core, for a part of so many rows or so many bytes.
_OBJECT = 40  # Bytes of a number or an empty text as Python has it, and of its place in a list.
Columns = Literal["rows", "numbers"]


def rows(file: Path, columns: Columns = "rows") -> Iterator[dict[str, Any]]:
    """Each row by column, what JSON has no word for as text. columns: all, or those of numbers.

    Raises ValueError where a column of a row group, or a row, is too large, or the file cannot be read.
    """
    command = [sys.executable, "-P", "-m", __name__, str(file.resolve()), columns]
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=alone) as reader,
    ):
        try:
            for line in reader.stdout or ():
                yield json.loads(line)  # of this module's own making, so nested no deeper than it can be read
            if code := reader.wait():
                said.seek(0)
                why = said.read().decode(errors="replace").strip().splitlines() if code == 1 else []
                slow = f"{_ROWS_AT_ONCE} rows take more than {_SECONDS} s" if code == -signal.SIGXCPU else ""
                unreadable = slow or f"no parquet file that can be read (exit code {code})"
                raise ValueError(why[-1] if why else unreadable)
        finally:
            reader.kill()


def _main(file: Path, columns: str) -> int:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow_seconds()
    try:
        for row in _read(file, only_numbers=columns == "numbers"):
            print(json.dumps(row, default=str))
    except Exception as error:  # noqa: BLE001 - whatever it was, it is said by who asked
        print(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", file=sys.stderr)
        return 1
    return 0


def _allow_seconds() -> None:
    """From now on the process may compute for ``_SECONDS``; the system ends it then (SIGXCPU)."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + _SECONDS, hard))


def _read(file: Path, *, only_numbers: bool) -> Iterator[dict[str, Any]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(file) as plain:
        texts = _texts(plain.metadata)
    with ParquetFile(file, read_dictionary=texts) as table:
        names = _numbers(table) if only_numbers else None
        for group in range(table.num_row_groups):  # texts of two groups have two dictionaries
            chunk = table.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[group], columns=names)
            for batch in chunk:
                for part in _parts(batch):
                    _allow_seconds()
                    yield from map(_checked, part.to_pylist())


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    for name, value in row.items():
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise ValueError(f"column {name}: a text of {len(value)} letters; allowed: {LONGEST_TEXT}")
    return row


def _numbers(table: ParquetFile) -> list[str]:
    from pyarrow import types

    fields = table.schema_arrow
    return [one.name for one in fields if types.is_integer(one.type) or types.is_floating(one.type)]


def _texts(metadata: FileMetaData) -> list[str]:
    """Paths of the columns of text. Raises ValueError where the file says that it is too large."""
    if metadata.num_rows > MOST_ROWS:
        raise ValueError(f"{metadata.num_rows} rows; allowed: {MOST_ROWS}")
    texts = []
    for column in range(metadata.num_columns):
        described = metadata.schema.column(column)
        width = described.length if described.physical_type == "FIXED_LEN_BYTE_ARRAY" else 8
        for group in range(metadata.num_row_groups):
            chunk = metadata.row_group(group).column(column)
            if max(chunk.total_uncompressed_size, chunk.num_values * max(width, 8)) > _LARGEST:
                limit = f"takes more than {_LARGEST} bytes in one row group; write smaller ones"
                raise ValueError(f"column {described.path}: {limit}")
        texts += [described.path] if described.physical_type == "BYTE_ARRAY" else []
    return texts


def _parts(batch: RecordBatch) -> Iterator[RecordBatch]:
    """Rows together as long as they have room. Raises ValueError for one that alone has none."""
    if sum(map(_unpacked, batch.columns)) <= _LARGEST_PART:
        yield batch
    elif batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _parts(batch.slice(0, half))
        yield from _parts(batch.slice(half))
    else:
        raise ValueError(f"a row takes more than {_LARGEST_PART} bytes")


def _unpacked(array: Array) -> int:
    """Bytes that the values take as Python has them."""
    from pyarrow import compute, types

    size = _OBJECT * len(array)
    if types.is_dictionary(array.type):
        texts = array.dictionary
        if not types.is_large_binary(texts.type) and not types.is_binary(texts.type):
            texts = texts if types.is_string(texts.type) or types.is_large_string(texts.type) else None
        lengths = None if texts is None else compute.take(compute.binary_length(texts), array.indices)
        return size + (0 if lengths is None else compute.sum(lengths).as_py() or 0)
    if types.is_map(array.type):  # its keys and items are those of the whole array, though it is a part
        first, last = (array.offsets[end].as_py() for end in (0, -1))
        return size + sum(_unpacked(part.slice(first, last - first)) for part in (array.keys, array.items))
    if types.is_struct(array.type):
        return size + sum(map(_unpacked, array.flatten()))
    if types.is_nested(array.type):
        return size + _unpacked(array.flatten())
    return size + int(array.nbytes)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        raise SystemExit(_main(Path(sys.argv[1]), sys.argv[2]))
