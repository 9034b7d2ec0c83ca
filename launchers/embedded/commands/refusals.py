"""What is refused before mongomock-ng sees it: an error, never a wrong answer."""

from __future__ import annotations

from typing import Any

from niobe.launchers.embedded.commands.errors import not_supported

_OPERATORS = {"$where", "$function", "$accumulator", "$jsonSchema", "$text"}
_UNBOUNDED = {"$regexMatch", "$regexFind", "$regexFindAll", "$range", "$reduce", "$graphLookup", "$zip"}
_OPTIONS = (
    "collation",
    "txnNumber",
    "autocommit",
    "startTransaction",
    "expireAfterSeconds",
    "wildcardProjection",
)


def refuse_options(command: dict[str, Any]) -> None:
    """Raise CommandError for options that would otherwise be ignored."""
    for option in _OPTIONS:
        if option in command:
            raise not_supported(option)


def refuse_operators(value: Any) -> None:
    """Raise CommandError for operators that mongomock-ng evaluates as Python, at any cost, or not at all."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _OPERATORS or key in _UNBOUNDED:
                raise not_supported(key)
            refuse_operators(inner)
    elif isinstance(value, list):
        for inner in value:
            refuse_operators(inner)
