"""What a claim went through besides validation: a challenge by competitors, and opinions of other oracles."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Attack = Literal["polymorphs", "products", "saddle", "larger_cell"]
"""Where a challenge looks for what is lower: other crystals of the composition, other crystals of what the
find would fall into, the find displaced off its symmetry, the find displaced in a cell twice as large."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Attempt(_Part):
    """One way in which a find was challenged, and what it cost.

    tried: structures that the cheap potential relaxed. asked: of these, the ones that the campaign's oracle
    was asked for. lowest: energy of the lowest that the oracle answered for against what it challenges, the
    find itself or a phase that the find would fall into, eV/atom; None where none was asked for.
    records: ids of the records that hold the oracle's answers. seconds: of the potential and of the oracle.
    """

    attack: Attack
    tried: int = 0
    asked: int = 0
    lowest: float | None = None
    records: list[str] = []
    seconds: float = 0.0


class Challenge(_Part):
    """What became of a find when it was challenged. reason: why it fell, or what cut the search short.

    survived: nothing that was found takes the claim away. cut_short: its part of the time ended before the
    search did, or the potential or the oracle had no answer. by: ids of the records that take the claim away.
    """

    survived: bool
    cut_short: bool = False
    reason: str = ""
    by: list[str] = []
    attempts: list[Attempt] = []

    @property
    def seconds(self) -> float:
        """What it took, s."""
        return sum(attempt.seconds for attempt in self.attempts)


class Opinion(_Part):
    """What another oracle says of a find, on a hull of its own. Never mixed into the campaign's.

    oracle: its name. fingerprint: of what answered. e_above_hull: eV/atom above the hull that its answers for
    the elements, the campaign's finds and what those would fall into make together; None where it has no
    answer. above_products: eV/atom above what the find would fall into there, below 0 where it is stable.
    agrees: whether e_above_hull lies within what the campaign asks for. is_dft: a program that solves for
    electrons, no potential. reason: why it has no answer. seconds: that its answer for the find took.
    """

    oracle: str
    fingerprint: str
    e_above_hull: float | None = None
    above_products: float | None = None
    agrees: bool = False
    is_dft: bool = False
    reason: str = ""
    seconds: float = 0.0


class Agreement(_Part):
    """How an oracle sees a campaign's finds: ``agreeing`` of ``asked``.

    tau: Kendall's, between its order of them and the campaign's oracle's, by how far each lies above what it
    would fall into; None for fewer than three. difference: median of that height, its own less the
    campaign's, eV/atom.
    """

    oracle: str
    agreeing: int
    asked: int
    tau: float | None = None
    difference: float | None = None


def k_of_n(opinions: list[Opinion]) -> tuple[int, int]:
    """How many of the opinions agree that it is a find, and how many there are."""
    return sum(opinion.agrees for opinion in opinions), len(opinions)
