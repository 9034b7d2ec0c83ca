"""Optional sources: what answers is read, and what does not keeps no campaign from beginning."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from niobe.config.loading import load_campaign
from niobe.config.spec import OPEN_DATABASES, CampaignSpec, Source
from niobe.launchers.rounds import begin_campaign
from niobe.loop.campaign.seeding import source_entries
from niobe.loop.store.database import Database
from tests.loop.factory import nbo, rutile
from tests.loop.sources.provider import Provider, optimade_entry, serving

ENTRIES = [optimade_entry("a", nbo(), _oqmd_stability=0.0), optimade_entry("b", rutile())]


def campaign(*addresses: str) -> CampaignSpec:
    sources = [
        Source(name=f"s{number}", kind="optimade", at=at, optional=True)
        for number, at in enumerate(addresses)
    ]
    return CampaignSpec(id="t", elements=("Nb", "O"), sources=tuple(sources))


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback servers are asked, as an open database is."""
    monkeypatch.setenv("NIOBE_OFFLINE", "0")


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is printed beside an empty progress bar."""
    return [line for line in capsys.readouterr().err.splitlines() if line.strip()]


def ids(database: Database, spec: CampaignSpec) -> list[str]:
    return [entry.id for entry in source_entries(database, spec)]


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("fault", [500, 404, "cut", "list", "gone"])
def test_one_line_says_what_did_not_answer_and_the_rest_is_read(
    database: Database, nobody: str, fault: int | str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Provider(ENTRIES, faults={1: fault})) as bad, serving(Provider(ENTRIES)) as good:
        spec = campaign(nobody, bad.url, good.url)
        assert begin_campaign(database, spec).sources == spec.sources
    assert ids(database, spec) == ["s2:a", "s2:b"]
    assert len(bad.requests) == 1
    (line,) = said(capsys)
    assert "the campaign goes on: s0 (" in line and "; s1 (" in line and "s2" not in line


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("fault", [{"endless": True}, {"elsewhere": True}, {"faults": {2: 500}}])
def test_what_was_read_before_a_source_misbehaved_is_used(
    database: Database, fault: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Provider(ENTRIES, page=1, **fault)) as bad:  # type: ignore[arg-type]
        spec = campaign(bad.url)
        begin_campaign(database, spec)
    assert "s0:a" in ids(database, spec) or fault == {"elsewhere": True}
    assert len(said(capsys)) == 1


def test_nobody_is_asked_offline(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Provider(ENTRIES)) as provider:
        begin_campaign(database, campaign(provider.url))
    assert (provider.requests, said(capsys)) == ([], [])


@pytest.mark.parametrize(("line", "sources"), [("", OPEN_DATABASES), ("auto", OPEN_DATABASES), ("[]", ())])
def test_a_file_that_names_none_has_the_open_databases(
    tmp_path: Path, line: str, sources: tuple[Source, ...]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("id: t\nelements: [Nb, O]\n" + (f"sources: {line}\n" if line else ""))
    assert load_campaign(file).sources == sources
