"""A bundle that someone else wrote, checksums right: it is data of one campaign, or it is refused."""

from __future__ import annotations

import base64
import copy
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from niobe.config.errors import ConfigError
from niobe.config.settings import Settings
from niobe.config.version import file_digest
from niobe.launchers.output.bundles import NOT_SUMMED, SUMS, write_bundle
from niobe.launchers.output.restoring import read_bundle
from niobe.loop.documents.records import Failure, Lineage, record_id
from niobe.loop.documents.rounds import PhononRecord, batch_digest
from niobe.loop.store.database import Database
from tests.launchers.output.test_bundles import contents, elsewhere, filled, records

Lines = dict[str, list[Any]]
HARMLESS = Failure(step="relax", cause="fmax", exception="ValueError", message="too far")


def full(database: Database) -> None:
    """A campaign with parents, a failed structure and phonons beside what ``filled`` makes."""
    filled(database)
    first, second, third, fourth = records()
    database.records.update(fourth.id, lineage=Lineage(generator="soft_mode", parents=[third.id]))
    failure = HARMLESS.model_copy(update={"files": f"failed/t/{first.id}/relax"})
    database.records.update(first.id, failure=failure)
    lineage = Lineage(generator="gan", checkpoint="t/round-1/gan")
    database.records.update(second.id, lineage=lineage)
    database.rounds.update("t", 1, batch=[third.id], batch_digest=batch_digest([third.id]))
    database.phonons.store(
        PhononRecord(
            record_id=third.id,
            campaign="t",
            distances=[0.0, 0.1],
            frequencies=[[1.0] * 3, [2.0] * 3],
            ticks=[(0.0, "Γ")],
            dos_frequencies=[0.0],
            dos=[1.0],
            supercell_matrix=[[2, 0, 0], [0, 2, 0], [0, 0, 2]],
            modes=[{"q": [0.5, 0.0, 0.0], "frequency": -1.0, "real": [1.0] * 3, "imag": [0.0] * 3}],
        )
    )


def read_lines(bundle: Path) -> Lines:
    return {
        file.stem: [json.loads(line) for line in file.read_text().splitlines()]
        for file in sorted((bundle / "data").glob("*.jsonl"))
    }


def write_lines(bundle: Path, lines: Lines) -> None:
    """The data anew, with counts and checksums that fit."""
    for file in (bundle / "data").glob("*.jsonl"):
        file.unlink()
    for name, documents in lines.items():
        content = [one if isinstance(one, str) else json.dumps(one) for one in documents]
        (bundle / "data" / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in content))
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["documents"] = {name: len(documents) for name, documents in lines.items()}
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    sum_again(bundle)


def sum_again(bundle: Path) -> None:
    files = [path for path in bundle.rglob("*") if path.is_file() and path.name not in NOT_SUMMED]
    sums = "".join(f"{file_digest(file)}  {file.relative_to(bundle)}\n" for file in sorted(files))
    (bundle / SUMS).write_text(sums)


@pytest.fixture(scope="module")
def places(
    mongo_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Lines, Database]]:
    """A bundle, its data, and an empty database elsewhere."""
    folder = tmp_path_factory.mktemp("foreign")
    with pytest.MonkeyPatch.context() as patch:
        with elsewhere(mongo_uri, folder / "home", patch) as own:
            full(own)
            bundle = write_bundle(own, "t", folder / "bundle")
        with elsewhere(mongo_uri, folder / "there", patch) as other:
            yield bundle, read_lines(bundle), other


def first(collection: str, **changes: Any) -> Callable[[Lines], None]:
    """The first document of a collection with some fields changed; dots reach inside."""

    def change(lines: Lines) -> None:
        for path, value in changes.items():
            *way, last = path.split("__")
            part = lines[collection][0]
            for key in way:
                part = part[int(key) if isinstance(part, list) else key]
            part[last] = value

    change.__name__ = f"{collection}-{'-'.join(changes)}"
    return change


def more(collection: str, document: Any) -> Callable[[Lines], None]:
    def change(lines: Lines) -> None:
        lines.setdefault(collection, []).append(document)

    change.__name__ = f"more-{collection}"
    return change


def ring(lines: Lines) -> None:
    lines["structures"][0]["lineage"]["parents"] = [lines["structures"][1]["_id"]]
    lines["structures"][1]["lineage"]["parents"] = [lines["structures"][0]["_id"]]


def own_parent(lines: Lines) -> None:
    lines["structures"][0]["lineage"]["parents"] = [lines["structures"][0]["_id"]]


