"""The registry of surrogates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from niobe.surrogates.models.boosting import ROWS, BoostedTrees
from niobe.surrogates.models.neural import NeuralSurrogate
from niobe.surrogates.models.prior import PRIOR, PriorSurrogate
from niobe.surrogates.models.recipes import RECIPES
from niobe.surrogates.protocols import Surrogate

MODELS = (*ROWS, *RECIPES, PRIOR)


def make_surrogate(
    name: str,
    *,
    members: int,
    epochs: int,
    options: Mapping[str, Any] | None = None,
    work: Path | None = None,
) -> Surrogate:
    """An untrained surrogate.

    options: of a network and its encoder, such as width, layers or cutoff, and the training's rate.
    work: where a network's interrupted training goes on.

    Raises ValueError for an unknown name or option.
    """
    _require_known(name)
    if name in RECIPES:
        return NeuralSurrogate(name, members=members, epochs=epochs, options=options, work=work)
    if options:
        raise ValueError(f"option {min(options)!r} is unknown; {name} has none")
    if name == PRIOR:
        return PriorSurrogate(members=members, epochs=epochs)
    return BoostedTrees(name, members=members, epochs=epochs)


def load_surrogate(folder: Path) -> Surrogate:
    """The surrogate a checkpoint folder holds. Raises ValueError where it holds none."""
    try:
        name = json.loads((folder / "surrogate.json").read_text())["model"]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder}: no surrogate checkpoint ({error})") from error
    _require_known(name)
    if name in RECIPES:
        return NeuralSurrogate.load(folder)
    return PriorSurrogate.load(folder) if name == PRIOR else BoostedTrees.load(folder)


def _require_known(name: str) -> None:
    if name not in MODELS:
        raise ValueError(f"surrogate model {name!r} is unknown; allowed: {', '.join(sorted(MODELS))}")
