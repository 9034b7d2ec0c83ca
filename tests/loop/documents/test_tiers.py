"""Tiers: each is on top of the one before, and what fell is kept with the reason."""

from typing import Any

import pytest

from niobe.launchers.output.summary import summary
from niobe.launchers.output.tables import brief_rows, record_row
from niobe.loop.documents.claims import Challenge, Opinion
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.novelty import Novelty, NoveltyKind
from niobe.loop.documents.records import StructureRecord, Verdict
from niobe.loop.documents.tiers import Tier, headline, novelty_text, tier, tier_text
from tests.loop.factory import nbo, validated


def find(kind: NoveltyKind = NoveltyKind.NEW, above: float = 0.0, **update: Any) -> StructureRecord:
    verdict = Verdict(
        formation_energy_per_atom=-1.0,
        e_above_hull_found=above,
        e_above_hull_now=above,
        hull_round=1,
        above_products=above,
        discovery=True,
        discovery_round=1,
    ).given(Novelty(kind=kind, of="mp:1", formula="NbO"))
    outcome = update.pop("outcome", Stability.STABLE)
    record = validated(nbo(), -9.0, round_number=1, outcome=outcome)
    return record.model_copy(update={"verdict": verdict} | update)


def opinion(agrees: bool, is_dft: bool = False, above: float | None = 0.0) -> Opinion:
    return Opinion(oracle="o", fingerprint="f", e_above_hull=above, agrees=agrees, is_dft=is_dft)


SURVIVED = Challenge(survived=True)
FELL = Challenge(survived=False, reason="a polymorph is 0.1 eV/atom lower")
YES, NO = opinion(True), opinion(False)


@pytest.mark.parametrize(
    ("record", "reached", "words"),
    [
        (find(), Tier.STABLE, "stable"),
        (find(above=0.05), Tier.METASTABLE, "metastable"),
        (find(outcome=Stability.UNSTABLE), Tier.VALIDATED, "validated"),
        (find(verdict=None), Tier.VALIDATED, "validated"),
        (find(validation=None), Tier.NONE, ""),
        (find(opinions=[YES]), Tier.STABLE, "stable, (1 of 1)"),
        (find(challenge=FELL), Tier.VALIDATED, "validated; fell: a polymorph is 0.1 eV/atom lower"),
        (find(challenge=SURVIVED, above=0.05), Tier.CHALLENGED, "metastable, challenged"),
        (
            find(challenge=Challenge(survived=True, cut_short=True), opinions=[YES]),
            Tier.CONFIRMED,
            "stable, challenged in part, confirmed (1 of 1)",
        ),
        (find(challenge=SURVIVED, opinions=[YES, NO]), Tier.CHALLENGED, "stable, challenged, (1 of 2)"),
        (
            find(challenge=SURVIVED, opinions=[YES, YES, NO]),
            Tier.CONFIRMED,
            "stable, challenged, confirmed (2 of 3)",
        ),
        (
            find(challenge=SURVIVED, opinions=[YES, opinion(True, is_dft=True)]),
            Tier.CONFIRMED,
            "stable, challenged, confirmed (2 of 2; DFT: stable)",
        ),
        (
            find(challenge=SURVIVED, opinions=[YES, opinion(True, is_dft=True, above=0.03)]),
            Tier.CONFIRMED,
            "stable, challenged, confirmed (2 of 2; DFT: metastable)",
        ),
        (
            find(challenge=SURVIVED, opinions=[YES, YES, opinion(False, is_dft=True, above=0.2)]),
            Tier.CHALLENGED,
            "stable, challenged, (2 of 3; DFT: fell)",
        ),
        (
            find(challenge=SURVIVED, opinions=[YES, YES, opinion(False, is_dft=True, above=None)]),
            Tier.CONFIRMED,
            "stable, challenged, confirmed (2 of 3)",
        ),
    ],
)
def test_tiers(record: StructureRecord, reached: Tier, words: str) -> None:
    assert (tier(record), tier_text(record)) == (reached, words)


def test_what_dft_says_has_columns_of_its_own() -> None:
    said = opinion(True, is_dft=True, above=0.03).model_copy(update={"above_products": 0.03})
    for row in (summary(find(opinions=[YES, said])), record_row(find(opinions=[YES, said]))):
        assert (row["dft_oracle"], row["dft_e_above_hull"], row["dft_phase"]) == ("f", 0.03, "metastable")
        assert row["dft_above_products"] == 0.03
        assert row["e_above_hull"] == 0.0
    assert summary(find(opinions=[YES]))["dft_phase"] is None
    shown = brief_rows([find(opinions=[YES, said]), find()], {})
    assert [row["above DFT's own hull (eV/atom)"] for row in shown] == [0.03, None]
    assert "above DFT's own hull (eV/atom)" not in brief_rows([find(opinions=[YES])], {})[0]


def test_the_headline_is_what_is_new_and_beside_it_what_was_known() -> None:
    records = [
        find(challenge=SURVIVED, opinions=[YES]),
        find(NoveltyKind.SUBSTITUTION, above=0.02, challenge=SURVIVED),
        find(challenge=Challenge(survived=True, cut_short=True)),
        find(NoveltyKind.ORDERING),
        find(NoveltyKind.KNOWN),
        validated(nbo(), -9.0),
    ]
    assert headline(records) == (
        "3 new (2 stable, 1 metastable; 3 challenged, 1 of them in part, 1 confirmed) · 1 ordering"
        " · 1 known phase rediscovered"
    )
    assert headline([]) == "0 new · 0 known phases rediscovered"
    assert [novelty_text(r) for r in records[:2]] == ["new", "substitution of NbO (mp:1)"]
