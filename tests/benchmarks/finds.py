"""``python -m tests.benchmarks.finds [SYSTEM]``: what becomes of a campaign's finds.

Challenged by what may take them away, then shown to other potentials: what survives, what falls and why, how
many agree, and what share of the campaign's time that took. It goes on where it was. A system's campaign is
that of ``known_phases``, without one it is a small Nb-O.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from niobe.config.loading import load_campaign
from niobe.config.spec import CampaignSpec
from niobe.flows.steps.claims.finds import spent_on_all_else
from niobe.launchers.benchmarking import own_home
from niobe.launchers.local.launcher import run_campaign
from niobe.launchers.local.progress import CampaignProgress
from niobe.launchers.output.tables import agreement_text
from niobe.launchers.services import campaign_database
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import RoundMetrics
from tests.benchmarks import known_phases
from tests.benchmarks.publish import publish

FILE = Path(__file__).parent / "campaigns" / "nb-o-small.yaml"
FOLDER = Path(".niobe/benchmarks/finds")


def main() -> None:
    """Run the campaign to its end, publish its finds."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.finds")
    parser.add_argument("system", nargs="?", help="such as In-Li")
    system: str | None = parser.parse_args().system
    warnings.simplefilter("ignore")
    if system is None:
        spec, home = load_campaign(FILE), FOLDER
    else:
        folder = known_phases.FOLDER / system
        spec, home = known_phases.campaign_file(folder, "first", system.split("-")), folder / "home"
    started = time.monotonic()
    with own_home(home), campaign_database() as database:
        database.campaigns.create(spec)
        with CampaignProgress(database, spec, Console()) as progress:
            run_campaign(database, spec, progress.tick)
        found = [record for record in database.records.find(spec.id) if record.challenge or record.opinions]
        closed = [record for record in database.rounds.find(spec.id) if record.closed]
        metrics, all_else = closed[-1].metrics, spent_on_all_else(database, spec)
    report(system, spec, found, metrics, all_else, time.monotonic() - started)


def report(
    system: str | None,
    spec: CampaignSpec,
    found: Sequence[StructureRecord],
    metrics: RoundMetrics,
    all_else: float,
    seconds: float,
) -> None:
    """One row for each find that was challenged or shown to others."""
    name = system or spec.id
    extra = metrics.challenge_seconds + metrics.confirm_seconds
    share = extra / (extra + all_else)
    notes = [
        f"{name}: {metrics.challenge_seconds:.0f} s of challenge and {metrics.confirm_seconds:.0f} s of "
        f"other potentials' answers, beside {all_else:.0f} s of oracle, learning, drawing and choosing; "
        "pre-relaxation is not timed and not counted",
        *(f"{found.oracle} agrees with {agreement_text(found)}" for found in metrics.agreements),
        f"{spec.budget.validations} validations in {spec.budget.rounds} rounds; the seconds above are of the "
        "last call, what was finished in calls before was kept",
    ]
    publish(
        f"finds-{name}",
        page="campaign",
        title=f"What becomes of the finds of {name}",
        headline=f"{metrics.survived} of {metrics.challenged} survive; {share:.0%} of the time (bar: 25 %)",
        command=f"python -m tests.benchmarks.finds {system or ''}".strip(),
        rows=[_row(record) for record in found],
        seconds=seconds,
        seeds=[spec.seed],
        notes=notes,
        order=70,
    )


def _row(record: StructureRecord) -> dict[str, Any]:
    challenge, verdict = record.challenge, record.verdict
    said = {opinion.oracle: opinion.above_products for opinion in record.opinions}
    return {
        "find": record.formula,
        "space group": record.validation.spacegroup if record.validation else None,
        "above hull, eV/atom": round(verdict.e_above_hull_now, 4) if verdict else None,
        "challenge": "none" if challenge is None else "survived" if challenge.survived else "fell",
        "why": challenge.reason if challenge else "",
        "tried": sum(attempt.tried for attempt in challenge.attempts) if challenge else 0,
        "asked of the oracle": sum(attempt.asked for attempt in challenge.attempts) if challenge else 0,
        "k of n": f"{verdict.opinions_agreeing} of {verdict.opinions_asked}"
        if verdict and verdict.opinions_asked
        else "not asked",
        "above products by others, eV/atom": ", ".join(
            f"{name} {'–' if height is None else f'{height:.3f}'}" for name, height in said.items()
        ),
    }


if __name__ == "__main__":
    main()
