"""Packages that only some choices need, and the extra of this distribution that brings each."""

from __future__ import annotations

from importlib.util import find_spec

from niobe.config.errors import ConfigError

DISTRIBUTION = "niobe-crystals"
EXTRAS = {
    "matminer": "descriptors",
    "dscribe": "descriptors",
    "optuna": "tune",
    "gpaw": "gpaw",
    "torch_sim": "batched",
    "torch_geometric": "batched",
}
"""By importable name."""


def require(package: str, wanted_by: str) -> None:
    """Raises ConfigError where an optional package is not installed: who wants it, and what brings it."""
    if find_spec(package) is None:
        brings = f"pip install '{DISTRIBUTION}[{EXTRAS[package]}]'"
        raise ConfigError(f"{wanted_by} needs {package}, which is not installed: {brings}")
