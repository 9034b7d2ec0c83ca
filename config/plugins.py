"""Oracles, generators, surrogates and properties by name: entry points of installed packages.

Niobe's own stand in its pyproject.toml, another package's in that one's. A document can name only what is
installed; nothing is imported before it is used.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler

from niobe.config.errors import ConfigError

ORACLES, GENERATORS, SURROGATES = "niobe.oracles", "niobe.generators", "niobe.surrogates"
PROPERTIES = "niobe.properties"
IMPORT_PATH = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*)[:.]([^\W\d]\w*)")
"""``package.module:attribute``; a dot will do for the colon where only a path can be meant."""


@functools.cache
def registered(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name, in alphabetical order."""
    found = {point.name: point for point in entry_points(group=group)}
    return dict(sorted(found.items()))


def load(group: str, name: str) -> Any:
    """What is registered under a name. Raises ConfigError where nothing is, or it cannot be imported."""
    point = registered(group).get(name)
    if point is None:
        raise ConfigError(f"{name!r} is not registered in {group}; allowed: {', '.join(registered(group))}")
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else "its package"
        raise ConfigError(f"{name} of {package}: cannot be imported ({error})") from error


@dataclass(frozen=True)
class _NameIn:
    """What pydantic checks of a name: that it is registered in the group, or one of ``besides``."""

    group: str
    besides: tuple[str, ...] = ()

    def allowed(self) -> list[str]:
        return [*self.besides, *registered(self.group)]

    def check(self, name: str) -> str:
        if name not in self.allowed():
            raise ValueError(f"unknown; allowed: {', '.join(self.allowed())}")
        return name

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler(Annotated[source, AfterValidator(self.check)])

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"enum": self.allowed()}


OracleName = Annotated[str, _NameIn(ORACLES)]
GeneratorName = Annotated[str, _NameIn(GENERATORS)]
SurrogateName = Annotated[str, _NameIn(SURROGATES, ("auto",))]
AcquisitionName = Literal[
    "p_target",
    "p_hull",
    "qlogei",
    "qlognei",
    "qlognehvi",
    "ucb",
    "thompson",
    "greedy",
    "random",
    "max_uncertainty",
]
"""Niobe's own; no package adds any."""
