"""What verdicts say of cases whose answer is known, and what a verdict costs as the catalogue grows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymatgen.core import Structure

from niobe.loop.documents.entries import Found, Origin, new_entry
from niobe.loop.documents.novelty import Novelty, NoveltyKind
from niobe.loop.novelty.catalogue import PROTOTYPES, Catalogue
from niobe.loop.novelty.judging import judge
from niobe.loop.novelty.matching import Crystal, symmetry
from niobe.loop.store.database import Database
from tests.benchmarks.novelty.cases import Case

ORIGIN = Origin("mp", "https://materialsproject.org", "CC-BY-4.0", "2026-11-28")
_BATCH = 500


@dataclass
class Score:
    """How many of the cases were called what they are; what the two comparisons disagree on; seconds each."""

    asked: int = 0
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    disputes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, name: str, right: bool, novelty: Novelty, seconds: float) -> None:
        self.asked += 1
        self.right += right
        self.seconds += seconds
        self.wrong += [] if right else [f"{name}: {novelty.words}"]
        self.disputes += [f"{name}: {novelty.words}"] if novelty.disagree else []

    def row(self, what: str, bar: str) -> dict[str, Any]:
        share = f"{self.right} of {self.asked} ({100 * self.right / self.asked:.1f} %)"
        return {"what": what, "bar": bar, "figure": share, "s each": round(self.seconds / self.asked, 3)}


def know(database: Database, structures: Iterable[tuple[str, Structure]]) -> None:
    """Store structures as entries of the source ``mp``."""
    entries = [new_entry(ORIGIN, Found(name, structure)) for name, structure in structures]
    for start in range(0, len(entries), _BATCH):
        database.entries.store(entries[start : start + _BATCH])


def asked(database: Database, find: Structure) -> tuple[Novelty, float]:
    """The verdict of a find, and the seconds it took with nothing read before."""
    started = time.perf_counter()
    novelty = judge(Crystal("find", "campaign t", find), Catalogue(database, "t"))
    return novelty, time.perf_counter() - started


def known(database: Database, cases: Iterable[Case]) -> Score:
    """Disguised crystals that have to be called known, as what they are or as a duplicate of it."""
    score = Score()
    for case in cases:
        novelty, seconds = asked(database, case.find)
        score.add(case.of, novelty.is_known, novelty, seconds)
    return score


def substituted(database: Database, cases: Iterable[Case], structures: dict[str, Structure]) -> Score:
    """Substitutions that have to be named so, of a compound with the space group of what they are made of."""
    score = Score()
    for case in cases:
        novelty, seconds = asked(database, case.find)
        named = structures.get(novelty.of.removeprefix("mp:"))
        group = symmetry(structures[case.of], 0.1)[0]
        like = named is None or symmetry(named, 0.1)[0] == group
        score.add(case.of, novelty.kind is NoveltyKind.SUBSTITUTION and like, novelty, seconds)
    return score


def ordered(database: Database, cases: Iterable[Case]) -> Score:
    """Orderings that have to be named so, of their own parent."""
    score = Score()
    for case in cases:
        novelty, seconds = asked(database, case.find)
        right = novelty.kind is NoveltyKind.ORDERING and novelty.of == f"mp:parent-{case.of}"
        score.add(case.of, right, novelty, seconds)
    return score


def apart(database: Database, cases: Sequence[tuple[str, Case]], structures: dict[str, Structure]) -> Score:
    """Polymorphs that may not be called known when only another one is, unless as the prototype they are."""
    score = Score()
    for name, case in cases:
        database.mongo["entries"].delete_many({})
        know(database, [(name, structures[name])])
        novelty, seconds = asked(database, case.find)
        right = not novelty.is_known or _is_its_prototype(novelty, structures[case.of])
        score.add(f"{case.of} beside {name}", right, novelty, seconds)
    return score


def _is_its_prototype(novelty: Novelty, structure: Structure) -> bool:
    """Whether it is known from a library, which holds the space group that the crystal itself has."""
    if novelty.source != PROTOTYPES:
        return False
    return int(novelty.of.split("_")[2]) == symmetry(structure, 0.1)[0]
