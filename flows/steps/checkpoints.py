"""Checkpoints of a round's models: kept in the database, and in ``NIOBE_HOME`` while they are the same."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niobe.config.home import checkpoint
from niobe.config.spec import CampaignSpec
from niobe.config.version import origin
from niobe.flows.steps.known import with_crystals
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import candidate_structure
from niobe.loop.store.collections.checkpoints import digests_of
from niobe.loop.store.database import Database
from niobe.loop.store.kept.shapes import crystal_name
from niobe.surrogates.protocols import FloatArray, Surrogate

if TYPE_CHECKING:
    from pymatgen.core import Structure

_MANY, _WORTH_TRAINING = 500, 0.1
Save = Callable[[Path], object]


def keep_checkpoint(
    database: Database,
    campaign: str,
    number: int,
    model: str,
    save: Save,
    learned_from: Iterable[str] | None = None,
) -> None:
    """Write a round's checkpoint into the database, where workers of all hosts find it, and into the home.

    database: the campaign database. campaign: its id. number: of the round. model: ``surrogate`` or ``gan``.
    save, learned_from: as ``write_checkpoint`` takes them.
    """
    store = partial(database.checkpoints.store, campaign, number, model)
    write_checkpoint(checkpoint(campaign, number, model), save, learned_from, store, number)


def fetched_checkpoint(database: Database, campaign: str, number: int, model: str) -> Path:
    """The folder of a round's checkpoint, brought here first where the database has another.

    What an older Niobe wrote lies in the home alone; no folder is there where nothing was ever written.

    database: the campaign database. campaign: its id. number: of the round. model: ``surrogate`` or ``gan``.
    """
    from filelock import FileLock

    folder = checkpoint(campaign, number, model)
    stored = database.checkpoints.digests(campaign, number, model)
    if stored is None or stored == digests_of(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{model}.lock"):
        if stored != digests_of(folder):
            write_checkpoint(folder, partial(database.checkpoints.write, campaign, number, model))
    return folder


def newest_checkpoint(database: Database, campaign: str, number: int, model: str) -> Path:
    """The folder of a round's checkpoint, or of the last one before that has one.

    database: the campaign database. campaign: its id. number: of the round. model: ``surrogate`` or ``gan``.
    """
    return fetched_checkpoint(database, campaign, newest_number(database, campaign, number, model), model)


def newest_number(database: Database, campaign: str, number: int, model: str) -> int:
    """The round of the newest checkpoint that a round has; its own where there is none.

    database: the campaign database. campaign: its id. number: of the round. model: ``surrogate`` or ``gan``.
    """
    trained = [at for at, kind in database.checkpoints.names(campaign) if kind == model and at <= number]
    return max(trained, default=number)


def kept_features(
    database: Database, spec: CampaignSpec, number: int, model: Surrogate, records: Sequence[StructureRecord]
) -> FloatArray:
    """What a surrogate measures distance in, of all candidates that wait: shape (n, d). Computed once a
    candidate and checkpoint, but each time where only the home has that; crystals are read of what has to be.

    database: the campaign database. spec: the campaign. number: of the round. model: its surrogate. records:
    with or without their crystals.
    """
    rows = database.features.find(_names_of_rows(database, spec, number, records))
    lacking = with_crystals(database, spec, [record for record in records if record.id not in rows])
    if lacking:
        structures = [candidate_structure(record) for record in lacking]
        rows |= keep_features(database, spec, number, model, lacking, structures)
    database.features.drop_others(spec.id, [record.id for record in records])
    return np.array([rows[record.id] for record in records])


def keep_features(
    database: Database,
    spec: CampaignSpec,
    number: int,
    model: Surrogate,
    records: Sequence[StructureRecord],
    structures: Sequence[Structure],
) -> dict[str, FloatArray]:
    """The rows (d,) of candidates by id, kept for ``kept_features`` where the database has the checkpoint.

    database: the campaign database. spec: the campaign. number: of the round. model: its surrogate. records:
    the candidates. structures: theirs.
    """
    rows = {record.id: row for record, row in zip(records, model.features(structures), strict=True)}
    names = _names_of_rows(database, spec, number, records)
    if names:
        database.features.keep(spec.id, names, rows)
    return rows


def _names_of_rows(
    database: Database, spec: CampaignSpec, number: int, records: Sequence[StructureRecord]
) -> dict[str, str]:
    """By what rows are kept, by record: crystal and checkpoint; nothing where only the home has that."""
    taught = newest_number(database, spec.id, number, "surrogate")
    files = database.checkpoints.digests(spec.id, taught, "surrogate") or {}
    told = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return {record.id: f"{crystal_name(record)} {told}" for record in records} if files else {}


def has_learned_most(database: Database, campaign: str, number: int, model: str) -> bool:
    """Whether a model learned from more than 500 records before a round, and less than a tenth as many
    were asked about since: what training costs a validation is the same then, however many there are.

    database: the campaign database. campaign: its id. number: of the round. model: its name.
    """
    file = newest_checkpoint(database, campaign, number - 1, model) / "origin.json"
    origin = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if "round" not in origin:
        return False
    learned, rounds = origin["data"]["count"], database.rounds.find(campaign)
    since = sum(len(record.batch) for record in rounds if origin["round"] <= record.number < number)
    return bool(learned > _MANY and since < _WORTH_TRAINING * learned)


def pass_on(database: Database, campaign: str, number: int, model: str) -> None:
    """The checkpoint of the round before becomes this round's, as it is.

    database: the campaign database. campaign: its id. number: of the round. model: its name.
    """
    before = fetched_checkpoint(database, campaign, number - 1, model)
    copy = partial(shutil.copytree, before, dirs_exist_ok=True)
    keep_checkpoint(database, campaign, number, model, copy)


def write_checkpoint(
    folder: Path,
    save: Save,
    learned_from: Iterable[str] | None = None,
    store: Callable[[Path], None] | None = None,
    number: int | None = None,
) -> None:
    """Write a checkpoint beside its place and move it there whole, over what is there.

    folder: the checkpoint. save: writes it into an empty folder. learned_from: ids of records and entries and
    digests of files; with the version of the code they are kept in ``origin.json``. None where ``save``
    writes one. store: called with what was written before it is moved, unless None. number: of the round
    that trained it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        save(scratch)
        if learned_from is not None:
            trained = {} if number is None else {"round": number}
            text = json.dumps(origin(learned_from) | trained, indent=1)
            (scratch / "origin.json").write_text(text, encoding="utf-8")
        if store is not None:
            store(scratch)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
