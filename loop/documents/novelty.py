"""Whether a find is known, and if not, what it comes from."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class NoveltyKind(StrEnum):
    """What a find is beside everything known.

    known: the same crystal. ordering: of a disordered crystal of about its composition. distortion: of a
    crystal of its composition and higher symmetry. disputed: the two comparisons disagree on whether it is
    known. substitution: other elements in a known structure. new: none of these.
    """

    KNOWN = "known"
    ORDERING = "ordering"
    DISTORTION = "distortion"
    DISPUTED = "disputed"
    SUBSTITUTION = "substitution"
    NEW = "new"


_WORDS = {
    NoveltyKind.ORDERING: "ordering of",
    NoveltyKind.DISTORTION: "distortion of",
    NoveltyKind.DISPUTED: "disputed: perhaps",
    NoveltyKind.SUBSTITUTION: "substitution of",
}


class Novelty(BaseModel):
    """The verdict of a find against source entries, prototypes, seeds and all campaigns of the database.

    of: id of what it is, or comes from; source: whose that is; formula: of it. prototype: the AFLOW prototype
    that its structure has, label and mineral or compound. structure_matcher, minimum_distances: ids of what
    each comparison alone holds for the same crystal, "" where none. difference: largest relative difference
    between its average minimum distances and those of ``of``. flags: what makes it less likely, or the
    potential less sure; they filter nothing. catalogue: crystals it was compared with, those of other
    compositions by their fingerprint alone.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: NoveltyKind
    of: str = ""
    source: str = ""
    formula: str = ""
    prototype: str = ""
    structure_matcher: str = ""
    minimum_distances: str = ""
    difference: float | None = None
    flags: list[str] = []
    catalogue: int = 0

    @property
    def is_known(self) -> bool:
        """Whether it was known before: rediscovered, no discovery."""
        return self.kind is NoveltyKind.KNOWN

    @property
    def disagree(self) -> bool:
        """Whether the two comparisons name different crystals, or one of them none."""
        return self.structure_matcher != self.minimum_distances

    @property
    def words(self) -> str:
        """The verdict in a few words: "known (mp:mp-22862)", "substitution of NaCl (mp:mp-22862)"."""
        if self.kind is NoveltyKind.NEW:
            return "new"
        if self.kind is NoveltyKind.KNOWN:
            return f"known ({self.of})"
        return f"{self.brief} ({self.of})"

    @property
    def brief(self) -> str:
        """The same without the id: "known", "substitution of NaCl"."""
        return f"{_WORDS[self.kind]} {self.formula}" if self.kind in _WORDS else self.kind.value
