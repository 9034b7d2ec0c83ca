"""What a validation costs beside the oracle, training shared out, in campaigns of several sizes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.benchmarks.publish import publish
from tests.benchmarks.scale.campaign import home_of, run_round, spec_of
from tests.benchmarks.scale.filling import fill

_WARM, _MEASURED, _LEARNED = 4, 3, 500
_ATOMS = {10: 8}


def flat(home: Path, batch: int, sizes: list[int]) -> None:
    """Fill a campaign of each size, run rounds that make what a campaign that ran has already (models, shapes
    in blocks), and three that count; publish them.

    home: a folder for their homes. batch: validations of a round. sizes: how many were validated before.
    """
    begun = time.monotonic()
    rows = [_measured(home / f"{batch}-{size}", batch, size) for size in sizes]
    shown = [{"validated": row["validated"], **_shown(row)} for row in rows]
    ratio = {key: round(rows[-1][key] / rows[0][key], 2) for key in ("in all", "training", "all else")}
    shown.append({"validated": "the last ÷ the first", **ratio, "most of it": "bar: ≤ 1.3"})
    publish(
        f"scale-flat-{batch}",
        page="scale",
        title=f"Processor seconds a validation, rounds of {batch}",
        command=f"python -m tests.benchmarks.scale flat --home FOLDER --batch {batch} "
        f"--sizes {' '.join(map(str, sizes))}",
        rows=shown,
        seconds=time.monotonic() - begun,
        order=15,
        headline=f"{sizes[0]:,} to {sizes[-1]:,} validations, rounds of {batch}: "
        f"{ratio['in all']} (bar: ≤ 1.3)",
        notes=[
            f"Cu-Au up to {_ATOMS.get(batch, 16)} atoms, a stand-in that sleeps 10 ms, no pre-relaxation; "
            f"as many candidates as validations wait or were set aside. Three rounds of {batch} each, "
            f"{2 * batch} drawn, of process and server, after {_WARM} that make what a campaign that came so "
            "far has already: a filled one has none of its shapes in blocks.",
            "Training: what it took once, over the validations until the next; from 500 labels on those are "
            "a tenth as many.",
        ],
    )


def _measured(home: Path, batch: int, size: int) -> dict[str, Any]:
    spec = spec_of("flat", 10_000, batch=batch, atoms=_ATOMS.get(batch, 16))
    with home_of(home) as database:
        database.campaigns.create(spec)
        if not database.rounds.find(spec.id):
            run_round(home, spec, 0)
            if (before := size - _WARM * batch) > 0:
                fill(database, spec, before, before)
        number = database.rounds.find(spec.id)[-1].number + 1
        costs = [run_round(home, spec, number + i)["processors"] for i in range(_WARM + _MEASURED)]
    return _costs(costs[0], costs[_WARM:], batch, size) | {"validated": size}


def _costs(first: dict[str, float], rest: list[dict[str, float]], batch: int, size: int) -> dict[str, Any]:
    """Processor seconds a validation of each step, and of training as it is shared out.

    first: of the round that trained whatever it was. rest: of those that count.
    """
    calls = batch * len(rest)
    steps = {name: sum(one[name] for one in rest) / calls for name in first if name != "train_surrogate"}
    trains_always = size < _LEARNED
    training = sum(one["train_surrogate"] for one in rest) / calls
    if not trains_always:
        training = first["train_surrogate"] / (0.1 * size)
    else_ = sum(steps.values())
    return {"in all": training + else_, "training": training, "all else": else_, "steps": steps}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    most = sorted(row["steps"].items(), key=lambda item: -item[1])[:5]
    figures = {key: round(row[key], 3) for key in ("in all", "training", "all else")}
    return figures | {"most of it": ", ".join(f"{name} {seconds:.3f}" for name, seconds in most)}
