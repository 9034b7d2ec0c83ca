"""Niobe: an active-learning discovery loop for crystals.

``Campaign`` runs one from Python and reads what it found. Nothing else is imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from niobe.campaign import Campaign
    from niobe.config.errors import ConfigError
    from niobe.config.spec import CampaignSpec

    __version__: str

__all__ = ["Campaign", "CampaignSpec", "ConfigError", "__version__"]
_PLACES = {
    "Campaign": "niobe.campaign",
    "CampaignSpec": "niobe.config.spec",
    "ConfigError": "niobe.config.errors",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("niobe-crystals")
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'niobe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