def twice(collection: str) -> Callable[[Lines], None]:
    def change(lines: Lines) -> None:
        double = copy.deepcopy(lines[collection][0])
        if collection in {"rounds", "hulls"}:
            double["_id"] = {"$oid": "0" * 24}
        lines[collection].append(double)

    change.__name__ = f"twice-{collection}"
    return change


def no_campaign(lines: Lines) -> None:
    del lines["campaigns"]


def another_campaign(lines: Lines) -> None:
    lines["structures"][0]["campaign"] = "other"
    fingerprint = lines["structures"][0]["fingerprint"]
    lines["structures"][0]["_id"] = record_id("other", 0, fingerprint)


def without(collection: str, field: str) -> Callable[[Lines], None]:
    def change(lines: Lines) -> None:
        del lines[collection][0][field]

    change.__name__ = f"without-{collection}-{field}"
    return change


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


RUN = {"_fw_name": "ScriptTask", "script": "touch /tmp/niobe-owned"}
SITE = "structure__sites__0__properties__magmom"
DEEP = '{"_id": ' * 5000 + "1" + "}" * 5000
HOSTILE = [
    *(
        more(name, {"_id": {"$oid": "1" * 24}, "fw_id": 1, "spec": {"_tasks": [RUN]}, "state": "READY"})
        for name in ("fireworks", "workflows", "launches", "fw_id_assigner", "outputs", "system.js")
    ),
    more("Structures", {}),
    *(first("structures", failure=HARMLESS.model_dump(mode="json") | {"files": path}) for path in
      (".", "..", "/", "/etc", "failed", "failed/t", "failed/t/../..", "failed/../serve.token",
       "failed/other/0123456789abcdef/relax", "~", "failed\\t", "file:///etc/passwd", "work/t")),
    *(first("structures", validation__files=path) for path in (".", "../..", "checkpoints/t")),
    *(first("structures", lineage__checkpoint=path) for path in ("/etc/x", "../..", "other/round-1/gan")),
    *(first("structures", **{SITE: value}) for value in (
        {"@module": "os", "@class": "system"}, {"@module": "antigravity", "@class": "X"},
        {"@callable": "eval", "@module": "builtins"}, {"@class": "Path", "@module": "pathlib"}, {"$ne": 1})),
    first("structures", validation__structure__sites__0__properties={"x": {"@module": "this"}}),
    first("structures", structure__lattice__matrix=[[0, 0, 0]] * 3),
    first("structures", structure__sites=[]),
    first("structures", structure={}),
    first("structures", structure__sites__0__abc=[{"$numberDouble": "NaN"}, 0, 0]),
    first("structures", formula="Au", chemsys="Au"),
    first("structures", n_atoms=10**6),
    first("structures", validation__energy_per_atom={"$numberDouble": "-Infinity"}),
    first("structures", schema_version=10**6),
    first("structures", schema_version=-(10**12)),
    first("structures", schema_version="3"),
    first("structures", status="rm -rf"),
    first("structures", validation=None),
    first("structures", verdict=None, status="failed", failure=None),
    first("structures", fingerprint="x"),
    first("structures", _id="0" * 16),
    first("structures", _id="<script>"),
    first("structures", _id={"$gt": ""}),
    first("structures", campaign="other"),
    first("structures", round={"$numberLong": str(2**63 - 1)}),
    first("structures", round=2**70),
    first("structures", note="\ud800"),
    first("structures", note="a\0b"),
    first("structures", note="x" * 9_000_000),
    first("phonons", structure={"@module": "this"}),
    first("phonons", phonopy="not base64"),
    first("phonons", phonopy=base64.b64encode(b"not zlib").decode()),
    first("phonons", phonopy=_packed(b"a: !!python/object/apply:os.system [ls]")),
    first("phonons", phonopy=_packed(b"0" * (257 * 2**20))),
    first("structures", seconds=1.0),
    first("structures", note={"$code": "while(1);"}),
    first("structures", lineage__origin={"$where": "1"}),
    first("structures", lineage__parents=["0" * 16]),
    first("entries", source="mp"),
    first("entries", _id="open:2"),
    first("entries", structure={"@module": "os", "@class": "system"}),
    first("entries", n_atoms=-1),
    first("rounds", campaign="other"),
    first("rounds", batch=["0" * 16]),
    first("rounds", number="one"),
    first("rounds", _id="x"),
    first("rounds", state="going"),
    first("hulls", entries__0__record_id="0" * 16),
    first("hulls", campaign="other"),
    first("phonons", campaign="other"),
    first("phonons", record_id="0" * 16),
    first("phonons", frequencies=[[1.0], [1.0, 2.0]]),
    first("phonons", modes=[{"q": [0, 0], "frequency": 1, "real": [], "imag": []}]),
    first("phonons", modes=[{"@module": "os", "@class": "system"}]),
    first("campaigns", spec__id="other"),
    first("campaigns", spec__elements=["Nb", "Xx"]),
    first("campaigns", spec__seed=1),
    first("campaigns", _id="other"),
    first("campaigns", spec_digest="0"),
    more("campaigns", {"_id": "other"}),
    more("structures", DEEP),
    more("structures", "[" * 100_000),
    more("structures", "not json"),
    more("structures", "[]"),
    more("structures", '{"_id": ' + "9" * 5000 + "}"),
    more("structures", '{"_id": {"$oid": "z"}}'),
    more("structures", '{"_id": {"$date": "never"}}'),
    more("structures", '{"_id": {"$binary": 1}}'),
    more("structures", '{"_id": {"$numberDecimal": "x"}}'),
    *(twice(name) for name in ("structures", "entries", "rounds", "hulls", "phonons", "campaigns")),
    *(without("structures", name) for name in ("_id", "campaign", "structure", "round", "lineage")),
    no_campaign, another_campaign, ring, own_parent,
]  # fmt: skip


