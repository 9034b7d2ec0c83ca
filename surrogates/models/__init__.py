"""Surrogates by name, each registered under the entry points ``niobe.surrogates``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from niobe.config.extras import require
from niobe.config.outside.json_text import read_object
from niobe.config.plugins import SURROGATES, load, registered
from niobe.surrogates.identity import UNREADABLE, OutdatedCheckpointError, in_a_line
from niobe.surrogates.protocols import Surrogate, SurrogateKind

ON_MATMINER = frozenset({"gbt_magpie", "cgcnn", "moments", "mlip_prior"})
"""Those that read element properties, which matminer carries."""


def models() -> tuple[str, ...]:
    """The names of all surrogates."""
    return tuple(registered(SURROGATES))


def make_surrogate(
    name: str,
    *,
    members: int,
    epochs: int,
    options: Mapping[str, Any] | None = None,
    work: Path | None = None,
) -> Surrogate:
    """An untrained surrogate.

    name: as it is registered. members: of its ensemble. epochs: passes over the data, or trees a member.
    options: of a network and its encoder, such as width, layers or cutoff, and the training's rate.
    work: where a network's interrupted training goes on.

    Raises ValueError for an unknown name or option, ConfigError where a package that it needs is missing.
    """
    kind = _kind(name)
    return kind.make(name, members=members, epochs=epochs, options=options or {}, work=work)


def load_surrogate(folder: Path) -> Surrogate:
    """The surrogate a checkpoint folder holds.

    Raises ValueError where it holds none, of these OutdatedCheckpointError for one of an older Niobe.
    """
    try:
        name = read_object(folder / "surrogate.json")["model"]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder}: no surrogate checkpoint ({error})") from error
    try:
        return _kind(name).load(folder)
    except OutdatedCheckpointError as error:
        again = "train it again with `niobe models fit`, into another folder"
        raise OutdatedCheckpointError(f"{folder}: {error}; {again}") from None
    except UNREADABLE as error:
        raise ValueError(f"{folder}: no whole surrogate checkpoint ({in_a_line(error)})") from error


def elements_of_checkpoint(folder: Path, otherwise: Collection[str]) -> set[str]:
    """Symbols of the elements that a checkpoint folder's surrogate was trained on.

    otherwise: those of a surrogate of another package, whose checkpoint does not say.
    """
    return set(read_object(folder / "surrogate.json").get("elements", otherwise))


def check_surrogate(name: str) -> None:
    """Raises ValueError for an unknown name, ConfigError where a package that the model needs is missing."""
    if name not in models():
        raise ValueError(f"surrogate model {name!r} is unknown; allowed: {', '.join(models())}")
    if name in ON_MATMINER:
        require("matminer", f"surrogate model {name}")


def _kind(name: str) -> SurrogateKind:
    check_surrogate(name)
    kind: SurrogateKind = load(SURROGATES, name)
    return kind
