"""Settings of this machine (not of a campaign), read from ``NIOBE_*`` variables at call time."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from niobe.config.errors import ConfigError

OPTIMADE_SERVERS = {
    "materials-project": "https://optimade.materialsproject.org",
    "alexandria": "https://alexandria.icams.rub.de/pbe",
    "oqmd": "https://oqmd.org/optimade",
}
"""Open databases that a campaign asks which names none."""

LONGEST_HOME = 400
"""Bytes of the path of the home: SQLite opens none of more than 504, and the longest in the home adds 48."""
_LONGEST_NAME = 255
_MOST_SHOWN = 80


class Settings(BaseSettings):
    """mongo_uri: a real MongoDB, or empty for the embedded server. home: everything Niobe writes.

    offline: optional sources of campaigns are not asked.
    gpaw_python: the Python that has GPAW, or empty for Niobe's own. gpaw_ranks: of MPI. gpaw_memory: GiB that
    a rank may take, 0 for no bound.
    embedded_uri: set by Niobe for what it starts, where ``mongo_uri`` is its own server's.
    Raises ConfigError that names the variable whose value is not allowed.
    """

    model_config = SettingsConfigDict(env_prefix="NIOBE_", env_ignore_empty=True, extra="ignore")

    mongo_uri: str = ""
    embedded_uri: str = ""
    database: str = "niobe"
    home: Path = Path(".niobe")
    offline: bool = False
    gpaw_python: str = ""
    gpaw_ranks: int = Field(default=1, ge=1)
    gpaw_memory: float = Field(default=0.0, ge=0)
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)

    def __init__(self) -> None:
        try:
            super().__init__()
        except ValidationError as error:
            problem = error.errors()[0]
            variable = f"NIOBE_{problem['loc'][0]}".upper()
            said, given = problem["msg"].removeprefix("Value error, "), repr(problem["input"])
            shown = given if len(given) <= _MOST_SHOWN else f"{given[:_MOST_SHOWN]}…"
            raise ConfigError(f"{variable}: {said} (got {shown})") from None

    @field_validator("home")
    @classmethod
    def _short(cls, home: Path) -> Path:
        try:
            path = os.fsencode(home.expanduser().absolute())
        except RuntimeError:
            raise ValueError("names the folder of a user who is not there") from None
        if len(path) > LONGEST_HOME:
            raise ValueError(f"its absolute path has {len(path)} bytes; at most {LONGEST_HOME} are allowed")
        if (longest := max(map(len, path.split(b"/")))) > _LONGEST_NAME:
            raise ValueError(f"a name in it has {longest} bytes; at most {_LONGEST_NAME} are allowed")
        return home

    @property
    def real_mongo(self) -> bool:
        """Whether a MongoDB is named that is not the embedded server."""
        return bool(self.mongo_uri) and self.mongo_uri != self.embedded_uri


def patience(uri: str, milliseconds: int) -> int:
    """Milliseconds that pymongo looks for a server: what the URI says, which an option would overrule.

    uri: of the server. milliseconds: for a URI that does not say.
    """
    said = re.search(r"[?&]serverselectiontimeoutms=(\d+)", uri.lower())
    return int(said[1]) if said else milliseconds
