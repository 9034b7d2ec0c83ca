"""The registry of surrogates."""

from __future__ import annotations

import json
from pathlib import Path

from surrogates.models.boosting import BoostedTrees
from surrogates.models.neural import NeuralSurrogate
from surrogates.models.recipes import RECIPES
from surrogates.protocols import Surrogate

MODELS = ("gbt", *RECIPES)


def make_surrogate(name: str, *, members: int, epochs: int) -> Surrogate:
    """An untrained surrogate. Raises ValueError for an unknown name."""
    _require_known(name)
    if name in RECIPES:
        return NeuralSurrogate(name, members=members, epochs=epochs)
    return BoostedTrees(members=members, epochs=epochs)


def load_surrogate(folder: Path) -> Surrogate:
    """The surrogate a checkpoint folder holds. Raises ValueError where it holds none."""
    try:
        name = json.loads((folder / "surrogate.json").read_text())["model"]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder}: no surrogate checkpoint ({error})") from error
    _require_known(name)
    return NeuralSurrogate.load(folder) if name in RECIPES else BoostedTrees.load(folder)


def _require_known(name: str) -> None:
    if name not in MODELS:
        raise ValueError(f"surrogate model {name!r} is unknown; allowed: {', '.join(sorted(MODELS))}")
