"""Settings of this machine (not of a campaign), read from ``NIOBE_*`` variables at call time."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """mongo_uri: a real MongoDB, or empty for the embedded server. home: everything Niobe writes.

    embedded_uri: set by Niobe for what it starts, where ``mongo_uri`` is its own server's.
    """

    model_config = SettingsConfigDict(env_prefix="NIOBE_", extra="ignore")

    mongo_uri: str = ""
    embedded_uri: str = ""
    database: str = "niobe"
    home: Path = Path(".niobe")
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
