"""Paged sources that misbehave: complete or clearly partial, resumable, nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from niobe.config.errors import ConfigError
from niobe.config.spec import Source
from niobe.loop.sources import materials_project
from niobe.loop.sources.ingest import Ingested, ingest
from niobe.loop.sources.optimade import OptimadeQuery, subsystems_filter, versioned
from niobe.loop.sources.paging import Fetched, fetch
from niobe.loop.sources.reading import ReadOptions
from niobe.loop.sources.web import RetryPolicy, SourceError, Web
from niobe.loop.store.database import Database
from tests.loop.factory import nbo, rocksalt, rutile
from tests.loop.sources.provider import Document, Provider, optimade_entry, serving, summary_document

QUICK = RetryPolicy(attempts=3, timeout=0.4, first_wait=0.01, longest_wait=0.05, between=0.0)
FILTER = 'elements HAS "Nb"'


def bare(count: int, prefix: str = "e") -> list[Document]:
    return [{"id": f"{prefix}{number}", "attributes": {}} for number in range(count)]


def read(provider: Provider, home: Path, **options: Any) -> Fetched:
    return fetch(OptimadeQuery(provider.url, FILTER), home, Web(QUICK), **options)


def ids(fetched: Fetched) -> list[str]:
    return [str(entry["id"]) for entry in fetched.entries()]


@pytest.mark.parametrize("fault", [429, "retry", 500, 503, "slow", "cut", "list", "gone"])
def test_what_passes_is_asked_again(tmp_path: Path, fault: int | str) -> None:
    with serving(Provider(bare(35), faults={2: fault, 4: fault})) as provider:
        fetched = read(provider, tmp_path)
    assert fetched.partial == ""
    assert ids(fetched) == [f"e{number}" for number in range(35)]
    assert len(provider.requests) == 4 + 2


@pytest.mark.parametrize("fault", [500, "slow", "cut", 404])
def test_what_does_not_pass_is_partial_and_goes_on_from_there(tmp_path: Path, fault: int | str) -> None:
    with serving(Provider(bare(35), faults=dict.fromkeys((3, 4, 5), fault))) as provider:
        fetched = read(provider, tmp_path)
        assert fetched.partial
        assert ids(fetched) == [f"e{number}" for number in range(20)]
        provider.faults, provider.requests = {}, []
        again = read(provider, tmp_path)
    assert again.partial == ""
    assert ids(again) == [f"e{number}" for number in range(35)]
    assert [request.split("=")[-1] for request in provider.requests] == ["20", "30"]


def test_refused_requests_are_not_repeated_and_say_why(tmp_path: Path) -> None:
    with serving(Provider(bare(5), faults={1: 404})) as provider:
        fetched = read(provider, tmp_path)
    assert "answered 404 as ordered" in fetched.partial
    assert len(provider.requests) == 1


def test_what_is_complete_is_not_asked_for_again_unless_refreshed(tmp_path: Path) -> None:
    with serving(Provider(bare(25))) as provider:
        read(provider, tmp_path)
        assert ids(read(provider, tmp_path)) == [f"e{number}" for number in range(25)]
        assert len(provider.requests) == 3
        provider.entries = bare(26)
        assert len(ids(read(provider, tmp_path, refresh=True))) == 26


@pytest.mark.parametrize(
    "meta", [{}, [], {"data_returned": "many"}, {"data_returned": -3}, {"data_returned": None}]
)
def test_meta_without_a_count_is_no_obstacle(tmp_path: Path, meta: object) -> None:
    with serving(Provider(bare(25), meta=meta)) as provider:
        fetched = read(provider, tmp_path)
    assert (fetched.partial, fetched.count, fetched.total) == ("", 25, None)


def test_a_count_that_is_too_low_is_noted_and_one_too_high_is_partial(tmp_path: Path) -> None:
    with serving(Provider(bare(25), meta={"data_returned": 7})) as provider:
        low = read(provider, tmp_path / "low")
        provider.meta = {"data_returned": 70}
        high = read(provider, tmp_path / "high")
    assert (low.partial, low.count, low.notes) == ("", 25, ["25 entries where the source says 7"])
    assert high.partial == "25 of 70 entries: the pages ended early"


def test_paging_without_end_stops(tmp_path: Path) -> None:
    with serving(Provider(bare(25), endless=True)) as provider:
        fetched = read(provider, tmp_path)
    assert "paging does not end" in fetched.partial
    assert sorted(ids(fetched)) == sorted(f"e{number}" for number in range(25))
    assert len(provider.requests) == 4


@pytest.mark.parametrize("change", [lambda p: p.entries.insert(0, {"id": "n"}), lambda p: p.entries.pop(0)])
def test_a_source_that_changed_in_between_is_partial_then_read_anew(
    tmp_path: Path, change: Callable[[Provider], None]
) -> None:
    with serving(Provider(bare(35), before={2: change})) as provider:
        fetched = read(provider, tmp_path)
        assert "changed while it was read" in fetched.partial
        assert len(set(ids(fetched))) == len(ids(fetched))
        again = read(provider, tmp_path)
    assert again.partial == ""
    assert ids(again) == [entry["id"] for entry in provider.entries]


def test_a_next_page_elsewhere_is_not_followed(tmp_path: Path) -> None:
    with serving(Provider(bare(25), elsewhere=True)) as provider:
        fetched = read(provider, tmp_path)
    assert "another host" in fetched.partial
    assert fetched.count == 0


def test_ten_thousand_entries_come_once_each_whatever_happens(tmp_path: Path) -> None:
    faults: dict[int, int | str] = {5: 500, 17: "cut", 40: 429, 63: "gone", 80: "retry"}
    with serving(Provider(bare(10_000), page=100, faults=faults)) as provider:
        fetched = read(provider, tmp_path)
    assert (fetched.partial, fetched.count) == ("", 10_000)
    assert len(set(ids(fetched))) == 10_000
    assert len(provider.requests) == 105


def test_entries_at_most(tmp_path: Path) -> None:
    with serving(Provider(bare(35))) as provider:
        fetched = read(provider, tmp_path, most=15)
    assert (fetched.partial, fetched.count, len(provider.requests)) == ("", 20, 2)


def test_filters_use_what_every_provider_supports() -> None:
    assert subsystems_filter(["O", "Nb"]) == (
        '(elements HAS ALL "Nb" AND nelements = 1) OR (elements HAS ALL "O" AND nelements = 1) OR '
        '(elements HAS ALL "Nb", "O" AND nelements = 2)'
    )
    OptimadeQuery("http://127.0.0.1", subsystems_filter(["Ti", "N", "O"]))
    with pytest.raises(ConfigError, match="no OPTIMADE filter"):
        OptimadeQuery("http://127.0.0.1", "elements HAS AND")
    assert versioned("http://a/optimade/") == "http://a/optimade/v1"
    assert versioned("http://a/v1.2") == "http://a/v1.2"


def ingested(database: Database, provider: Provider, home: Path, kind: str) -> Ingested:
    source = Source.model_validate({"name": "there", "kind": kind, "at": provider.url})
    return ingest(database, source, ("Nb", "O"), ReadOptions(home, QUICK))


def test_optimade_entries_become_entries_with_labels_of_their_own(database: Database, tmp_path: Path) -> None:
    stability = {"gga_gga+u": {"formation_energy_per_atom": -2.0, "energy_above_hull": 0.01}}
    entries = [
        optimade_entry("a", nbo(), _mp_stability=stability),
        optimade_entry("b", nbo(4.21) * (2, 1, 1), _oqmd_delta_e=-1.9, _oqmd_stability=-0.02),
        optimade_entry("c", rutile(), _oqmd_delta_e=float("nan")),
        {"id": "d", "type": "structures", "attributes": {"nsites": 3}},
        {"id": "e", "type": "structures"},
    ]
    with serving(Provider(entries, page=2)) as provider:
        done = ingested(database, provider, tmp_path, "optimade")
        again = ingested(database, provider, tmp_path, "optimade")
    assert (done.new, done.groups, len(done.broken), done.partial) == (3, 2, 2, "")
    assert done.broken[0].startswith("d: ") and done.broken[1].startswith("e: ")
    assert (again.new, again.changed, again.unchanged) == (0, 0, 3)
    found = {entry.source_id: entry for entry in database.entries.find()}
    assert [(label.quantity, label.value) for label in found["a"].labels] == [
        ("formation_energy_per_atom", -2.0),
        ("e_above_hull", 0.01),
    ]
    assert {label.fingerprint for label in found["a"].labels + found["b"].labels} == {
        "mp GGA/GGA+U MP2020",
        "oqmd PBE/PBE+U",
    }
    assert found["c"].labels == []
    assert found["b"].group == found["a"].id == "there:a"
    assert (found["c"].formula_reduced, found["c"].chemsys, found["c"].spacegroup) == ("NbO2", "Nb-O", 136)
    assert found["a"].references["immutable_id"] == "im-a"


def test_the_materials_project_is_asked_with_a_key_that_is_never_stored(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MP_API_KEY", raising=False)
    structures = [nbo(), rutile(), rocksalt()] * 8
    documents = [summary_document(f"mp-{n}", s, above=0.01 * n) for n, s in enumerate(structures)]
    with serving(Provider(documents, key="secret-key", faults={2: 429, 3: "cut"})) as provider:
        with pytest.raises(ConfigError, match="MP_API_KEY"):
            ingested(database, provider, tmp_path, "mp")
        monkeypatch.setenv("MP_API_KEY", "wrong")
        assert "answered 403 invalid key" in ingested(database, provider, tmp_path, "mp").partial
        provider.requests = []
        monkeypatch.setenv("MP_API_KEY", "secret-key")
        done = ingested(database, provider, tmp_path, "mp")
    assert (done.new, done.groups, done.partial, done.broken) == (24, 3, "", [])
    assert "chemsys=Nb,O,Nb-O" in provider.requests[0]
    entry = next(entry for entry in database.entries.find() if entry.source_id == "mp-7")
    assert entry.references == {"icsd": "icsd-1234, icsd-99", "theoretical": "false"}
    assert entry.licence.startswith("CC BY 4.0")
    above = entry.label("e_above_hull")
    assert above is not None and above.value == pytest.approx(0.07)
    kept = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    kept += [repr(document).encode() for document in database.mongo["entries"].find({})]
    assert kept and not any(b"secret-key" in content for content in kept)
    assert materials_project.key_header() == {"X-API-KEY": "secret-key"}


def test_an_entry_that_changed_is_replaced_and_grouped_anew(database: Database, tmp_path: Path) -> None:
    entries = [optimade_entry("a", nbo()), optimade_entry("b", nbo(4.2) * (1, 2, 1))]
    with serving(Provider(entries)) as provider:
        ingested(database, provider, tmp_path, "optimade")
        provider.entries = [optimade_entry("a", rocksalt()), entries[1]]
        source = Source(name="there", kind="optimade", at=provider.url)
        done = ingest(database, source, ("Nb", "O"), ReadOptions(tmp_path, QUICK, refresh=True))
    assert (done.new, done.changed, done.unchanged, done.groups) == (0, 1, 1, 2)
    assert {entry.source_id: entry.group for entry in database.entries.find()} == {
        "a": "there:a",
        "b": "there:b",
    }


@pytest.mark.parametrize("url", ["localhost:5000/v1", "example.org/optimade", "ftp://example.org/"])
def test_what_is_no_address_is_asked_once(url: str) -> None:
    said: list[str] = []
    with pytest.raises(SourceError, match="protocol"):
        Web(QUICK, say=said.append).json(url)
    assert said == []