@pytest.mark.parametrize("harm", HOSTILE, ids=lambda harm: harm.__name__)
def test_what_is_no_campaigns_data_is_refused_and_nothing_is_written(
    places: tuple[Path, Lines, Database], harm: Callable[[Lines], None]
) -> None:
    bundle, lines, other = places
    changed = copy.deepcopy(lines)
    harm(changed)
    write_lines(bundle, changed)
    modules = set(sys.modules)
    with pytest.raises(ConfigError) as refused:
        read_bundle(other, bundle)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000
    assert not any(contents(other).values()) and not (Settings().home / "checkpoints").exists()
    assert not {"antigravity", "this"} & (set(sys.modules) - modules)


FILES = [
    "checkpoints/t/round-1/surrogate.pkl",
    "checkpoints/other/round-1/surrogate/surrogate.json",
    "checkpoints/t/round-1/.hidden/x.json",
    "checkpoints/t/x.json",
    "checkpoints/t/round-1/a/b/c/d/e.json",
    "serve.token",
    "data/fireworks.jsonl",
    "data/structures.jsonl.gz",
    "data/data/structures.jsonl",
    "failed/t/x",
    "campaigns/T.yaml",
    "schema/x.py",
    "niobe.py",
    "checkpoints/t/round-1/sur rogate/x.json",
]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_no_bundle_has_is_refused(places: tuple[Path, Lines, Database], name: str) -> None:
    bundle, lines, other = places
    file = bundle / name
    made = not file.parent.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}")
    write_lines(bundle, lines) if "data/" not in name else sum_again(bundle)
    with pytest.raises(ConfigError, match=r"no file of a bundle|another campaign"):
        read_bundle(other, bundle)
    assert not any(contents(other).values())
    file.unlink()
    if made:
        file.parent.rmdir()


def test_another_name_makes_another_campaign_of_it(
    places: tuple[Path, Lines, Database], mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, lines, _ = places
    write_lines(bundle, lines)
    with elsewhere(mongo_uri, tmp_path / "home", monkeypatch) as there:
        read_bundle(there, bundle)
        assert read_bundle(there, bundle, "mine")["structures"] == 4
        assert set(read_bundle(there, bundle, "mine").values()) == {0}
        old = {record.fingerprint: record for record in there.records.find("t")}
        new = {record.fingerprint: record for record in there.records.find("mine")}
        assert len(old) == len(new) == 4 and not {r.id for r in new.values()} & {r.id for r in old.values()}
        renamed = {old[key].id: new[key].id for key in old}
        for key, record in new.items():
            assert record.id == record_id("mine", record.round, record.fingerprint)
            assert record.lineage.parents == [renamed[parent] for parent in old[key].lineage.parents]
            if record.failure is not None:
                assert record.failure.files == f"failed/mine/{record.id}/relax"
        assert {r.lineage.checkpoint for r in new.values()} == {None, "mine/round-1/gan"}
        batch = there.rounds.get("mine", 1).batch
        assert batch == [renamed[one] for one in there.rounds.get("t", 1).batch]
        assert there.rounds.get("mine", 1).batch_digest == batch_digest(batch)
        assert {e.record_id for e in there.hulls.find("mine")[0].entries} <= set(renamed.values())
        assert there.phonons.find_one(batch[0]) is not None
        campaign = there.campaigns.find_one("mine")
        assert campaign is not None and campaign.state == "stopped"
        assert (tmp_path / "home/checkpoints/mine/round-1/surrogate/surrogate.json").is_file()
        with pytest.raises(ConfigError, match="--as"):
            read_bundle(there, bundle, "../mine")
