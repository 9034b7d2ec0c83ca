"""``python -m tests.benchmarks.dft.confirmed_finds [NAME]``: GPAW confirms the finds of a potential.

NAME: of a campaign in tests/benchmarks/campaigns, ``nb-o-gpaw`` or ``al-li-gpaw``. It goes on where it was,
after a kill too.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from niobe.config.loading import load_campaign
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.registry import check_machine
from niobe.flows.steps.claims.finds import spent_on_all_else
from niobe.launchers.benchmarking import own_home
from niobe.launchers.local.launcher import run_campaign
from niobe.launchers.local.progress import CampaignProgress
from niobe.launchers.services import campaign_database
from niobe.loop.campaign.confirming import kendall_tau
from niobe.loop.documents.answers import SecondAnswer
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.tiers import by_dft, phase_by
from tests.benchmarks.publish import publish

CAMPAIGNS = Path(__file__).parents[1] / "campaigns"
FOLDER = Path(".niobe/benchmarks/confirmed")


def main() -> None:
    """Run the campaign to its end, publish its finds."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.dft.confirmed_finds")
    parser.add_argument("name", nargs="?", default="nb-o-gpaw")
    name: str = parser.parse_args().name
    warnings.simplefilter("ignore")
    spec, started = load_campaign(CAMPAIGNS / f"{name}.yaml"), time.monotonic()
    check_machine(spec)
    with own_home(FOLDER / name), campaign_database() as database:
        database.campaigns.create(spec)
        with CampaignProgress(database, spec, Console()) as progress:
            run_campaign(database, spec, progress.tick)
        found = [record for record in database.records.find(spec.id) if record.opinions]
        answers, all_else = database.answers.of_campaign(spec.id), spent_on_all_else(database, spec)
    report(spec, found, answers, all_else, time.monotonic() - started)


def report(
    spec: CampaignSpec,
    found: Sequence[StructureRecord],
    answers: Sequence[SecondAnswer],
    all_else: float,
    seconds: float,
) -> None:
    """One row for each find that GPAW was asked about."""
    rows = [_row(record) for record in found]
    judged = [row for row in rows if row["by GPAW, eV/atom"] is not None]
    own, theirs = (
        np.array([row[key] for row in judged]) for key in ("by 7net-0, eV/atom", "by GPAW, eV/atom")
    )
    tau = kendall_tau(own.tolist(), theirs.tolist())
    phases = [row["GPAW says"] for row in judged]
    asked = sum(answer.seconds for answer in answers)
    failed = [answer.failure.cause for answer in answers if answer.failure]
    counts = ", ".join(f"{phases.count(phase)} {phase}" for phase in ("stable", "metastable", "fell"))
    publish(
        f"gpaw-finds-{spec.chemsys}",
        page="dft",
        title=f"A potential searches, GPAW confirms: finds of a small campaign of {spec.chemsys}",
        headline=f"{len(judged)} finds with products and elements confirmed: {counts}; "
        f"{(asked + all_else) / 60:.0f} minutes of work",
        command=f"python -m tests.benchmarks.dft.confirmed_finds {spec.id}",
        rows=rows,
        seconds=seconds,
        seeds=[spec.seed],
        order=5,
        notes=[
            f"{spec.id}.yaml: {spec.budget.validations} validations by 7net-0 in {spec.budget.rounds} rounds "
            f"without phonons; GPAW by protocol `{spec.confirm.protocol}` relaxed {len(answers)} structures "
            f"in {asked:.0f} s, one core each; all else took {all_else:.0f} s, pre-relaxation not counted",
            "heights are above what each find falls into, on the hull of that oracle's own answers, below 0 "
            "where it is stable; GPAW's hull has the finds asked about, what they fall into, and "
            f"{' and '.join(spec.elements)}",
            f"Kendall's τ between the two orders {'–' if tau is None else f'{tau:.2f}'}; GPAW less 7net-0 "
            f"{float(np.median(theirs - own)) if len(judged) else float('nan'):+.3f} eV/atom in the median",
            *([f"failed: {', '.join(failed)}"] if failed else []),
            "the seconds above are of the last call; what was answered in calls before was kept",
        ],
    )


def _row(record: StructureRecord) -> dict[str, Any]:
    said, verdict = by_dft(record), record.verdict
    height = said.above_products if said else None
    return {
        "find": record.formula,
        "space group": record.group,
        "atoms": record.n_atoms,
        "by 7net-0, eV/atom": None if verdict is None else round(verdict.above_products or 0.0, 4),
        "by GPAW, eV/atom": None if height is None else round(height, 4),
        "falls into": " + ".join(f"{p.share:.2f} {p.formula}" for p in verdict.products) if verdict else "",
        "GPAW says": phase_by(said) if said else "; ".join(o.reason for o in record.opinions),
        "seconds": round(said.seconds, 1) if said else None,
    }


if __name__ == "__main__":
    main()
