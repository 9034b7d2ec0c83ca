"""Commands whose server is killed midway: the same again ends as it would have, undisturbed."""

from __future__ import annotations

import contextlib
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from niobe.config.errors import ConfigError
from niobe.launchers.embedded import ensure_server, stop_server
from niobe.launchers.embedded.transfer import content, dump, migrate
from niobe.launchers.output.bundles import write_bundle
from niobe.launchers.output.restoring import read_bundle
from niobe.launchers.upkeep.forgetting import forget, plan
from niobe.loop.store.collections.checkpoints import digests_of
from niobe.loop.store.database import Database
from tests.launchers.embedded.tools import connect, kill, start_quickly
from tests.launchers.output.test_foreign_bundles import full

NAME = "commands"
_OLD, _NEW = (bytes([letter]) * 600_000 for letter in b"on")


class Place:
    """A home with a server of its own, a bundle of a campaign, a checkpoint, and a second server to fill."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.bundle, self.dumped = folder / "bundle", folder / "dumped"
        self.server, self.target = self.home / "db", folder / "target" / "db"

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """The campaign database; its server is started where it was killed."""
        database = Database.connect(ensure_server(self.server), NAME)
        try:
            yield database
        finally:
            database.close()

    def model(self, content: bytes) -> Path:
        """A folder with a checkpoint of that content."""
        folder = self.folder / f"model-{content[:1].decode()}"
        folder.mkdir(exist_ok=True)
        (folder / "weights").write_bytes(content)
        return folder

    @property
    def servers(self) -> list[Path]:
        """Folders of the servers that there are."""
        return [self.server, *([self.target] if self.target.exists() else [])]


def _make(folder: Path, name: str, patch: pytest.MonkeyPatch) -> Place:
    """The state that the command of a name begins with, its servers stopped."""
    place = Place(folder)
    patch.setenv("NIOBE_HOME", str(place.home))
    with place.database() as database:
        full(database)
        write_bundle(database, "t", place.bundle)
        database.checkpoints.store("kept", 1, "gan", place.model(_OLD))
        database.mongo["other"].insert_many([{"_id": i, "pad": "x" * 500} for i in range(2000)])
        if name == "import":
            forget(database, plan(database, "t"))
    if name == "db migrate":
        ensure_server(place.target)
    for server in place.servers:
        stop_server(server)
    return place


def _import(place: Place) -> None:
    with place.database() as database:
        read_bundle(database, place.bundle)


def _forget(place: Place) -> None:
    with place.database() as database:
        try:
            planned = plan(database, "t")
        except ConfigError as error:  # it was over when the server died
            if "no campaign" not in str(error):
                raise
            return
        forget(database, planned)


def _dump(place: Place) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(place.dumped)
    dump(ensure_server(place.server), place.dumped)


def _migrate(place: Place) -> None:
    migrate(ensure_server(place.server), ensure_server(place.target))


def _checkpoint(place: Place) -> None:
    with place.database() as database:
        database.checkpoints.store("kept", 1, "gan", place.model(_NEW))


COMMANDS: dict[str, Callable[[Place], None]] = {
    "import": _import,
    "forget": _forget,
    "db dump": _dump,
    "db migrate": _migrate,
    "keeping a checkpoint": _checkpoint,
}


def outcome(place: Place) -> Any:
    """All that is there: documents, checkpoints as files, the dump, the second server."""
    with place.database() as database:
        every = database.mongo.list_collection_names()
        names = [name for name in every if name != "holders" and not name.startswith("checkpoint")]
        found = {name: list(database.mongo[name].find({}, sort=[("_id", 1)])) for name in names}
        checkpoints = {}
        for campaign in ("t", "kept"):
            for number, model in database.checkpoints.names(campaign):
                written = place.folder / "written"
                shutil.rmtree(written, ignore_errors=True)
                written.mkdir()
                database.checkpoints.write(campaign, number, model, written)
                checkpoints[campaign, number, model] = digests_of(written)
    copied = {}
    for server in place.servers[1:]:
        with connect(ensure_server(server)) as client:
            collections = [client[NAME][name] for name in sorted(client[NAME].list_collection_names())]
            copied = {one.full_name: content(_raw(one)) for one in collections}
    files = digests_of(place.dumped) if place.dumped.exists() else {}
    sizes = {name: (place.dumped / name).stat().st_size for name in files}
    return {name: one for name, one in found.items() if one}, checkpoints, copied, sizes


def _raw(collection: Any) -> Any:
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    return collection.with_options(CodecOptions(document_class=RawBSONDocument))


def kill_in_commands(folder: Path, name: str, kills: int, chance: random.Random) -> Counter[str]:
    """Kill the server midway, start it again, ask the same again: cut short, over before, lost.

    folder: of the trials. name: of ``COMMANDS``. kills: how many. chance: when.
    """
    ends: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch:
        made = _make(folder / "made", name, patch)
        wanted, seconds = _undisturbed(made, name)
        for _ in range(kills):
            ends += _trial(made, name, wanted, chance.uniform(0.0, seconds))
        for server in made.servers:
            kill(server)
    return ends


def _undisturbed(place: Place, name: str) -> tuple[Any, float]:
    """How it ends, and how long it takes, s."""
    kept = place.folder.with_name("kept")
    shutil.copytree(place.folder, kept, ignore=_no_sockets)
    for server in place.servers:
        start_quickly(server)
    began = time.monotonic()
    COMMANDS[name](place)
    return outcome(place), time.monotonic() - began


def _trial(place: Place, name: str, wanted: Any, after: float) -> Counter[str]:
    for server in place.servers:
        kill(server)
    shutil.rmtree(place.folder)
    shutil.copytree(place.folder.with_name("kept"), place.folder)
    for server in place.servers:
        start_quickly(server)
    killer = threading.Timer(after, lambda: _kill_and_start(place.servers[-1]))
    killer.start()
    cut = False
    try:
        COMMANDS[name](place)
    except (PyMongoError, ConfigError):
        cut = True
    killer.join()
    COMMANDS[name](place)
    lost = outcome(place) != wanted
    return Counter(cut=int(cut), over=int(not cut), lost=int(lost))


def _kill_and_start(server: Path) -> None:
    kill(server)
    start_quickly(server)


def _no_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]
