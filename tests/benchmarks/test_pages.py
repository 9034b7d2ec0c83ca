"""How long a reader waits: the first byte of pages over 100,000 records."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from niobe.config.spec import CampaignSpec
from niobe.launchers.embedded import ensure_server, stop_server
from niobe.loop.store.database import Database
from tests.benchmarks.publish import publish
from tests.launchers.pages.serving import served
from tests.loop.factory import SPEC, rutile, validated

RECORDS, BATCH, ROUNDS, ASKED, BAR = 100_000, 2_000, 100, 9, 0.200
STATUSES = ("screened", "duplicate", "invalid", "screened", "screened", "duplicate", "screened", "failed")
PAGES = {
    "campaign": "/campaigns/t",
    "table, lowest above hull": "/campaigns/t/table",
    "table, highest formation energy, page 300": (
        "/campaigns/t/table?sort=formation_energy&order=down&page=300"
    ),
    "table, newest round first": "/campaigns/t/table?sort=round&order=down",
    "table, one round by formula": "/campaigns/t/table?round=50&sort=formula",
    "table, discoveries": "/campaigns/t/table?discovery=true",
    "table, stable below 0.05 eV/atom by frequency": (
        "/campaigns/t/table?dynamics=stable&max_above=0.05&sort=frequency"
    ),
    "table, an expert's query": '/campaigns/t/table?query={"n_atoms":{"$lte":8},"round":{"$gte":90}}',
}


def documents() -> Iterator[dict[str, Any]]:
    """Records as a long campaign leaves them: a fifth validated, one in a thousand a discovery."""
    from niobe.loop.store.mapping import body, derived

    rng = random.Random(0)
    record = validated(rutile(), -9.0)
    for number in range(RECORDS):
        stored = body(record) | derived(record) | {"_id": f"{number:016x}", "index": number % 1000}
        stored |= {"round": number // (RECORDS // ROUNDS) + 1, "acquired_round": None}
        yield stored | (_validated(stored, number, rng) if number % 10 >= 8 else _candidate(number))


def _candidate(number: int) -> dict[str, Any]:
    return {"status": STATUSES[number % 10], "validation": None}


def _validated(body: dict[str, Any], number: int, rng: random.Random) -> dict[str, Any]:
    found = number % 1000 == 8
    phonon = body["validation"]["phonon"] | {"lowest_frequency": rng.uniform(-5, 5)}
    verdict = {
        "formation_energy_per_atom": -rng.random(),
        "e_above_hull_found": rng.random(),
        "e_above_hull_now": rng.random(),
        "hull_round": ROUNDS,
        "duplicate_of": None,
        "discovery": found,
        "discovery_round": body["round"] if found else None,
        "displaced_round": None,
    }
    setting = "control" if number % 20 == 9 else "acquired"
    return {
        "verdict": verdict,
        "validation": body["validation"] | {"phonon": phonon},
        "acquired_round": body["round"],
        "choice": {"function": "qlogei", "setting": setting, "rank": 0, "score": 0.0},
    }


def fill(database: Database, spec: CampaignSpec) -> None:
    database.campaigns.create(spec)
    batch: list[dict[str, Any]] = []
    for document in documents():
        batch.append(document)
        if len(batch) == BATCH:
            database.mongo["structures"].insert_many(batch)
            batch = []
    for number in range(ROUNDS + 1):
        database.rounds.open(spec.id, number)
        ids = [f"{(number - 1) * 1000 + place:016x}" for place in range(8, 1000, 10)] if number else []
        state = "closed" if number < ROUNDS else "open"
        database.rounds.update(spec.id, number, state=state, batch=ids)


def first_bytes(client: httpx.Client, path: str) -> list[float]:
    """Seconds until the first byte of a page, asked for again and again."""
    waits = []
    for _ in range(ASKED):
        start = time.perf_counter()
        with client.stream("GET", path) as answer:
            waits.append(time.perf_counter() - start)
            assert answer.status_code == 200
            assert b"takes longer" not in answer.read()
    return waits


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_first_byte_of_pages_over_100_000_records(tmp_path: Path) -> None:
    begun = time.perf_counter()
    uri = ensure_server(tmp_path / "db")
    database = Database.connect(uri, "niobe")
    fill(database, SPEC)
    filled = time.perf_counter() - begun
    rows = []
    with served(database, uri) as address, httpx.Client(base_url=address, timeout=60) as client:
        client.get("/campaigns/t")
        for name, path in PAGES.items():
            waits = first_bytes(client, path)
            rows.append(
                {
                    "page": name,
                    "bar": "first byte < 200 ms",
                    "median": f"{1000 * np.median(waits):.0f} ms",
                    "90th percentile": f"{1000 * np.quantile(waits, 0.9):.0f} ms",
                    "met": "yes" if np.median(waits) < BAR else "no",
                }
            )
    database.close()
    stop_server(tmp_path / "db")
    publish(
        "pages",
        page="database",
        headline="{0[page]}: first byte after {0[median]} ({0[bar]})",
        title="Pages over 100,000 records",
        command="python -m pytest -m benchmark tests/benchmarks/test_pages.py",
        rows=rows,
        seconds=time.perf_counter() - begun,
        seeds=[0],
        order=70,
        notes=[
            f"Embedded database, {RECORDS:,} records of {ROUNDS} rounds in one campaign, a fifth of them "
            f"validated; each page asked for {ASKED} times. Filling it took {filled:.0f} s.",
        ],
    )
    assert len(rows) == len(PAGES)
