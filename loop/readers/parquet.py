"""Parquet tables, row by row, with a bound on what a small file unpacks to, looked at before it is unpacked.

Runs and dictionaries of the format make gigabytes of some kilobytes. Texts are therefore read as they are
stored, each once and a number where it stands, and made into rows only where the rows have room.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from pyarrow import Array, RecordBatch
    from pyarrow.parquet import FileMetaData

MOST_ROWS = 10_000_000
_LARGEST, _LARGEST_PART = 256 * 2**20, 32 * 2**20
_ROWS_AT_ONCE = 1000
_OBJECT = 40  # Bytes of a number or an empty text as Python has it, and of its place in a list.


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """Each row by column. Raises ValueError where a column of a row group, or a row, is too large."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(file) as plain:
        texts = _texts(plain.metadata)
    with ParquetFile(file, read_dictionary=texts) as table:
        for group in range(table.num_row_groups):  # texts of two groups have two dictionaries
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[group]):
                for part in _parts(batch):
                    yield from part.to_pylist()


def numbers(file: Path) -> pd.DataFrame:
    """All columns of numbers. Raises ValueError as ``rows`` does."""
    from pyarrow import types
    from pyarrow.parquet import ParquetFile

    with ParquetFile(file) as table:
        _texts(table.metadata)
        fields = table.schema_arrow
        named = [one.name for one in fields if types.is_integer(one.type) or types.is_floating(one.type)]
        if table.metadata.num_rows * len(named) * 8 > _LARGEST:
            raise ValueError(f"{len(named)} columns of numbers take more than {_LARGEST} bytes")
        return table.read(columns=named).to_pandas()


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
    if types.is_map(array.type):
        return size + _unpacked(array.keys) + _unpacked(array.items)
    if types.is_struct(array.type):
        return size + sum(map(_unpacked, array.flatten()))
    if types.is_nested(array.type):
        return size + _unpacked(array.flatten())
    return size + int(array.nbytes)
