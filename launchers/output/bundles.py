"""A campaign as one citable folder: data, campaign file, checkpoints, licences, checksums; and back again."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from niobe.config.errors import ConfigError
from niobe.config.settings import Settings
from niobe.config.spec import SCHEMA_VERSION, CampaignSpec
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.store.database import Database
from niobe.loop.store.schema import DOCUMENTS, json_schema

Document = dict[str, Any]
SUMS = "SHA256SUMS"
_NOT_SUMMED = {SUMS, "CITATION.cff"}
_CLOSED = "not to be passed on"


def write_bundle(database: Database, campaign: str, folder: Path) -> Path:
    """Everything of a campaign into a new folder. Raises ConfigError where it is there, or no such campaign.

    Entries whose licence says they are not to be passed on are left out and named in LICENCES.md.
    """
    record = database.campaign(campaign)
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
    entries = database.entries(sources=[source.name for source in spec.sources])
    open_entries = [entry for entry in entries if _CLOSED not in entry.licence]
    counts = _write_data(database, spec.id, [entry.id for entry in open_entries], folder / "data")
    _write_text(folder / "campaigns" / f"{spec.id}.yaml", _yaml(spec.model_dump(mode="json")))
    for collection in DOCUMENTS:
        _write_text(folder / "schema" / f"{collection}.json", json.dumps(json_schema(collection), indent=1))
    checkpoints = Settings().home / "checkpoints" / spec.id
    if checkpoints.is_dir():
        shutil.copytree(checkpoints, folder / "checkpoints" / spec.id)
    _write_text(folder / "LICENCES.md", _licences(entries))
    _write_text(folder / "CITATION.cff", _yaml(_citation(spec)))
    manifest = {
        "bundle": 1,
        "schema_version": SCHEMA_VERSION,
        "campaign": spec.id,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "documents": counts,
    }
    _write_text(folder / "bundle.json", json.dumps(manifest, indent=1))
    sums = "".join(f"{_sum(file)}  {file.relative_to(folder)}\n" for file in _summed(folder))
    _write_text(folder / SUMS, sums)


def _write_data(database: Database, campaign: str, entries: Sequence[str], folder: Path) -> dict[str, int]:
    """A file of extended JSON lines a collection; how many documents each holds."""
    from bson import json_util

    folder.mkdir()
    counts: dict[str, int] = {}
    for collection, documents in database.dump(campaign, entries):
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
        lines.append(f"- **{source}** ({url}): {licence}. {len(found)} entries, {kept}, read {days[0]}.")
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


def read_bundle(database: Database, folder: Path) -> dict[str, int]:
    """Restore a bundle; how many documents of each collection are new. Again, it changes nothing.

    Raises ConfigError, before anything is written, where the checksums are wrong, a newer Niobe wrote it, or
    the database or checkpoints hold something else under the same names.
    """
    _check_sums(folder)
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    if manifest["schema_version"] > SCHEMA_VERSION:
        raise ConfigError(
            f"{folder}: schema version {manifest['schema_version']}; this Niobe reads {SCHEMA_VERSION}"
        )
    data = {file.stem: _documents(file) for file in sorted((folder / "data").glob("*.jsonl"))}
    new = {collection: database.missing(collection, found) for collection, found in data.items()}
    foreign = database.foreign_ids(manifest["campaign"], data)
    if foreign:
        raise ConfigError(f"campaign {manifest['campaign']!r} is there with other records ({foreign[0]})")
    pairs = list(_checkpoint_pairs(folder))
    for collection, documents in new.items():
        database.restore(collection, documents)
    for source, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    return {collection: len(documents) for collection, documents in new.items()}


def _checkpoint_pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Each checkpoint file and its place. Raises ConfigError where another file stands there."""
    for file in sorted(path for path in (folder / "checkpoints").rglob("*") if path.is_file()):
        target = Settings().home / file.relative_to(folder)
        if target.exists() and _sum(target) != _sum(file):
            raise ConfigError(f"{target}: another checkpoint stands there")
        yield file, target


def _documents(file: Path) -> list[Document]:
    from bson import json_util

    with file.open(encoding="utf-8") as lines:
        return [json_util.loads(line) for line in lines]


def _check_sums(folder: Path) -> None:
    if not (folder / SUMS).is_file():
        raise ConfigError(f"{folder}: no bundle: {SUMS} is missing")
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    wanted = {name: total for total, _, name in (line.partition("  ") for line in lines)}
    have = {str(file.relative_to(folder)): _sum(file) for file in _summed(folder)}
    wrong = sorted(name for name in wanted.keys() | have.keys() if wanted.get(name) != have.get(name))
    if wrong:
        raise ConfigError(f"{folder / wrong[0]}: missing, added or changed since the bundle was written")


def _summed(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    linked = [path for path in found if path.is_symlink()]
    if linked:
        raise ConfigError(f"{linked[0]}: is a link; a bundle holds files only")
    return sorted(path for path in found if path.name not in _NOT_SUMMED)


def _sum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _yaml(content: Document) -> str:
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False))


def _write_text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
