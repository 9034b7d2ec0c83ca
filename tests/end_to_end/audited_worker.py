"""Rockets whose workers write down each oracle call and each stored outcome, in the order they happened.

``python -m tests.end_to_end.audited_worker rockets N`` is `niobe rockets N`; the log is NIOBE_HOME/audit.log.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from niobe.config.settings import Settings
from tests.end_to_end.changed_rockets import main


def write_down(what: str, record: str) -> None:
    """One line, whole or not at all, also where the process is killed right after."""
    log = os.open(Settings().home / "audit.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(log, f"{what} {record}\n".encode())
    os.close(log)


def asked_after_stored(log: Path) -> list[str]:
    """Records whose oracle was asked although their outcome was stored before."""
    stored: set[str] = set()
    again = []
    for line in log.read_text(encoding="utf-8").splitlines():
        what, record = line.split()
        if what == "stored":
            stored.add(record)
        elif record in stored:
            again.append(record)
    return again


def audit() -> None:
    """From here on this process writes down what it asks and stores."""
    from niobe.flows.steps import validate as validating
    from niobe.loop.store.collections.records import Records

    ask, store = validating.validate_structure, Records.finish_validation

    def asking(spec: Any, oracle: Any, structure: Any, folder: Path, references: Any = None) -> Any:
        write_down("asked", folder.name)
        return ask(spec, oracle, structure, folder, references)

    def storing(self: Records, record: str, **fields: Any) -> bool:
        done = store(self, record, **fields)
        write_down("stored", record)
        return done

    validating.validate_structure = asking
    Records.finish_validation = storing  # type: ignore[method-assign]


if __name__ == "__main__":
    main("tests.end_to_end.audited_worker", audit)
