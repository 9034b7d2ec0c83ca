"""The loop closed: what Niobe serves by OPTIMADE, another Niobe ingests."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from niobe.config.spec import Source
from niobe.loop.crystals.similarity import matcher
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import entry_structure, relaxed_structure
from niobe.loop.sources.ingest import ingest
from niobe.loop.sources.reading import ReadOptions
from niobe.loop.store.database import Database

pytestmark = [
    pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING to false"),  # spglib
    pytest.mark.filterwarnings("ignore:Accessing the 'model_fields' attribute"),  # optimade on pydantic 2.11+
    pytest.mark.filterwarnings("ignore::optimade.warnings.OptimadeWarning"),
]


def test_what_is_served_is_ingested_whole_and_once(
    pages: httpx.Client,
    read_database: Database,
    read_records: dict[str, StructureRecord],
    database: Database,
    tmp_path: Path,
) -> None:
    source = Source(name="friend", kind="niobe", at=f"{pages.base_url}/optimade", licence="CC BY 4.0")
    first = ingest(database, source, ("Nb", "O"), ReadOptions(tmp_path / "cache"))
    again = ingest(database, source, ("Nb", "O"), ReadOptions(tmp_path / "cache", refresh=True))
    served = {record.id: record for record in read_database.records.find("t", status="validated")}
    assert read_records["discovery"].id in served
    assert (first.new, first.partial, first.broken) == (len(served), "", [])
    assert (again.new, again.changed, again.unchanged) == (0, 0, len(served))
    for entry in database.entries.find(sources=["friend"]):
        record = served[entry.source_id]
        assert matcher().fit(entry_structure(entry), relaxed_structure(record))
        assert entry.formula_reduced == record.formula_reduced
        above = entry.label("e_above_hull")
        assert above is not None and record.verdict is not None
        assert above.value == pytest.approx(record.verdict.e_above_hull_now)
        assert record.validation is not None
        assert above.fingerprint == f"niobe {record.validation.oracle}"
