"""The registry of surrogates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from niobe.config.extras import require
from niobe.surrogates.models.boosting import ROWS, BoostedTrees
from niobe.surrogates.models.neural import NeuralSurrogate
from niobe.surrogates.models.prior import PRIOR, PriorSurrogate
from niobe.surrogates.models.recipes import RECIPES
from niobe.surrogates.protocols import Surrogate

MODELS = (*ROWS, *RECIPES, PRIOR)
ON_MATMINER = frozenset({"gbt_magpie", "cgcnn", "moments", PRIOR})
"""Those that read element properties, which matminer carries."""


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

    Raises ValueError for an unknown name or option, ConfigError where a package that it needs is missing.
    """
    check_surrogate(name)
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
    check_surrogate(name)
    if name in RECIPES:
        return NeuralSurrogate.load(folder)
    return PriorSurrogate.load(folder) if name == PRIOR else BoostedTrees.load(folder)


def check_surrogate(name: str) -> None:
    """Raises ValueError for an unknown name, ConfigError where a package that the model needs is missing."""
    if name not in MODELS:
        raise ValueError(f"surrogate model {name!r} is unknown; allowed: {', '.join(sorted(MODELS))}")
    if name in ON_MATMINER:
        require("matminer", f"surrogate model {name}")
