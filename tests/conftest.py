"""A campaign database for tests: the embedded server, or the MongoDB that NIOBE_TEST_MONGO_URI names.

Numerical libraries get one thread: the suite already has a process for each core. Examples of hypothesis have
no deadline: a loaded machine is no failure. Space groups are worked out once: Fm-3m
takes pymatgen half a second. So is the parser of the command: a third of what most commands take.
"""

from __future__ import annotations

import functools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.testing
from hypothesis import settings
from pymatgen.symmetry.groups import SpaceGroup

from niobe.loop.store.database import Database

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ["NIOBE_OFFLINE"] = "1"  # no test asks an open database
SpaceGroup.from_int_number = functools.cache(SpaceGroup.from_int_number)  # type: ignore[method-assign]
typer.testing._get_command = functools.cache(typer.testing._get_command)
settings.register_profile("niobe", deadline=None)
settings.load_profile("niobe")


def _as_before() -> Iterator[None]:
    """A command run in this process names its server in the environment: not for the next."""
    before = {name: value for name, value in os.environ.items() if name.startswith("NIOBE_")}
    yield
    for name in [name for name in os.environ if name.startswith("NIOBE_")]:
        del os.environ[name]
    os.environ.update(before)


_settings_of_a_module = pytest.fixture(_as_before, scope="module", autouse=True)
_settings_of_a_test = pytest.fixture(_as_before, autouse=True)


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that lives as long as the test session."""
    real = os.environ.get("NIOBE_TEST_MONGO_URI")
    if real:
        yield real
        return
    from niobe.launchers.embedded import ensure_server, stop_server

    folder = tmp_path_factory.mktemp("mongo")
    yield ensure_server(folder)
    stop_server(folder)


@pytest.fixture
def database(mongo_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Database]:
    """An empty campaign database, named in the settings of this process and those it starts."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("NIOBE_MONGO_URI", mongo_uri)
    monkeypatch.setenv("NIOBE_DATABASE", name)
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NIOBE_WORKERS", "2")
    database = Database.connect(mongo_uri, name)
    yield database
    database.mongo.client.drop_database(name)
    database.close()
