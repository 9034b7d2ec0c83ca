"""A campaign with a stand-in oracle whose steps run one after another in this process, each one timed."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from niobe.config.spec import CampaignSpec
from niobe.flows import jobs
from niobe.flows.stages import Stage, plan
from niobe.loop.store.database import Database
from tests.benchmarks.stand_in import StandInOracle

BATCH, ORACLE_SECONDS = 50, 0.01


def spec_of(name: str, rounds: int, *, batch: int = BATCH, atoms: int = 16) -> CampaignSpec:
    """Cu-Au, random candidates, two for each that is validated, no pre-relaxation.

    name: id of the campaign. rounds: at most. batch: of a round. atoms: of a cell at most.
    """
    content = {
        "id": name,
        "elements": ["Cu", "Au"],
        "sources": [],
        "limits": {"max_atoms": atoms},
        "budget": {"rounds": rounds, "validations": rounds * batch},
        "seeds": {"max_prototypes": 0},
        "generation": {"candidates": 2 * batch, "mix": [{"name": "random"}]},
        "surrogate": {"members": 2},
        "acquisition": {"function": "greedy", "batch": batch, "control_share": 0.1},
        "oracle": {"name": "emt"},
        "phonons": {"enabled": False},
    }
    return CampaignSpec.model_validate(content)


@contextmanager
def home_of(folder: Path) -> Iterator[Database]:
    """The database of a home, its embedded server stopped in the end; the oracle is the stand-in.

    folder: the home.
    """
    from niobe.flows.steps import known, validate
    from niobe.launchers.benchmarking import own_home
    from niobe.launchers.services import campaign_database

    for module in (validate, known):
        module.make_oracle = lambda spec, pressure=0.0: StandInOracle(ORACLE_SECONDS)  # type: ignore[attr-defined]
    folder.mkdir(parents=True, exist_ok=True)
    with own_home(folder), campaign_database() as database:
        yield database


def processor_seconds(home: Path) -> float:
    """Processor time so far of this process and of the database server. home: of the campaign."""
    from niobe.launchers.embedded import server_status

    status = server_status(home / "db")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    own = usage.ru_utime + usage.ru_stime
    if status is None:
        return own
    fields = Path(f"/proc/{status.pid}/stat").read_text(encoding="ascii").split()
    return own + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def run_round(home: Path, spec: CampaignSpec, number: int) -> dict[str, Any]:
    """Run the stages of a round; seconds of wall and processor by stage, but for what the oracle slept.

    home: of the campaign. number: of the round.
    """
    walls: dict[str, float] = {}
    processors: dict[str, float] = {}
    for stage in plan(spec, number):
        started, before = time.monotonic(), processor_seconds(home)
        for slot in range(stage.slots or 1):
            run_stage(spec, number, stage, slot)
        walls[stage.name] = round(time.monotonic() - started, 3)
        processors[stage.name] = round(processor_seconds(home) - before, 3)
    total = round(sum(processors.values()), 3)
    return {"round": number, "wall": walls, "processors": processors, "processor": total}


def run_stage(spec: CampaignSpec, number: int, stage: Stage, slot: int = 0) -> None:
    """Run a stage, or one slot of it, in this process.

    number: of the round.
    """
    slots = (slot, stage.slots) if stage.slots else ()
    step = getattr(jobs, stage.job).original
    step(spec.model_dump(mode="json"), number, *stage.arguments, *slots)


def kept_rounds(home: Path) -> list[dict[str, Any]]:
    """What earlier runs measured, by round. home: of the campaign."""
    file = home / "rounds.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [json.loads(line) for line in lines]
