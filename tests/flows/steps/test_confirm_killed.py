"""Confirmation by a program of its own whose worker is killed (SIGKILL) ten times in a row."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.home import make_home, work
from niobe.config.spec import CampaignSpec
from niobe.flows import jobs
from niobe.flows.oracles.gpaw import curvature
from niobe.flows.oracles.gpaw.process import python
from niobe.flows.steps.claims.confirm import weigh_opinions
from niobe.loop.documents.claims import Opinion
from niobe.loop.store.database import Database
from tests.end_to_end.here import forking_context
from tests.flows.oracles.test_gpaw import needs_gpaw, processes, wait_for
from tests.flows.steps import stand_in_gpaw
from tests.loop.factory import validated

KILLS = 10
FILES = {"asked": "task.json", "midway": "step.json", "answered": "answer.json"}
"""What the program's folder has by each instant."""
MOMENTS = (*FILES, "stored")
LOGGED = """#!/bin/sh
test -f "$2/task.json" && cp "$2/task.json" "{log}/$$.json"
exec {program} "$@"
"""
Stored = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Campaign:
    """One whose find and two elements DFT is asked about: who searches, in whose place GPAW's search gets its
    curvature, the command that answers for GPAW, and the crystals."""

    oracle: str
    potential: str
    program: str
    crystals: tuple[Structure, Structure, Structure]

    @property
    def spec(self) -> CampaignSpec:
        elements = [crystal[0].specie.symbol for crystal in self.crystals[:2]]
        return CampaignSpec.model_validate(
            {
                "id": "t",
                "elements": elements,
                "oracle": {"name": self.oracle},
                "phonons": {"enabled": False},
                "confirm": {"oracles": ["gpaw"], "protocol": "fast", "seconds": 3000},
            }
        )


def fcc(symbol: str, a: float) -> Structure:
    return Structure(np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * a / 2, [symbol], np.zeros((1, 3)))


def ordered(one: str, other: str, a: float, c: float) -> Structure:
    return Structure(Lattice.tetragonal(a, c), [one, other], np.array([[0, 0, 0], [0.5] * 3]))


COPPER_GOLD = (fcc("Cu", 3.6), fcc("Au", 4.06), ordered("Cu", "Au", 2.8, 3.7))
LITHIUM = Structure(np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) * 3.43 / 2, ["Li"], np.zeros((1, 3)))
ALUMINIUM_LITHIUM = (fcc("Al", 4.04), LITHIUM, ordered("Al", "Li", 3.17, 3.17))


def confirm(environment: dict[str, str], campaign: dict[str, Any], potential: str) -> None:
    """A worker's confirmation of all that the round's finds rest on."""
    os.environ.update(environment)
    curvature.POTENTIAL = potential
    jobs.confirm.original(campaign, 1, 0, 1)  # type: ignore[attr-defined]


class Worker:
    """Confirms in a process of its own."""

    def __init__(self, campaign: Campaign, database: Database) -> None:
        self._database, self._spec = database, campaign.spec
        own = {name: value for name, value in os.environ.items() if name.startswith("NIOBE_")}
        arguments = (own, self._spec.model_dump(mode="json"), campaign.potential)
        make_home()
        context = forking_context()
        self._process = context.Process(target=confirm, args=arguments, daemon=True)  # type: ignore[attr-defined]

    def killed_as(self, moment: str) -> None:
        """Once the first of its structures has come so far; its program ends with it."""
        before = self._database.answers.count("t")
        self._process.start()

        def reached() -> bool:
            assert self._process.is_alive(), "came to its end before"
            if moment == "stored":
                return self._database.answers.count("t") > before
            return any(self._folder.glob(f"*-{self._process.pid}/relax/{FILES[moment]}"))

        wait_for(reached, 600, every=0.005)
        self._process.kill()
        self._process.join()
        wait_for(lambda: not processes(self._folder))

    def ended(self) -> None:
        """At its own end."""
        self._process.start()
        self._process.join()
        assert self._process.exitcode == 0

    @property
    def _folder(self) -> Path:
        return work(self._spec.id)


