"""What a campaign file says of its finds: how they are challenged, whose opinion is asked besides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from niobe.config.oracles.spec import PROGRAMS, GpawProtocol, Oracle, balanced, unsaid
from niobe.config.plugins import OracleName
from niobe.config.potentials import unknown_to

UNIVERSAL = ("7net-l3i5", "chgnet", "7net-0")
"""Potentials of Niobe's own that know nearly every element and run without a network, best first."""
_SECOND = 2


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Challenging(_Part):
    """How a find is challenged before it is shown as one, by the pre-relaxation potential.

    most: finds of one round, nearest the hull first. draws: crystals drawn at random at its composition, and
    as many at those of what it would fall into. asks: how often, at most, the campaign's oracle is asked
    about what that finds lower. displacement: of every atom off its site, Å. share: of the seconds that the
    campaign took for all else, divided among the finds of a round.
    """

    enabled: bool = True
    most: Annotated[int, Field(ge=1)] = 10
    draws: Annotated[int, Field(ge=0, le=1000)] = 8
    asks: Annotated[int, Field(ge=0, le=100)] = 3
    displacement: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    share: Annotated[float, Field(gt=0, le=1)] = 0.15


class Confirmation(_Part):
    """Which other oracles are asked about finds, each on a hull of its own.

    oracles: by name; none of them the campaign's. most: finds of the campaign, nearest the hull first.
    agree: eV/atom above its own hull up to which an oracle agrees; ``hull_tolerance`` where it is left out.
    share: of the seconds that the campaign took for all else, after which no further find is asked about.
    seconds: that many instead, a budget that answers of oracles do not exceed. protocol: how accurately
    ``gpaw`` is asked.
    """

    enabled: bool = True
    oracles: tuple[OracleName, ...] = ()
    most: Annotated[int, Field(ge=1)] = 10
    agree: Annotated[float, Field(ge=0, le=1)] | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    seconds: Annotated[float | None, Field(gt=0, exclude_if=unsaid)] = None
    protocol: Annotated[GpawProtocol, Field(exclude_if=balanced)] = "balanced"

    @field_validator("oracles")
    @classmethod
    def _named_once(cls, oracles: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(oracles)) != len(oracles):
            raise ValueError("names an oracle twice")
        return oracles

    @model_validator(mode="after")
    def _of_gpaw(self) -> Confirmation:
        if self.protocol != "balanced" and "gpaw" not in self.oracles:
            raise ValueError("protocol: belongs to gpaw, which is not among the oracles")
        return self

    @property
    def by_dft(self) -> bool:
        """Whether a program that solves for electrons is asked."""
        return self.enabled and not set(self.oracles).isdisjoint(PROGRAMS)

    def asked(self, name: str, oracle: Oracle) -> Oracle:
        """How the oracle ``name`` is asked: in its own time and on its own scale. A potential relaxes as far
        as the campaign's ``oracle``, a program as far as it would for a campaign of its own."""
        shared = {} if name in PROGRAMS else oracle.model_dump(include={"fmax", "max_steps"})
        protocol = {"protocol": self.protocol} if name == "gpaw" else {}
        return Oracle.model_validate({"name": name} | shared | protocol)


def second_oracles(oracle: str, elements: Iterable[str]) -> tuple[str, ...]:
    """Who is asked besides ``oracle``, a name, unless the file says: two other universal potentials.

    elements: symbols, all of which they have to know.

    Nobody where the oracle is none itself: a toy's finds are not worth it, and how long a program may be
    asked is its user's to say.
    """
    symbols = list(elements)
    others = tuple(name for name in UNIVERSAL if name != oracle and not unknown_to(name, symbols))
    return others[:_SECOND] if oracle in UNIVERSAL else ()


def default_confirmation(before: dict[str, Any]) -> Confirmation:
    """Of the fields of a campaign that are validated before."""
    known = {"oracle", "elements"} <= before.keys()
    return Confirmation(oracles=second_oracles(before["oracle"].name, before["elements"]) if known else ())


def default_challenge(before: dict[str, Any]) -> Challenging:
    """On where oracle and pre-relaxation potential are universal potentials: what they ask is cheap."""
    if not {"oracle", "prerelax"} <= before.keys() or before["prerelax"] is None:
        return Challenging(enabled=False)
    return Challenging(enabled={before["oracle"].name, before["prerelax"].potential} <= set(UNIVERSAL))
