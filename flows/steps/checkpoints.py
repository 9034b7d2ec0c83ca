"""Checkpoints of a round's models: kept in the database, and in ``NIOBE_HOME`` while they are the same."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from niobe.config.home import checkpoint
from niobe.config.version import origin
from niobe.loop.store.collections.checkpoints import digests_of
from niobe.loop.store.database import Database

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
    write_checkpoint(checkpoint(campaign, number, model), save, learned_from, store)


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


def write_checkpoint(
    folder: Path,
    save: Save,
    learned_from: Iterable[str] | None = None,
    store: Callable[[Path], None] | None = None,
) -> None:
    """Write a checkpoint beside its place and move it there whole, over what is there.

    folder: the checkpoint. save: writes it into an empty folder. learned_from: ids of records and entries and
    digests of files; with the version of the code they are kept in ``origin.json``. None where ``save``
    writes one. store: called with what was written before it is moved, unless None.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        save(scratch)
        if learned_from is not None:
            text = json.dumps(origin(learned_from), indent=1)
            (scratch / "origin.json").write_text(text, encoding="utf-8")
        if store is not None:
            store(scratch)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
