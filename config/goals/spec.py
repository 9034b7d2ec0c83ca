"""What a campaign file wants of a find besides stability."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from niobe.config.errors import ConfigError
from niobe.config.goals.reserved import is_reserved, plain_name
from niobe.config.home import resolved
from niobe.config.oracles.spec import unsaid
from niobe.config.plugins import IMPORT_PATH, PROPERTIES, registered

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
Range = tuple[float | None, float | None]
OF_OBJECTIVES = "qlognehvi"
"""The acquisition function that weighs objectives against stability."""


class _Keys(BaseModel):
    """The keys of a goal, apart: none of its own may be called ``property`` in a class with properties."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    property: str
    file: str = ""
    unit: Annotated[str, Field(max_length=32)] = ""
    range: Range | None = None
    maximize: bool = False
    minimize: bool = False


class Goal(_Keys):
    """One property that finds are wanted for.

    property: a registered name; ``package.module:function``, which takes a pymatgen Structure and returns a
    number; with ``file``, a name for what that holds. file: a CSV table with the columns ``formula`` and
    ``property``, or the folder of a surrogate fitted to it, relative to the campaign file. unit: of a path's
    or a file's values. range: lowest and highest wanted value in that unit, ``null`` for no limit.
    maximize, minimize: the more, or the less, the better; that makes it an objective.
    """

    @property
    def name(self) -> str:
        """What its values are called: of a path, the function's name."""
        return self.property.rpartition(":")[2]

    @property
    def is_path(self) -> bool:
        """Whether it names code to be imported."""
        return not self.file and self.property not in registered(PROPERTIES)

    @property
    def sign(self) -> int:
        """1 for an objective to maximise, -1 to minimise, 0 for a range alone."""
        return int(self.maximize) - int(self.minimize)

    @property
    def wanted(self) -> str:
        """Its range in words: ``at most 5``, ``1 to 2``; "" without one."""
        low, high = self.range or (None, None)
        if low is None or high is None:
            return f"at most {high:g}" if high is not None else "" if low is None else f"at least {low:g}"
        return f"{low:g} to {high:g}"

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest wanted value, infinite where there is no limit."""
        low, high = self.range or (None, None)
        return -float("inf") if low is None else low, float("inf") if high is None else high

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.is_path and not (IMPORT_PATH.fullmatch(self.property) and ":" in self.property):
            raise ValueError(
                f"property: {self.property!r} is unknown; allowed: {', '.join(registered(PROPERTIES))}, "
                "package.module:function, any name with file"
            )
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"property: {self.name!r}: allowed are letters, digits, _ and -, no digit first")
        if is_reserved(self.name):
            raise ValueError(f"property: {self.name!r} is reserved, for what is called so already; rename it")
        if self.file and not self.unit:
            raise ValueError(f"unit: missing; say what the values of {self.file} are in")
        if self.unit and not self.file and not self.is_path:
            raise ValueError(f"unit: {self.property} has one of its own")
        return self

    @model_validator(mode="after")
    def _aims(self) -> Self:
        low, high = self.limits
        if self.maximize and self.minimize:
            raise ValueError("maximize, minimize: one of the two")
        if not self.sign and self.range in (None, (None, None)):
            raise ValueError("needs a range such as [null, 5.0], maximize: true or minimize: true")
        if low > high:
            raise ValueError(f"range: [{low:g}, {high:g}] holds nothing; the lowest value comes first")
        return self


def _named_once(goals: tuple[Goal, ...]) -> tuple[Goal, ...]:
    names = [plain_name(goal.name) for goal in goals]
    twice = [goal.name for place, goal in enumerate(goals) if names[place] in names[:place]]
    if twice:
        raise ValueError(f"names {twice[0]} twice")
    return goals


Goals = Annotated[tuple[Goal, ...], AfterValidator(_named_once), Field(exclude_if=unsaid)]
"""Of a campaign; in no stored spec where there are none."""


def default_function(goals: Sequence[Goal]) -> dict[str, str]:
    """The acquisition function of a campaign that has objectives and names none."""
    return {"function": OF_OBJECTIVES} if any(goal.sign for goal in goals) else {}


def with_absolute_files(goals: Sequence[Goal], folder: Path) -> tuple[Goal, ...]:
    """The same goals, their files found from anywhere.

    folder: what they are relative to. Raises ConfigError where one is not there.
    """
    found = []
    for goal in goals:
        path = resolved(folder / goal.file)
        if goal.file and not path.exists():
            raise ConfigError(f"goals: {goal.name}: {path}: no such file or folder")
        found.append(goal.model_copy(update={"file": str(path)}) if goal.file else goal)
    return tuple(found)
