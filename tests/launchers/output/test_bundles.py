"""The database out and in again: bundles, OPTIMADE lines, a table with splits, another Niobe."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from niobe.config.errors import ConfigError
from niobe.config.home import checkpoint
from niobe.config.spec import CampaignSpec, Source
from niobe.config.version import code_version
from niobe.flows.steps.checkpoints import keep_checkpoint
from niobe.launchers.output.bundles import SUMS, write_bundle
from niobe.launchers.output.exports import export
from niobe.launchers.output.restoring import read_bundle
from niobe.loop.campaign.closing import close_round
from niobe.loop.crystals.similarity import matcher
from niobe.loop.documents.entries import Found, Origin, label, new_entry
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import entry_structure, relaxed_structure
from niobe.loop.readers.structure_files import iterate_structures
from niobe.loop.sources.ingest import ingest
from niobe.loop.sources.reading import ReadOptions
from niobe.loop.store.collections.checkpoints import Checkpoints, digests_of
from niobe.loop.store.database import Database
from niobe.loop.store.foreign import IMPORTED
from niobe.loop.store.mapping import STAMP
from tests.loop.factory import element, nbo, rocksalt, rutile, validated

SPEC = CampaignSpec(
    id="t",
    elements=("Nb", "O"),
    sources=(Source(name="open", kind="oqmd"), Source(name="closed", kind="icsd", at="x")),
)


def records() -> list[StructureRecord]:
    found = [
        validated(element("Nb"), -10.0, index=0),
        validated(element("O", 3.0), -4.9, index=1),
        validated(nbo(), -9.5, round_number=1, index=0),
        validated(rutile(), -9.0, round_number=2, index=0),
    ]
    _, verdicts = close_round(SPEC, 2, found)
    return [record.model_copy(update={"verdict": verdicts[record.id]}) for record in found]


def filled(database: Database) -> None:
    database.campaigns.create(SPEC)
    for number in (0, 1, 2):
        database.rounds.open("t", number)
    database.records.insert(records())
    hull, _ = close_round(SPEC, 2, records())
    database.hulls.store(hull)
    for name, licence in (("open", "CC BY 4.0"), ("closed", "FIZ Karlsruhe, licensed: not to be passed on")):
        origin = Origin(name, "http://there", licence, "2026-01-01")
        labels = label("e_above_hull", 0.02, "oqmd PBE")
        database.entries.store([new_entry(origin, Found("1", rocksalt(), labels))])
    keep_checkpoint(
        database, "t", 1, "surrogate", lambda folder: (folder / "surrogate.json").write_text("{}")
    )


def contents(database: Database) -> dict[str, list[Any]]:
    names = sorted(database.mongo.list_collection_names())
    names = [name for name in names if not name.startswith("checkpoint")]  # their ids differ
    told = {STAMP: 0}  # names the write
    found = {name: list(database.mongo[name].find({}, told, sort=[("_id", 1)])) for name in names}
    return {name: documents for name, documents in found.items() if documents}


@contextmanager
def elsewhere(uri: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Another database with a home of its own."""
    monkeypatch.setenv("NIOBE_HOME", str(folder))
    name = f"test_{os.urandom(6).hex()}"
    other = Database.connect(uri, name)
    yield other
    other.mongo.client.drop_database(name)
    other.close()


