"""Structures with a label each, from a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.config.errors import ConfigError
from niobe.loop.readers import parquet
from niobe.loop.readers.structure_files import read_structures

if TYPE_CHECKING:
    import pandas as pd
    from pymatgen.core import Structure


def labelled_structures(path: Path, column: str) -> tuple[list[Structure], NDArray[np.float64]]:
    """Structures and labels, shape (n,), of a CSV or parquet file, each row whole.

    Raises ConfigError, naming file and row, for a row that is no structure or has no finite label: a label
    that is missing is for the user to drop, not for a model to skip.
    """
    import pandas as pd

    table = _table(path)
    if column not in table or not pd.api.types.is_numeric_dtype(table[column]):
        numeric = ", ".join(map(str, table.select_dtypes("number").columns))
        raise ConfigError(f"{path}: {column!r} is no column of numbers; there are: {numeric or 'none'}")
    labels = table[column].to_numpy(dtype=float)
    unlabelled = np.flatnonzero(~np.isfinite(labels))
    if len(unlabelled):
        raise ConfigError(
            f"{path}:{unlabelled[0] + 1}: {column} is {labels[unlabelled[0]]} ({len(unlabelled)} such rows)"
        )
    imported = read_structures(path)
    if imported.broken:
        raise ConfigError(f"{imported.broken[0]} ({len(imported.broken)} such rows)")
    return [structure for _, structure in imported.structures], labels


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix.lower() not in {".csv", ".parquet"}:
        raise ConfigError(f"{path}: labels are read from .csv and .parquet")
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        return (
            pd.read_csv(path)
            if path.suffix.lower() == ".csv"
            else pd.DataFrame(list(parquet.rows(path, "numbers")))
        )
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
