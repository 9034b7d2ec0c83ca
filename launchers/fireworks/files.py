"""The configuration files of FireWorks and jobflow for this machine's settings."""

from __future__ import annotations

import os
import sys
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from niobe.config.home import resolved, rocket_folders
from niobe.config.settings import Settings
from niobe.launchers.services import ensure_database

NAMES = (
    "my_launchpad.yaml",
    "my_fworker.yaml",
    "my_qadapter.yaml",
    "FW_config.yaml",
    "jobflow.yaml",
    "niobe.env",
)


def write_files(folder: Path, *, overwrite: bool = False) -> dict[str, bool]:
    """Write the files into ``folder``; by name, whether each was written. Those that are there stay.

    Files hold the database URI, so that only their owner may read them.
    """
    folder = resolved(folder.expanduser())
    folder.mkdir(parents=True, exist_ok=True)
    values = _values(folder)
    written = {}
    for name in NAMES:
        target = folder / name
        written[name] = overwrite or not target.exists()
        if written[name]:
            _write(target, Template(_template(name)).substitute(values))
    return written


def write_own_settings(file: Path, folder: Path) -> None:
    """Niobe's FW_config.yaml at ``file``, which looks for the user's other files in ``folder``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, Template(_template(file.name)).substitute(folder=folder))


def use_settings() -> None:
    """Niobe's FireWorks settings (short pings), where the user has none of their own.

    To be called before fireworks is imported.
    """
    own = [Path.cwd() / "FW_config.yaml", Path("~/.fireworks/FW_config.yaml").expanduser()]
    found = next((file for file in own if file.exists()), None)
    if found is None and "FW_CONFIG_FILE" not in os.environ:
        found = rocket_folders() / "FW_config.yaml"
        write_own_settings(found, Path.cwd())
    if found is not None:
        os.environ["FW_CONFIG_FILE"] = str(found)


def existing(folder: Path) -> list[str]:
    """Which of the files are there already."""
    return [name for name in NAMES if (folder / name).exists()]


def _values(folder: Path) -> dict[str, Any]:
    uri, settings = ensure_database(), Settings()
    return {
        "uri": uri,
        "embedded": settings.embedded_uri,
        "database": settings.database,
        "folder": folder,
        "home": resolved(settings.home.expanduser()),
        "bin": Path(sys.executable).parent,
    }


def _template(name: str) -> str:
    return files("niobe.config").joinpath("templates", name).read_text(encoding="utf-8")


def _write(target: Path, content: str) -> None:
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    scratch.replace(target)
