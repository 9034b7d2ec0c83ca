"""``python -m tests.benchmarks.scale``: what a campaign costs as it grows. The same command goes on where it
was cut short, and publishes as far as it came."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from niobe.config.spec import CampaignSpec
from niobe.flows.stages import plan
from niobe.loop.store.database import Database
from tests.benchmarks.publish import publish
from tests.benchmarks.scale.campaign import (
    BATCH,
    home_of,
    kept_rounds,
    processor_seconds,
    run_round,
    run_stage,
    spec_of,
)
from tests.benchmarks.scale.comparing import pairs
from tests.benchmarks.scale.flat import flat
from tests.benchmarks.scale.restarting import restart

_TEN, _TWENTY = 10, 20
_SECONDS = ("processor s a validation", "training aside")
_SMALL = {"batch": 10, "atoms": 8}


def rounds(home: Path, count: int, notes: list[str]) -> None:
    """Rounds of ten validations with an oracle of 10 ms, one after another. notes: what else to say."""
    with home_of(home) as database:
        spec = _begun(database, count)
        for number in range(len(kept_rounds(home)), count + 1):
            found = run_round(home, spec, number)
            found["validated"] = database.records.count(spec.id, status="validated")
            with (home / "rounds.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
    publish_rounds(home, notes)


def _begun(database: Database, count: int) -> CampaignSpec:
    """The campaign as it was begun, its budget raised to so many rounds."""
    begun = database.campaigns.find_one("rounds")
    if begun is None:
        begun = database.campaigns.create(spec_of("rounds", count, **_SMALL))
    spec = CampaignSpec.model_validate(begun.spec)
    more = max(0, count - spec.budget.rounds)
    extra = {"extra_rounds": more, "extra_validations": more * _SMALL["batch"]}
    database.campaigns.update(spec.id, **extra)
    return spec


def publish_rounds(home: Path, notes: list[str]) -> None:
    """What the rounds so far took, ten a row; the last twenty beside the first twenty."""
    done = [one for one in kept_rounds(home) if one["round"] > 0]
    parts = [done[start : start + _TEN] for start in range(0, len(done) - _TEN + 1, _TEN)]
    shown = [parts[0], parts[1], *parts[4:-1:5], parts[-1]] if len(parts) > 2 else parts
    rows = [_row(part) for part in shown]
    ends = min(_TWENTY, len(done) // 2)
    first, last = _row(done[:ends]), _row(done[-ends:])
    rows.append(
        {
            "rounds": f"the last {ends} ÷ the first {ends}",
            "validated": done[-1]["validated"],
            **{key: round(last[key] / first[key], 2) for key in _SECONDS},
            "most of it": "bar: ≤ 1.3",
        }
    )
    publish(
        "scale-rounds",
        page="scale",
        title="Rounds with a free oracle",
        command="python -m tests.benchmarks.scale rounds --home FOLDER",
        rows=rows,
        seconds=sum(sum(one["wall"].values()) for one in done),
        order=10,
        headline=f"{rows[-1]['rounds']} rounds: {rows[-1][_SECONDS[0]]} (bar: ≤ 1.3 of 300 rounds)",
        notes=[
            "Cu-Au up to 8 atoms, 20 random candidates and 10 validations a round by a stand-in that sleeps "
            "10 ms, no pre-relaxation; all steps one after another in one process, embedded database.",
            "Processor seconds are of that process and the server; what else the machine did does not count.",
            *notes,
        ],
    )


def _row(part: list[dict[str, Any]]) -> dict[str, Any]:
    count = len(part) * _SMALL["batch"]
    steps: dict[str, float] = {}
    for one in part:
        for name, seconds in one["processors"].items():
            steps[name] = steps.get(name, 0.0) + seconds
    most = sorted(steps.items(), key=lambda item: -item[1])[:4]
    return {
        "rounds": f"{part[0]['round']} to {part[-1]['round']}",
        "validated": part[-1]["validated"],
        _SECONDS[0]: round(sum(steps.values()) / count, 3),
        _SECONDS[1]: round((sum(steps.values()) - steps["train_surrogate"]) / count, 3),
        "most of it": ", ".join(f"{name} {seconds / count:.3f}" for name, seconds in most),
    }


def large(home: Path, validated: int, candidates: int) -> None:
    """One round of a filled campaign, stage by stage; then its pages and commands."""
    from niobe.config.settings import Settings
    from tests.benchmarks.scale.filling import fill
    from tests.benchmarks.scale.reading import commands, pages

    spec = spec_of("large", 10_000)
    begun = time.monotonic()
    with home_of(home) as database:
        database.campaigns.create(spec)
        if not database.rounds.find(spec.id):
            run_round(home, spec, 0)
            fill(database, spec, validated, candidates)
        held = f"{database.records.count(spec.id, status='validated'):,} validated of "
        held += f"{database.records.count(spec.id):,} records"
        rows = [*_stages(home, database, spec), *pages(database, Settings().mongo_uri or "", spec.id)]
        rows += commands(home, spec.id)
    columns = dict.fromkeys(key for row in rows for key in row)
    publish(
        "scale-large",
        page="scale",
        title="One round over many records, their pages and commands",
        command=f"python -m tests.benchmarks.scale large --home FOLDER --validated {validated} "
        f"--candidates {candidates}",
        rows=[dict.fromkeys(columns) | row for row in rows],
        seconds=time.monotonic() - begun,
        order=20,
        headline=f"{held}: close {_seconds_of(rows, 'close')} s of processor (bar: ≤ 10 s)",
        notes=[
            f"{held}: strained and shaken copies of drawn crystals of Cu-Au up to 16 atoms.",
            f"The round draws {2 * BATCH} candidates and validates {BATCH}. A campaign that ran has its "
            "shapes already, and the answers of all comparisons.",
        ],
    )


def read(home: Path) -> None:
    """Pages and commands over a campaign that ``flat`` or ``restart`` filled."""
    from niobe.config.settings import Settings
    from tests.benchmarks.scale.reading import commands, pages

    begun = time.monotonic()
    with home_of(home) as database:
        held = f"{database.records.count('flat', status='validated'):,} validated of "
        held += f"{database.records.count('flat'):,} records in {len(database.rounds.find('flat'))} rounds"
        rows = [*pages(database, Settings().mongo_uri or "", "flat"), *commands(home, "flat")]
    columns = dict.fromkeys(key for row in rows for key in row)
    publish(
        "scale-read",
        page="scale",
        title="Pages and commands over a long campaign",
        command="python -m tests.benchmarks.scale read --home FOLDER",
        rows=[dict.fromkeys(columns) | row for row in rows],
        seconds=time.monotonic() - begun,
        order=25,
        headline=f"{held}: longest wait for a page drawn before "
        f"{max(float(r['seconds']) for r in rows if r['what'].startswith('page'))} s (bar: ≤ 0.3 s)",
        notes=[f"{held}; the newest hulls hold 1,000 entries each."],
    )


def _seconds_of(rows: list[dict[str, Any]], what: str) -> float:
    return next(float(row["processor s"]) for row in rows if row["what"] == what)


def _stages(home: Path, database: Database, spec: CampaignSpec) -> list[dict[str, Any]]:
    last = database.rounds.find(spec.id)[-1]
    number, rows = (last.number + 1 if last.closed else last.number), []
    started, before = time.monotonic(), processor_seconds(home)
    database.shapes.complete(spec.id)
    rows.append(_stage("shapes, all anew", home, started, before, None))
    bars = {"close": "≤ 10 s"}
    for stage in plan(spec, number):
        started, before = time.monotonic(), processor_seconds(home)
        for slot in range(stage.slots or 1):
            run_stage(spec, number, stage, slot)
        rows.append(_stage(stage.name, home, started, before, bars.get(stage.name)))
    return rows


def _stage(name: str, home: Path, started: float, before: float, bar: str | None) -> dict[str, Any]:
    return {
        "what": name,
        "bar": bar,
        "seconds": round(time.monotonic() - started, 1),
        "processor s": round(processor_seconds(home) - before, 1),
    }


parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
parser.add_argument("what", choices=("rounds", "large", "flat", "restart", "read", "pairs", "publish"))
parser.add_argument("--home", type=Path, help="a folder; all but pairs need one")
parser.add_argument("--rounds", type=int, default=300)
parser.add_argument("--validated", type=int, default=10_000)
parser.add_argument("--candidates", type=int, default=90_000)
parser.add_argument("--batch", type=int, default=BATCH, help="flat: validations of a round")
parser.add_argument(
    "--sizes", type=int, nargs="+", default=[200, 2_000, 10_000], help="flat: validated before"
)
parser.add_argument("--drawn", type=int, default=150, help="pairs: crystals")
parser.add_argument("--note", action="append", default=[], help="of a run in parts: what ran which")
given = parser.parse_args()
if given.what == "pairs":
    pairs(given.drawn)
elif given.home is None:
    parser.error("--home is needed")
elif given.what == "rounds":
    rounds(given.home, given.rounds, given.note)
elif given.what == "publish":
    publish_rounds(given.home, given.note)
elif given.what == "flat":
    flat(given.home, given.batch, given.sizes)
elif given.what == "read":
    read(given.home)
elif given.what == "restart":
    restart(given.home, given.validated)
else:
    large(given.home, given.validated, given.candidates)
