"""The registry of surrogates."""

from __future__ import annotations

import json
from pathlib import Path

from surrogates.models.boosting import BoostedTrees
from surrogates.protocols import Surrogate

_MODELS = {"gbt": BoostedTrees}


def make_surrogate(name: str, *, members: int, epochs: int) -> Surrogate:
    """An untrained surrogate. Raises ValueError for an unknown name."""
    if name not in _MODELS:
        raise ValueError(f"surrogate model {name!r} is unknown; allowed: {', '.join(sorted(_MODELS))}")
    return _MODELS[name](members=members, epochs=epochs)


def load_surrogate(folder: Path) -> Surrogate:
    """The surrogate a checkpoint folder holds. Raises ValueError where it holds none."""
    try:
        name = json.loads((folder / "surrogate.json").read_text())["model"]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder}: no surrogate checkpoint ({error})") from error
    return _MODELS[name].load(folder)