def stored(database: Database) -> Stored:
    """Answers by crystal, without the time that they took."""
    found = {}
    for answer in database.answers.of_campaign("t"):
        assert answer.validation is not None, answer.failure
        formula = Structure.from_dict(answer.validation.structure).composition.reduced_formula
        found[formula] = answer.validation.model_dump(mode="json", exclude={"seconds"})
    return found


def asked(log: Path) -> set[str]:
    """Of which crystals the program was asked."""
    tasks = [json.loads(file.read_text(encoding="utf-8")) for file in log.glob("*.json")]
    lists = [content["symbols"] for task in tasks for content in task["structures"]]
    return {Structure(np.eye(3), s, np.zeros((len(s), 3))).composition.reduced_formula for s in lists}


def opinion(database: Database, spec: CampaignSpec, find: str) -> Opinion:
    """What DFT thinks of the find."""
    weigh_opinions(database, spec, database.rounds.get("t", 1))
    (said,) = database.records.get(find).opinions
    return said.model_copy(update={"seconds": 0.0})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where each task is kept that the program is given."""
    folder = tmp_path / "asked"
    folder.mkdir()
    return folder


def begun(campaign: Campaign, database: Database, log: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two elements and a find have been validated, the round is open; the id of the find."""
    program = log.parent / "python"
    program.write_text(LOGGED.format(log=log, program=campaign.program), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("NIOBE_GPAW_PYTHON", str(program))
    one, other, find = campaign.crystals
    records = [validated(one, -3.0), validated(other, -3.0, index=1), validated(find, -3.2, round_number=1)]
    database.campaigns.create(campaign.spec)
    database.records.insert(records)
    for number in (0, 1):
        database.rounds.open("t", number)
    return records[-1].id


def killed_ten_times(campaign: Campaign, database: Database, log: Path) -> None:
    """Nothing is asked again that was stored."""
    for moment in islice(cycle(MOMENTS), KILLS):
        before = stored(database)
        Worker(campaign, database).killed_as(moment)
        assert not asked(log) & before.keys(), moment
        for file in log.iterdir():
            file.unlink()
    before = stored(database)
    assert len(before) == KILLS // len(MOMENTS)
    Worker(campaign, database).ended()
    assert (
        asked(log) == {crystal.composition.reduced_formula for crystal in campaign.crystals} - before.keys()
    )


def test_killed_ten_times_it_ends_as_if_it_had_never_been(
    database: Database, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPAW's program is one that answers by EMT, and 7net-0, which takes seconds to load, is EMT too."""
    program = f"{sys.executable} {stand_in_gpaw.__file__}"
    campaign = Campaign("lj", "emt", program, COPPER_GOLD)
    find = begun(campaign, database, log, monkeypatch)
    killed_ten_times(campaign, database, log)
    killed, thought = stored(database), opinion(database, campaign.spec, find)
    database.mongo["answers"].delete_many({})
    Worker(campaign, database).ended()
    assert stored(database) == killed
    assert opinion(database, campaign.spec, find) == thought
    assert thought.is_dft and thought.above_products is not None


@needs_gpaw
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_ten_times_gpaw_ends_as_if_it_had_never_been(
    database: Database, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Energies to what electrons converge to."""
    campaign = Campaign("7net-0", curvature.POTENTIAL, python(), ALUMINIUM_LITHIUM)
    find = begun(campaign, database, log, monkeypatch)
    killed_ten_times(campaign, database, log)
    killed, thought = stored(database), opinion(database, campaign.spec, find)
    database.mongo["answers"].delete_many({})
    Worker(campaign, database).ended()
    for formula, answer in stored(database).items():
        assert answer["energy_per_atom"] == pytest.approx(killed[formula]["energy_per_atom"], abs=1e-4)
    again = opinion(database, campaign.spec, find)
    assert again.above_products == pytest.approx(thought.above_products, abs=1e-4)
