"""``python -m tests.benchmarks.phonons.motion``: what motion holds below and above known transitions.

Each crystal is one that phonons of 0 K call unstable and that exists above a transition. It goes on where it
was stopped; ``--publish`` writes figures and docs.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from niobe.config.oracles.conditions import Conditions
from niobe.config.spec import CampaignSpec, Oracle
from niobe.flows.oracles.calculation import in_motion, phonons
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import Failure
from tests.benchmarks.phonons.textbook import TEXTBOOK
from tests.benchmarks.publish import publish

NAME = "7net-0"
_SECONDS = 1800.0


class Transition(NamedTuple):
    """A crystal of the textbook list, above what temperature (K) it exists, and temperatures to ask about."""

    crystal: str
    above: float
    asked: tuple[float, ...]
    source: str


TRANSITIONS = (
    Transition("SrTiO3 cubic", 105, (300,), "Shirane, Yamada, Phys. Rev. 177, 858 (1969)"),
    Transition("BaTiO3 cubic", 393, (200, 700), "Kay, Vousden, Philos. Mag. 40, 1019 (1949)"),
    Transition("PbTiO3 cubic", 763, (300, 1200), "Shirane et al., Acta Cryst. 9, 131 (1956)"),
    Transition("CsPbCl3 cubic", 320, (150, 600), "Fujii et al., Phys. Rev. B 9, 4549 (1974)"),
    Transition("Hf bcc", 2016, (300, 2300), "Trampenau et al., Phys. Rev. B 43, 10963 (1991)"),
    Transition("ZrO2 fluorite", 2650, (300, 2900), "Aldebert, Traverse, J. Am. Ceram. Soc. 68, 34 (1985)"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.phonons.motion")
    parser.add_argument("--folder", type=Path, default=Path("benchmark-phonons"), help="where it goes on")
    parser.add_argument("--most", type=int, default=100, help="cases of this run")
    parser.add_argument("--publish", action="store_true", help="write figures and docs")
    options = parser.parse_args()
    cases = [(transition, kelvin) for transition in TRANSITIONS for kelvin in transition.asked]
    files = [options.folder / "motion" / f"{t.crystal} {kelvin:g}.json" for t, kelvin in cases]
    waiting = [(case, file) for case, file in zip(cases, files, strict=True) if not file.is_file()]
    for (transition, kelvin), file in waiting[: options.most]:
        row = _row(transition, kelvin, options.folder / "work-motion")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(row), encoding="utf-8")
        Console().print(row)
    if options.publish:
        _publish([json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()])


def _row(transition: Transition, kelvin: float, work: Path) -> dict[str, Any]:
    (crystal,) = (entry.structure() for entry in TEXTBOOK if entry.name == transition.crystal)
    spec = CampaignSpec(
        id="motion",
        elements=tuple(sorted({site.specie.symbol for site in crystal})),
        oracle=Oracle(name=NAME, wall_time=_SECONDS),
        prerelax=None,
        conditions=Conditions(temperature=kelvin),
    )
    judge = make_oracle(spec.phonon_oracle)
    found = phonons(spec, judge, crystal, work)
    if isinstance(found, Failure):
        raise RuntimeError(f"{transition.crystal}: {found.message}")
    moved, seconds = in_motion(spec, judge, found[0], work, _SECONDS)
    shutil.rmtree(work, ignore_errors=True)
    verdict, expected = moved.verdict, "stabilised" if kelvin > transition.above else "unstable"
    return {
        "crystal": transition.crystal,
        "K": kelvin,
        "exists above, K": transition.above,
        "lowest at 0 K, THz": round(verdict.lowest_frequency or 0.0, 3),
        "well, meV/atom": 1000 * verdict.well.depth if verdict.well else None,
        "lowest in motion, THz": verdict.renormalised.frequency if verdict.renormalised else None,
        "± THz": verdict.renormalised.error if verdict.renormalised else None,
        "verdict": verdict.outcome.value,
        "as in nature": _said(verdict.outcome, expected),
        "s": seconds,
    }


def _said(outcome: Stability, expected: str) -> str:
    if outcome is Stability.STABLE:
        return "stable at 0 K"
    return "yes" if outcome == expected else "no"


def _publish(rows: list[dict[str, Any]]) -> None:
    judged = [row["as in nature"] for row in rows if row["as in nature"] in {"yes", "no"}]
    sources = "; ".join(f"{t.crystal}: {t.source}" for t in TRANSITIONS)
    publish(
        "phonons-motion",
        page="potentials",
        title="Unstable crystals in motion, below and above known transitions",
        command="python -m tests.benchmarks.phonons.motion --publish",
        rows=rows,
        seconds=sum(row["s"] for row in rows),
        headline="{0[crystal]}, {0[lowest at 0 K, THz]} THz at 0 K, has {0[lowest in motion, THz]} in motion "
        f"at {{0[K]}} K; {judged.count('yes')} of {len(judged)} cases as in nature",
        notes=[
            f"by {NAME}, at the volume of 0 K; seconds of the motion alone, under the load of that hour",
            "transition temperatures of the named sources, written down from memory of them: " + sources,
        ],
    )


if __name__ == "__main__":
    main()