def test_a_bundle_restores_an_equal_database(
    database: Database, mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(database)
    bundle = write_bundle(database, "t", tmp_path / "bundle")
    wanted = contents(database)
    wanted["entries"] = [entry for entry in wanted["entries"] if entry["source"] == "open"]
    wanted["campaigns"][0] |= {"state": "stopped", "reason": IMPORTED}
    with elsewhere(mongo_uri, tmp_path / "there", monkeypatch) as other:
        assert read_bundle(other, bundle)["structures"] == 4
        assert contents(other) == wanted
        assert other.checkpoints.names("t") == [(1, "surrogate")]
        assert other.checkpoints.digests("t", 1, "surrogate") == digests_of(checkpoint("t", 1, "surrogate"))
        assert set(read_bundle(other, bundle).values()) == {0}
        assert (tmp_path / "there/checkpoints/t/round-1/surrogate/surrogate.json").read_text() == "{}"
    source = Source(name="bundle", kind="niobe", at=str(bundle), licence="CC BY 4.0")
    done = ingest(database, source, ("Nb", "O"), ReadOptions(tmp_path))
    assert (done.new, done.broken) == (4, [])
    found = database.entries.find(sources=["bundle"])
    assert {entry.source_id for entry in found} == {record.id for record in records()}
    assert {label.fingerprint for entry in found for label in entry.labels} == {"niobe test"}
    licences = (bundle / "LICENCES.md").read_text()
    assert "CC BY 4.0. 1 entries, included" in licences
    assert "1 entries, left out of this bundle" in licences
    assert json.loads((bundle / "bundle.json").read_text())["code"] == code_version()
    assert (bundle / "campaigns/t.yaml").is_file() and (bundle / "CITATION.cff").is_file()
    answer = subprocess.run(["sha256sum", "-c", SUMS], cwd=bundle, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


def change(bundle: Path) -> None:
    file = bundle / "data/structures.jsonl"
    file.write_text(file.read_text() + "{}\n")


def add(bundle: Path) -> None:
    (bundle / "data/more.jsonl").write_text("")


def remove(bundle: Path) -> None:
    (bundle / "data/hulls.jsonl").unlink()


def link(bundle: Path) -> None:
    (bundle / "checkpoints/t/password").symlink_to("/etc/passwd")


@pytest.mark.parametrize("harm", [change, add, remove, link])
def test_a_harmed_bundle_is_refused_and_nothing_is_written(
    database: Database, mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Any
) -> None:
    filled(database)
    bundle = write_bundle(database, "t", tmp_path / "bundle")
    harm(bundle)
    with elsewhere(mongo_uri, tmp_path / "there", monkeypatch) as other:
        with pytest.raises(ConfigError, match=r"changed since|is a link|is no file of a bundle"):
            read_bundle(other, bundle)
        assert not any(contents(other).values()) and other.checkpoints.names("t") == []


def test_a_checkpoint_of_a_live_campaign_is_not_replaced_by_a_bundle_s(
    database: Database, mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(database)
    bundle = write_bundle(database, "t", tmp_path / "bundle")
    with elsewhere(mongo_uri, tmp_path / "there", monkeypatch) as other:
        keep_checkpoint(other, "t", 1, "surrogate", lambda place: (place / "a.json").write_text("[]"))
        held = other.checkpoints.digests("t", 1, "surrogate")
        monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "third"))
        with pytest.raises(ConfigError, match=r"'t' is there with another surrogate of round 1; --as NAME"):
            read_bundle(other, bundle)
        assert other.checkpoints.digests("t", 1, "surrogate") == held
        assert not any(contents(other).values()) and not (tmp_path / "third/checkpoints").exists()


def test_an_import_that_is_cut_short_at_its_checkpoints_leaves_no_campaign(
    database: Database, mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(database)
    bundle = write_bundle(database, "t", tmp_path / "bundle")
    with elsewhere(mongo_uri, tmp_path / "there", monkeypatch) as other:

        def full(*_: object) -> None:
            raise OSError("full")

        with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
            patch.setattr(Checkpoints, "store", full)
            read_bundle(other, bundle)
        assert other.campaigns.find() == []
        assert read_bundle(other, bundle)["campaigns"] == 1
        assert other.checkpoints.names("t") == [(1, "surrogate")]


def test_a_campaign_that_is_there_with_other_records_is_not_mixed(database: Database, tmp_path: Path) -> None:
    filled(database)
    bundle = write_bundle(database, "t", tmp_path / "bundle")
    database.records.insert([validated(rocksalt(), -8.0, round_number=1, index=5)])
    with pytest.raises(ConfigError, match="is there with other records"):
        read_bundle(database, bundle)
    with pytest.raises(ConfigError, match="is there already"):
        write_bundle(database, "t", bundle)
    with pytest.raises(ConfigError, match="no bundle"):
        read_bundle(database, tmp_path)


def test_the_table_has_splits_by_round_and_is_read_back(tmp_path: Path) -> None:
    table = pd.read_parquet(export(records(), "matbench", tmp_path / "t.parquet"))
    assert list(table["split"]) == ["train", "train", "train", "test"]
    assert table["e_above_hull"].min() == 0
    for row, record in zip(iterate_structures(tmp_path / "t.parquet"), records(), strict=True):
        assert row.structure is not None
        assert matcher().fit(row.structure, relaxed_structure(record))


SERVE = (
    "import sys; from optimade.server.main import app; import uvicorn;"
    "uvicorn.run(app, host='127.0.0.1', port=int(sys.argv[1]), log_level='warning')"
)


@contextmanager
def served(lines: Path, folder: Path) -> Iterator[str]:
    """optimade-python-tools' own server over OPTIMADE JSON lines, on a free port of 127.0.0.1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir()
    (folder / "optimade.json").write_text(
        json.dumps(
            {
                "insert_test_data": False,
                "insert_from_jsonl": str(lines),
                "database_backend": "mongomock",
                "log_dir": str(folder),
                "page_limit": 2,
                "provider": {
                    "prefix": "niobe",
                    "name": "Niobe",
                    "description": "A campaign",
                    "homepage": None,
                },
                "provider_fields": {"structures": ["_niobe_e_above_hull", "_niobe_oracle"]},
            }
        )
    )
    environment = os.environ | {"OPTIMADE_CONFIG_FILE": str(folder / "optimade.json")}
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVE, str(port)],
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_until_served(f"http://127.0.0.1:{port}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate(timeout=20)


def _wait_until_served(url: str, server: subprocess.Popen[str]) -> None:
    for _ in range(400):
        if server.poll() is not None:
            raise RuntimeError((server.communicate()[1] or "")[-2000:])
        try:
            if httpx.get(f"{url}/v1/info", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError("the OPTIMADE server did not start")


def test_another_niobe_ingests_the_same_structures(database: Database, tmp_path: Path) -> None:
    pytest.importorskip("optimade.server.main", exc_type=ImportError)
    lines = export(records(), "optimade", tmp_path / "structures.jsonl")
    with served(lines, tmp_path / "server") as url:
        source = Source(name="friend", kind="niobe", at=url, licence="CC BY 4.0")
        done = ingest(database, source, ("Nb", "O"), ReadOptions(tmp_path / "cache"))
    assert (done.new, done.partial, done.broken) == (4, "", [])
    entries = {entry.source_id: entry for entry in database.entries.find(sources=["friend"])}
    for record in records():
        entry = entries[record.id]
        assert matcher().fit(entry_structure(entry), relaxed_structure(record))
        assert entry.formula_reduced == record.formula_reduced
        above = entry.label("e_above_hull")
        assert above is not None and record.verdict is not None
        assert above.value == pytest.approx(record.verdict.e_above_hull_now)
        assert above.fingerprint == "niobe test"
