"""A campaign as one citable folder: data, campaign file, checkpoints, licences, checksums."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from niobe.config.errors import ConfigError
from niobe.config.home import checkpoints
from niobe.config.spec import SCHEMA_VERSION, CampaignSpec
from niobe.config.version import code_version, file_digest
from niobe.flows.steps.checkpoints import fetched_checkpoint
from niobe.launchers.terminal import shown
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.store.database import Database
from niobe.loop.store.foreign import COLLECTIONS
from niobe.loop.store.schema import DOCUMENTS, json_schema

Document = dict[str, Any]
SUMS = "SHA256SUMS"
NOT_SUMMED = {SUMS, "CITATION.cff"}
_CLOSED = "not to be passed on"


def write_bundle(database: Database, campaign: str, folder: Path) -> Path:
    """Everything of a campaign into a new folder. Raises ConfigError where it is there, or no such campaign.

    Entries whose licence says they are not to be passed on are left out and named in LICENCES.md.

    database: the campaign database.
    """
    record = database.campaigns.find_one(campaign)
    if record is None:
        raise ConfigError(f"campaign {campaign!r} is not in the database")
    if folder.exists():
        raise ConfigError(f"{folder}: is there already; a bundle is written to a new folder")
    spec = CampaignSpec.model_validate(record.spec)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".niobe-") as scratch:
        whole = Path(scratch) / folder.name
        whole.mkdir()
        _write_content(database, spec, whole)
        whole.rename(folder)
    return folder


def _write_content(database: Database, spec: CampaignSpec, folder: Path) -> None:
    entries = database.entries.find(sources=[source.name for source in spec.sources])
    open_entries = [entry for entry in entries if _CLOSED not in entry.licence]
    counts = _write_data(database, spec.id, [entry.id for entry in open_entries], folder / "data")
    _write_text(folder / "campaigns" / f"{spec.id}.yaml", _yaml(spec.model_dump(mode="json")))
    for collection in DOCUMENTS:
        _write_text(folder / "schema" / f"{collection}.json", json.dumps(json_schema(collection), indent=1))
    for number, model in database.checkpoints.names(spec.id):
        fetched_checkpoint(database, spec.id, number, model)
    trained = checkpoints(spec.id)
    if trained.is_dir():
        unfinished = shutil.ignore_patterns(".*")
        shutil.copytree(trained, folder / "checkpoints" / spec.id, ignore=unfinished)
    _write_text(folder / "LICENCES.md", _licences(entries))
    _write_text(folder / "CITATION.cff", _yaml(_citation(spec)))
    manifest = {
        "bundle": 1,
        "schema_version": SCHEMA_VERSION,
        "code": code_version(),
        "campaign": spec.id,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "documents": counts,
    }
    _write_text(folder / "bundle.json", json.dumps(manifest, indent=1))
    sums = "".join(f"{file_digest(file)}  {file.relative_to(folder)}\n" for file in _summed(folder))
    _write_text(folder / SUMS, sums)


def _write_data(database: Database, campaign: str, entries: Sequence[str], folder: Path) -> dict[str, int]:
    """A file of extended JSON lines a collection; how many documents each holds."""
    from bson import json_util

    folder.mkdir()
    counts: dict[str, int] = {}
    for collection, documents in database.documents.dump(COLLECTIONS, campaign, entries):
        with (folder / f"{collection}.jsonl").open("w", encoding="utf-8") as output:
            for document in documents:
                line = json_util.dumps(document, json_options=json_util.CANONICAL_JSON_OPTIONS)
                output.write(line + "\n")
                counts[collection] = counts.get(collection, 0) + 1
    return counts


def _licences(entries: Sequence[SourceEntry]) -> str:
    by_origin: dict[tuple[str, str, str], list[SourceEntry]] = defaultdict(list)
    for entry in entries:
        by_origin[entry.source, entry.url, entry.licence].append(entry)
    lines = ["# Licences", "", "The campaign's own records: as whoever publishes this bundle states.", ""]
    for (source, url, licence), found in sorted(by_origin.items()):
        days = sorted({entry.retrieved for entry in found})
        kept = "left out of this bundle" if _CLOSED in licence else "included"
        words = f"- **{source}** ({url}): {licence}. {len(found)} entries, {kept}, read {days[0]}."
        lines.append(shown(" ".join(words.split())))
    return "\n".join(lines) + "\n"


def _citation(spec: CampaignSpec) -> Document:
    return {
        "cff-version": "1.2.0",
        "message": "If you use these data, please cite them.",
        "type": "dataset",
        "title": f"{spec.chemsys}: structures found by the Niobe campaign {spec.id}",
        "authors": [{"name": f"Niobe campaign {spec.id}"}],
        "date-released": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _summed(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in NOT_SUMMED)


def _yaml(content: Document) -> str:
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False))


def _write_text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
