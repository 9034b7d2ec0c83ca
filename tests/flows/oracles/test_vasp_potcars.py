"""POTCARs by their content: what was asked by another one of an element meets nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymatgen.core import SETTINGS

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.mock_vasp.potcars import FUNCTIONALS, potcar
from niobe.flows.oracles.vasp import potcars_here
from niobe.flows.steps.known import check_same_oracle, competitors_elsewhere
from niobe.loop.documents.records import StructureRecord
from niobe.loop.store.database import Database
from tests.loop.factory import element, nbo, validated

SPEC = CampaignSpec.model_validate({"id": "t", "elements": ["Nb", "O"], "oracle": {"name": "vasp"}})
NB, OX = validated(element("Nb"), -10.0), validated(element("O", 3.0), -5.0, index=1)
NBO = validated(nbo(), -9.0, index=2)


def by(record: StructureRecord, campaign: str, **potcars: str) -> StructureRecord:
    """The record of a campaign, asked with these POTCARs."""
    assert record.validation is not None
    validation = record.validation.model_copy(update={"potcars": potcars})
    changed = {"id": f"{campaign}-{record.id}", "campaign": campaign, "validation": validation}
    return record.model_copy(update=changed)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that has the POTCAR of niobium alone."""
    folder = tmp_path / "own" / FUNCTIONALS[0]
    folder.mkdir(parents=True)
    (folder / "POTCAR.Nb_pv").write_text(potcar("Nb_pv"), encoding="utf-8")
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", str(folder.parent))
    return folder


def test_a_potcar_is_told_by_its_content_and_one_that_is_not_here_by_nothing(own: Path) -> None:
    before = potcars_here(["Nb", "O"], "PBE")
    name, digest = before["Nb"].split()
    assert (list(before), name, len(digest)) == (["Nb"], "Nb_pv", 12)
    content = (own / "POTCAR.Nb_pv").read_text(encoding="utf-8")
    (own / "POTCAR.Nb_pv").write_text(content.replace("0.00000000E+00", "0.10000000E+00"), encoding="utf-8")
    after = potcars_here(["Nb"], "PBE")["Nb"]
    assert after.startswith("Nb_pv ") and after != before["Nb"]
    assert potcars_here(["Nb"], "r2SCAN") == {}


def test_a_campaign_does_not_go_on_with_another_potcar(database: Database, own: Path) -> None:
    """One of oxygen is not here, so nothing is said of it; nor of what an older Niobe stored."""
    here = potcars_here(["Nb"], "PBE")["Nb"]
    database.campaigns.create(SPEC)
    database.records.insert([NB, by(NBO, "t", Nb=here, O="O 1")])
    check_same_oracle(database, SPEC)
    (own / "POTCAR.Nb_pv").write_text(potcar("Nb_pv") + " ", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"begun with POTCAR {here}; here it would go on with Nb_pv "):
        check_same_oracle(database, SPEC)


@pytest.mark.parametrize(
    ("own", "others", "met"),
    [
        ({"Nb": "Nb_pv 1", "O": "O 1"}, {"a": {"O": "O 1"}, "b": {"O": "O 2"}, "c": {}}, ["a", "c"]),
        ({}, {"a": {"O": "O 1"}, "b": {"O": "O 2"}, "c": {"Nb": "Nb_pv 3", "O": "O 1"}}, ["a", "c"]),
        ({"Nb": "Nb_pv 1"}, {"a": {"Nb": "Nb_pv 2"}, "b": {"Nb": "Nb_pv 1", "O": "O 2"}}, ["b"]),
    ],
)
def test_what_was_asked_elsewhere_competes_where_each_element_has_the_same_potcar(
    database: Database, own: dict[str, str], others: dict[str, dict[str, str]], met: list[str]
) -> None:
    """What is not known of one of them is no difference; of two that differ the first one's counts."""
    database.campaigns.create(SPEC)
    database.records.insert([by(NB, "t", **own), by(OX, "t", **own)])
    crystals = [validated(element("O", 3.1 + n / 10), -4.0, index=n) for n in range(len(others))]
    theirs = [
        by(crystal, name, **found) for crystal, (name, found) in zip(crystals, others.items(), strict=True)
    ]
    database.records.insert(theirs)
    assert [record.campaign for record in competitors_elsewhere(database, SPEC)] == met
