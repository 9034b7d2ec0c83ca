"""The pages as a client sees them: what they say, what they refuse, and that nothing makes them fail."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
import schemathesis
from ase.io import read
from hypothesis import HealthCheck, given, settings
from pymatgen.core import Structure
from schemathesis.core.result import Ok

from niobe.launchers.pages.app import create_app
from niobe.launchers.pages.server.access import Access
from niobe.launchers.pages.views import lineage_nodes
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Lineage, Status, StructureRecord
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import EVIL, fill, served
from tests.loop.factory import SPEC, nbo, rutile

Records = dict[str, StructureRecord]
TOKEN = "a-token-of-the-tests"
pytestmark = [
    # spglib under pymatgen's CifWriter, and pydantic under optimade-python-tools, announce their own changes
    pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING to false"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_fields' attribute"),
    # what the validator asks on purpose
    pytest.mark.filterwarnings("ignore::optimade.warnings.OptimadeWarning"),
]
STEERING = Access(token=TOKEN, steering=True)
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def records(database: Database) -> Records:
    return fill(database)


@pytest.fixture
def steered(database: Database, mongo_uri: str, records: Records) -> Iterator[httpx.Client]:
    with served(database, mongo_uri, STEERING) as address, httpx.Client(base_url=address) as client:
        yield client


def test_every_page_answers_and_escapes_what_it_shows(pages: httpx.Client, read_records: Records) -> None:
    paths = [
        "/",
        "/campaigns/t",
        "/campaigns/t/rounds",
        "/campaigns/t/hull",
        "/campaigns/t/table",
        "/workers",
    ]
    paths += [f"/structures/{record.id}" for record in read_records.values()]
    for path in paths:
        answer = pages.get(path)
        assert answer.status_code == 200, path
        assert EVIL not in answer.text
        assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "&lt;script&gt;alert" in pages.get(f"/structures/{read_records['discovery'].id}").text
    assert pages.get("/campaigns/none").status_code == 404
    assert pages.get("/structures/0123456789abcdef").status_code == 404


def test_the_structure_page_goes_from_parent_to_verdict(pages: httpx.Client, read_records: Records) -> None:
    unstable = pages.get(f"/structures/{read_records['unstable'].id}").text
    assert "soft mode −3.00 THz" in unstable
    assert f'href="/structures/{read_records["waiting"].id}"' in unstable
    assert (
        f'href="/structures/{read_records["unstable"].id}"'
        in pages.get(f"/structures/{read_records['waiting'].id}").text
    )
    known = {record.id: record for record in read_records.values()}
    steps = [node["step"] for node in lineage_nodes(read_records["waiting"], known.__getitem__)]
    assert steps[:2] == ["parent", "generated"]


def test_what_dft_says_is_on_the_page_and_in_the_files(pages: httpx.Client, read_records: Records) -> None:
    found = read_records["discovery"].id
    page = " ".join(pages.get(f"/structures/{found}").text.split())
    assert "gpaw metastable, 0.030 eV/atom above its own hull" in page
    assert "stable, (1 of 1; DFT: metastable)" in page
    (row,) = (row for row in pages.get("/campaigns/t/table.json").json() if row["id"] == found)
    assert (row["dft_oracle"], row["dft_e_above_hull"], row["dft_phase"]) == ("GPAW 1", 0.03, "metastable")


def test_a_lineage_says_how_each_parent_led_to_its_child() -> None:
    one, other = (
        new_record(SPEC, 1, i, s, Lineage(generator="gan")) for i, s in enumerate((nbo(), rutile()))
    )
    slipped = new_record(
        SPEC, 2, 0, nbo(4.3), Lineage(generator="offspring", parents=[one.id], origin={"way": "slip"})
    )
    both = Lineage(generator="offspring", parents=[slipped.id, other.id], origin={"way": "heredity"})
    child = new_record(SPEC, 3, 0, rutile(), both)
    known = {record.id: record for record in (one, other, slipped)}
    nodes = [node for node in lineage_nodes(child, known.__getitem__) if node["step"] == "parent"]
    assert [(node["link"].split("/")[-1], node["detail"]) for node in nodes] == [
        (one.id, "a slab of it moved"),
        (slipped.id, "a slab of it handed down"),
        (other.id, "a slab of it handed down"),
    ]


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("/campaigns/t", "Pm-3m (221)"),
        ("/campaigns/t/table", "Pm-3m (221)"),
        ("/campaigns/t/table", "P4<sub>2</sub>/mnm (136)"),
        ("/structures/{discovery}", "Pm-3m (221)"),
        ("/structures/{unstable}", "P4<sub>2</sub>/mnm (136)"),
        ("/structures/{seed}", "Im-3m (229)"),
    ],
)
def test_space_groups_are_symbols_with_numbers(
    pages: httpx.Client, read_records: Records, page: str, shown: str
) -> None:
    """NbO, rutile NbO2 and bcc niobium, as the International Tables call their groups."""
    assert shown in pages.get(page.format(**{name: r.id for name, r in read_records.items()})).text


def test_a_notebook_opens_the_campaign(
    pages: httpx.Client, read_database: Database, monkeypatch: pytest.MonkeyPatch, mongo_uri: str
) -> None:
    """Its cells are run here, in the database that the pages show."""
    assert 'href="/campaigns/t/notebook"' in pages.get("/campaigns/t").text
    answer = pages.get("/campaigns/t/notebook")
    assert answer.headers["content-disposition"] == 'attachment; filename="t.ipynb"'
    notebook = nbformat.reads(answer.text, as_version=4)
    nbformat.validate(notebook)
    monkeypatch.setenv("NIOBE_MONGO_URI", mongo_uri)
    monkeypatch.setenv("NIOBE_DATABASE", read_database.mongo.name)
    known: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "cell", "exec"), known)
    assert known["campaign"].spec.id == "t"
    assert known["campaign"].structure(known["best"].index[0]).num_sites
    assert pages.get("/campaigns/none/notebook").status_code == 404


def test_downloads_are_read_by_other_programs(
    pages: httpx.Client, read_records: Records, tmp_path: Path
) -> None:
    base = f"/structures/{read_records['discovery'].id}/download"
    for kind in ("cif", "poscar"):
        found = Structure.from_str(pages.get(f"{base}/{kind}").text, fmt=kind)
        assert found.composition.reduced_formula == "NbO"
    (tmp_path / "a.extxyz").write_text(pages.get(f"{base}/extxyz").text)
    assert len(read(tmp_path / "a.extxyz")) == 6
    assert pages.get(f"{base}/json").json()[0]["id"] == read_records["discovery"].id


def test_the_table_filters_sorts_and_gives_the_same_as_files(
    pages: httpx.Client, read_records: Records
) -> None:
    rows = pages.get("/campaigns/t/table.json").json()
    energies = [row["e_above_hull"] for row in rows]
    assert len(rows) == 4
    assert energies == sorted(energies)
    asked = {"dynamics": "unstable", "sort": "frequency", "elements": "nb o", "round": "", "max_above": ""}
    assert [row["id"] for row in pages.get("/campaigns/t/table.json", params=asked).json()] == [
        read_records["unstable"].id
    ]
    expert = {"query": json.dumps({"n_atoms": {"$lte": 2}}), "sort": "round"}
    table = csv.DictReader(io.StringIO(pages.get("/campaigns/t/table.csv", params=expert).text))
    assert {row["formula"] for row in table} == {"Nb", "O2"}
    waiting = pages.get("/campaigns/t/table.json", params={"status": "screened", "sort": "round"}).json()
    assert [row["id"] for row in waiting] == [read_records["waiting"].id]


def test_a_refused_query_is_a_line_on_the_page(pages: httpx.Client) -> None:
    answer = pages.get("/campaigns/t/table", params={"query": '{"$where": "while(1){}"}'})
    assert answer.status_code == 200
    assert "&#39;$where&#39; is not allowed" in answer.text
    assert pages.get("/campaigns/t/table.csv", params={"query": "{"}).status_code == 400
    assert pages.get("/campaigns/t/table", params={"round": "-1"}).status_code == 422


def test_reading_changes_nothing(pages: httpx.Client, read_database: Database, read_records: Records) -> None:
    before = [record.model_dump(mode="json") for record in read_database.records.find("t")]
    waiting = read_records["waiting"].id
    assert pages.post(f"/structures/{waiting}/steer", data={"action": "veto"}).status_code == 403
    assert pages.post("/campaigns/t/stop").status_code == 403
    assert [record.model_dump(mode="json") for record in read_database.records.find("t")] == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
    ],
)
def test_other_sites_cannot_read(pages: httpx.Client, headers: dict[str, str], status: int) -> None:
    for path in ("/campaigns/t", "/optimade/v1/structures"):
        assert pages.get(path, headers=headers).status_code == status


def test_steering_needs_the_token_and_a_page_of_this_site(
    steered: httpx.Client, database: Database, records: Records
) -> None:
    path = f"/structures/{records['waiting'].id}/steer"
    pin = {"action": "pin", "note": "looks right"}
    assert steered.post(path, data=pin).status_code == 401
    assert steered.post(path, data=pin, headers={"authorization": "Bearer wrong"}).status_code == 401
    evil = {"origin": "https://evil.example"} | BEARER
    assert steered.post(path, data=pin, headers=evil).status_code == 403
    assert not database.records.get(records["waiting"].id).pinned
    assert steered.post("/login", data={"token": "wrong"}).status_code == 401
    answer = steered.post("/login", data={"token": TOKEN})
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert steered.post(path, data=pin).status_code == 303
    pinned = database.records.get(records["waiting"].id)
    assert (pinned.pinned, pinned.note) == (True, "looks right")
    assert steered.post(path, data={"action": "veto"}).status_code == 303
    assert database.records.get(records["waiting"].id).status is Status.VETOED
    assert steered.post(path, data={"action": "pin"}).status_code == 409
    assert steered.post("/campaigns/t/stop").status_code == 303
    stopped = database.campaigns.find_one("t")
    assert stopped is not None
    assert stopped.stop


def test_another_address_than_loopback_needs_the_token_to_read(
    database: Database, mongo_uri: str, records: Records
) -> None:
    guarded = Access(token=TOKEN, guarded=True)
    with served(database, mongo_uri, guarded) as address, httpx.Client(base_url=address) as client:
        for path in ("/", "/campaigns/t/table.csv", "/optimade/v1/structures"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers=BEARER).status_code == 200
        assert client.get("/static/niobe.css").status_code == 200


def test_no_file_outside_the_oracles_folder_is_served(
    steered: httpx.Client, database: Database, records: Records, tmp_path: Path
) -> None:
    home, record = tmp_path / "home", records["discovery"]
    kept = home / "failed" / "t" / record.id
    (kept / "relax").mkdir(parents=True)
    (kept / "OUTCAR").write_text("forces")
    (kept / "relax" / "OSZICAR").write_text("steps")
    (kept / "linked").symlink_to(home / "secret")
    for folder in (home, home / "failed", home / "failed/t", tmp_path):
        (folder / "secret").write_text("secret")
    validation = database.records.get(record.id).validation
    assert validation is not None
    base = f"/structures/{record.id}/files"
    database.records.update(
        record.id, validation=validation.model_copy(update={"files": f"failed/t/{record.id}"})
    )
    assert steered.get(f"{base}/OUTCAR").text == "forces"
    assert steered.get(f"{base}/relax/OSZICAR").text == "steps"
    assert steered.get(f"{base}/..%2Fsecret").status_code == 404
    assert steered.get(f"{base}/relax/..%2F..%2Fsecret").status_code == 404
    assert steered.get(f"{base}/linked").status_code == 404
    for files in (
        ".",
        "..",
        "../..",
        "failed",
        "failed/t",
        f"failed/t/{record.id}/..",
        str(home),
        "/",
        "a\0b",
    ):
        database.records.update(record.id, validation=validation.model_copy(update={"files": files}))
        answer = steered.get(f"{base}/secret")
        assert (answer.status_code, "secret" in steered.get(f"/structures/{record.id}").text) == (404, False)


def test_a_record_that_cannot_be_read_is_left_out_of_a_page_that_says_so(
    steered: httpx.Client, database: Database, records: Records
) -> None:
    served_before = steered.get("/optimade/v1/structures", headers=BEARER).json()["data"]
    broken, *whole = [one["id"] for one in served_before]
    assert whole
    database.mongo["structures"].update_one({"_id": broken}, {"$set": {"n_atoms": "many"}})
    for _ in range(2):  # a library would say a warning once
        answer = steered.get("/optimade/v1/structures", headers=BEARER)
        assert answer.status_code == 200
        assert [one["id"] for one in answer.json()["data"]] == whole
        (said,) = answer.json()["meta"]["warnings"]
        assert said["type"] == "warning" and broken in said["detail"] and "n_atoms" in said["detail"]
    page = steered.get("/optimade/v1/structures", params={"page_limit": 1}, headers=BEARER).json()
    assert page["data"] == [] and page["links"]["next"] and page["meta"]["data_returned"] == 1 + len(whole)
    assert steered.get(f"/optimade/v1/structures/{broken}", headers=BEARER).status_code == 409
    assert "warnings" not in steered.get(f"/optimade/v1/structures/{whole[0]}", headers=BEARER).json()["meta"]
    database.mongo["structures"].update_many({}, {"$set": {"n_atoms": "many"}})
    assert steered.get("/optimade/v1/structures", headers=BEARER).json()["data"] == []


def test_optimade_answers_by_niobes_own_fields(pages: httpx.Client, read_records: Records) -> None:
    asked = {"filter": 'elements HAS ALL "Nb","O" AND _niobe_verdict="stable" AND _niobe_e_above_hull<0.01'}
    found = pages.get("/optimade/v1/structures", params=asked).json()
    assert [entry["id"] for entry in found["data"]] == [read_records["discovery"].id]
    attributes = found["data"][0]["attributes"]
    assert attributes["_niobe_campaign"] == "t"
    assert attributes["_niobe_lowest_phonon_frequency"] == 1.0
    assert attributes["nsites"] == 6
    documented = pages.get("/optimade/v1/info/structures").json()["data"]["properties"]
    assert documented["_niobe_e_above_hull"]["description"]


@pytest.mark.parametrize(
    ("filter", "formulas"),
    [
        ("elements LENGTH 1", {"Nb", "O2"}),
        ("elements LENGTH > 1", {"NbO", "NbO2"}),
        ("species_at_sites LENGTH 2", {"Nb", "O2"}),
        ('species_at_sites HAS "O" AND species_at_sites LENGTH 6', {"NbO", "NbO2"}),
        ('species_at_sites HAS ONLY "Nb"', {"Nb"}),
        ('NOT species_at_sites HAS "O"', {"Nb"}),
    ],
)
def test_optimade_tells_elements_from_the_species_at_sites(
    pages: httpx.Client, read_records: Records, filter: str, formulas: set[str]
) -> None:
    found = pages.get("/optimade/v1/structures", params={"filter": filter}).json()["data"]
    assert {entry["attributes"]["chemical_formula_descriptive"] for entry in found} == formulas


@pytest.mark.parametrize("place", range(4))
def test_the_optimade_validator_has_nothing_to_say(
    pages: httpx.Client, read_records: Records, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """It builds its filters from one entry that it draws at random: here each of them in turn."""
    from optimade.validator import ImplementationValidator

    random.seed(place)
    monkeypatch.setattr("random.randint", lambda low, high: place)
    validator = ImplementationValidator(
        base_url=f"{str(pages.base_url).rstrip('/')}/optimade/v1",
        run_optional_tests=False,
        verbosity=-1,
        read_timeout=60,
    )
    validator.validate_implementation()
    assert validator.valid, (validator.results.failure_messages, validator.results.internal_failure_messages)


def test_nothing_a_client_sends_makes_a_route_fail(
    database: Database, mongo_uri: str, records: Records
) -> None:
    access = Access(hosts=("testserver", "localhost"), token=TOKEN, steering=True)
    app = create_app(database, access, mongo_uri)
    database.campaigns.update("t", state="finished")
    known = {"campaign": "t", "record": records["discovery"].id}
    seen = 0
    for found in schemathesis.openapi.from_asgi("/openapi.json", app, headers=BEARER).get_all_operations():
        seen += 1
        assert isinstance(found, Ok)
        _fuzz(found.ok(), known)
    assert seen >= 15


def _fuzz(operation: Any, known: dict[str, str]) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=8,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        case.path_parameters = {key: known.get(key, value) for key, value in case.path_parameters.items()}
        assert case.call(headers=BEARER).status_code < 500

    check()
