"""Chemical systems side by side: what searches are compared, by what rules, and what one judge makes of them.

A find is stable (within a tolerance of the hull of all that any search of the system validated and of what is
known), unique (no earlier one of its run is like it) and no seed. Tolerances are eV/atom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from niobe.config.loading import campaign_of, with_changes
from niobe.config.spec import CampaignSpec
from niobe.loop.benchmark.ablation import Setting
from niobe.loop.benchmark.generative import Run, energies_above, hits
from niobe.loop.campaign.acceleration import acceleration_factor, area_under_curve, discovery_curve
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.surrogates.protocols import FloatArray

SHORT = ("In-Li", "Pd-Ti", "S-Zn", "Cd-Mg", "Al-Fe-Y", "Hf-Pd", "Se-Ta", "C-Si")
SYSTEMS = (
    *(*SHORT, "Au-Be", "Ca-Si", "B-Ti", "In-P", "Li-Si", "Cu-O-Sr"),
    *("Ni-Sc-Sn", "La-Ni-Si", "Ag-Cs-F", "Mg-O-Si"),
)
"""Binary and ternary systems of metals, semiconductors, oxides and halides that Niobe was not made on."""
TOLERANCES = (0.0, 0.02, 0.1)
Protocol = Literal["kept-out", "given", "made"]
PROTOCOLS: dict[Protocol, str] = {
    "kept-out": "known phases are kept out of seeds and generators, and count when they are found",
    "given": "known phases are given as seeds, and do not count",
    "made": "as MADE has it: known phases are given and do not count, 50 calls, up to 20 atoms a cell; its "
    "own figures (AF 6.4, AUDC 0.42, mSUN 0.40) are of other data and another oracle",
}
CHANCE, NIOBE = "random", "niobe"
Unit = Literal["time", "evaluations"]
IN_EQUAL: dict[Unit, tuple[str, str]] = {
    "time": ("finds in equal time", "Niobe's by then"),
    "evaluations": ("finds in equal evaluations", "Niobe's in as many"),
}
"""Columns of an arm's finds by when it or Niobe was over, whichever was first, and of Niobe's by then."""
_MADE_CALLS, _MADE_ATOMS = 50, 20
_ROUNDOFF = 1e-6  # eV/atom


@dataclass(frozen=True)
class Rules:
    """What every search of a system may spend: calls of the oracle, how many of them at once, candidates
    drawn a round."""

    calls: int
    batch: int
    candidates: int


def campaign(system: str, protocol: Protocol, known: Sequence[str], rules: Rules) -> CampaignSpec:
    """The campaign that the arms of a system share. Raises ConfigError: one line.

    system: symbols joined by hyphens. known: structure files of what is known there. Only energies are
    judged: phonons, challenge and second opinions are off, and round 0 asks about elements and what is given.
    """
    given = {"files": list(known)} if protocol != "kept-out" else {"exclude": list(known)}
    atoms = {"max_atoms": _MADE_ATOMS} if protocol == "made" else {}
    calls = _MADE_CALLS if protocol == "made" else rules.calls
    content = {
        "id": f"{system.lower()}-{protocol}",
        "elements": system.split("-"),
        "sources": [],
        "seeds": {"max_prototypes": 0} | given,
        "limits": atoms,
        "budget": {"rounds": -(-calls // rules.batch), "validations": calls},
        "acquisition": {"batch": rules.batch, "control_share": 0.0},
        "generation": {"candidates": rules.candidates},
        "phonons": {"enabled": False},
        "challenge": {"enabled": False},
        "confirm": {"enabled": False},
    }
    return campaign_of(content, f"{system}, {protocol}", Path())


def arms(spec: CampaignSpec) -> list[Setting]:
    """The searches that are compared: at random, by the cheap potential alone, Niobe without it, Niobe.

    spec: the campaign that they share.
    """
    by_rank = [{"name": "prototype"}, {"name": "random"}]
    alone = {"acquisition.function": "random", "surrogate.retrain": False}
    ranked = {"acquisition.function": "greedy", "surrogate.retrain": False, "generation.mix": by_rank}
    unrelaxed = [part for part in spec.generation.mix if part.name != "offspring"]
    changes: list[tuple[str, str, Mapping[str, Any]]] = [
        (CHANCE, "random symmetric", alone | {"generation.mix": [{"name": "random"}], "prerelax": None}),
        ("ranked", "prototypes and random crystals ranked by the cheap potential", ranked),
        ("plain", "Niobe without pre-relaxation", {"prerelax": None, "generation.mix": unrelaxed}),
        (NIOBE, "Niobe", {}),
    ]
    return [Setting(name, adds, with_changes(spec, changed)) for name, adds, changed in changes]


def compared(
    runs: Sequence[Run],
    known: Sequence[StructureRecord],
    labels: Mapping[str, str],
    elements: Sequence[str],
    calls: int,
) -> list[dict[str, Any]]:
    """One row an arm: unique finds a run at each tolerance; at the widest also mSUN (a call), AUDC and the
    acceleration factor to half of what the arm ``random`` found; known ground states found, finds an hour;
    and the columns of IN_EQUAL.

    runs: of all arms on one system. known: relaxed by the same oracle. labels: what each arm is called, by
    name. elements: symbols. calls: that each may make.
    """
    above = energies_above(runs, known, elements)
    made = {tolerance: _hits(runs, above, tolerance, calls) for tolerance in TOLERANCES}
    found = {tolerance: list(map(sum, hits)) for tolerance, hits in made.items()}
    widest = [discovery_curve(hits) for hits in made[max(TOLERANCES)]]
    chance = [curve for run, curve in zip(runs, widest, strict=True) if run.setting == CHANCE]
    pairs = list(zip(runs, made[max(TOLERANCES)], strict=True))
    spent = {unit: [Spent.of(unit, run, hits) for run, hits in pairs] for unit in IN_EQUAL}
    rows = []
    for name, label in labels.items():
        own = [index for index, run in enumerate(runs) if run.setting == name]
        if own:
            row = _row([runs[i] for i in own], _of(found, own), known)
            for unit, of_runs in spent.items():
                row |= in_equal(unit, [of_runs[i] for i in own], [one for one in of_runs if one.arm == NIOBE])
            rows.append({"arm": label} | row | _by_calls([widest[i] for i in own], chance))
    return rows


@dataclass(frozen=True)
class Spent:
    """A run's finds by what they cost. finds: what was spent by the end of each call that was one; None where
    that is not known. total: what the whole run spent."""

    arm: str
    finds: tuple[float, ...] | None
    total: float

    @classmethod
    def of(cls, unit: Unit, run: Run, hits: Sequence[bool]) -> Spent:
        """unit: seconds by the clock, or evaluations of the oracle. run: of one arm. hits: whether each of
        its calls was a find."""
        by_then: Sequence[float] = run.ended if unit == "time" else run.evaluated
        total = run.seconds if unit == "time" else (by_then[-1] if by_then else None)
        if total is None or len(by_then) != len(run.calls):
            return cls(run.setting, None, 0.0)
        pairs = zip(by_then, hits, strict=False)  # calls that were never made are no hits
        return cls(run.setting, tuple(spent for spent, hit in pairs if hit), total)

    def by(self, spent: float) -> int:
        """Finds by when so much was spent."""
        return sum(one <= spent for one in self.finds or ())


def in_equal(unit: Unit, theirs: Sequence[Spent], ours: Sequence[Spent]) -> dict[str, float | None]:
    """Finds of an arm and of Niobe by when the first of the two was over; None where that is not known.

    unit: what is equal. theirs, ours: runs of the arm and of Niobe, whose mean counts.
    """
    columns = IN_EQUAL[unit]
    if not ours or any(run.finds is None for run in (*theirs, *ours)):
        return dict.fromkeys(columns)
    first = min(float(np.mean([run.total for run in runs])) for runs in (theirs, ours))
    means = [float(np.mean([run.by(first) for run in runs])) for runs in (theirs, ours)]
    return dict(zip(columns, means, strict=True))


def _by_calls(curves: Sequence[FloatArray], chance: Sequence[FloatArray]) -> dict[str, Any]:
    """Figures that MADE has too, of finds at the widest tolerance over calls, against those of ``CHANCE``."""
    factors = [acceleration_factor(curve, np.mean(chance, axis=0), 0.5) for curve in curves if chance]
    return {
        "mSUN": float(np.mean([curve[-1] / len(curve) for curve in curves])),
        "AUDC": float(np.mean([area_under_curve(curve) for curve in curves])),
        "AF 50%": float(np.mean(factors)) if factors and np.isfinite(factors).all() else None,
    }


def curves(
    runs: Sequence[Run],
    known: Sequence[StructureRecord],
    labels: Mapping[str, str],
    elements: Sequence[str],
    calls: int,
) -> dict[str, list[list[bool]]]:
    """Whether each call of each run was a find at the widest tolerance, by arm.

    runs, known, labels, elements, calls: as ``compared`` takes them.
    """
    found = _hits(runs, energies_above(runs, known, elements), max(TOLERANCES), calls)
    of_arm = {
        label: [own for run, own in zip(runs, found, strict=True) if run.setting == name]
        for name, label in labels.items()
    }
    return {label: hit for label, hit in of_arm.items() if hit}


def _hits(runs: Sequence[Run], above: Sequence[FloatArray], tolerance: float, calls: int) -> list[list[bool]]:
    pairs = zip(runs, above, strict=True)
    return [hits(run, energies, tolerance + _ROUNDOFF, calls) for run, energies in pairs]


def _of(found: Mapping[float, Sequence[int]], chosen: Sequence[int]) -> dict[float, list[int]]:
    return {tolerance: [hits[i] for i in chosen] for tolerance, hits in found.items()}


def _row(
    runs: Sequence[Run], found: Mapping[float, Sequence[int]], known: Sequence[StructureRecord]
) -> dict[str, Any]:
    widest, seconds = max(found), [run.seconds for run in runs if run.seconds]
    hours = float(np.mean(seconds)) / 3600 if seconds else None
    return {
        "runs": len(runs),
        "calls": float(np.mean([_asked(run) for run in runs])),
        **{f"finds, ε {tolerance:g}": float(np.mean(hits)) for tolerance, hits in found.items()},
        "known found": float(np.mean([rediscovered(run, known) for run in runs])),
        "known": sum(record.nelements > 1 for record in known),
        "minutes": hours * 60 if hours else None,
        "finds an hour": float(np.mean(found[widest])) / hours if hours else None,
    }


def _asked(run: Run) -> int:
    """Calls of a run, those for competing phases among them, which are no finds."""
    return len(run.calls) + sum((seed.acquired_round or 0) > 0 for seed in run.seeds)


def rediscovered(run: Run, known: Iterable[StructureRecord]) -> int:
    """How many of the known compounds the calls of a run relaxed into.

    run: of one arm. known: relaxed by the same oracle.
    """
    wanted = SeenStructures((one.id, relaxed_structure(one)) for one in known if one.nelements > 1)
    matches = (wanted.find(relaxed_structure(call)) for call in run.calls if call.validation)
    return len({match for match in matches if match is not None})


def beside(rows: Sequence[Mapping[str, Any]], arm: str, column: str = "finds, ε 0.1") -> dict[str, str]:
    """Of each other arm, how many times its finds ``arm`` made: the median over systems and the least.

    rows: as ``compared`` gives them, each with its system and protocol. column: of the finds.
    """
    finds = {(row["system"], row["protocol"], row["arm"]): row[column] for row in rows}
    pairs = [
        (other, finds.get((system, protocol, arm)), made)
        for (system, protocol, other), made in finds.items()
        if other != arm
    ]
    return _ratios(pairs)


def beside_in_equal(unit: Unit, rows: Sequence[Mapping[str, Any]], arm: str) -> dict[str, str]:
    """The same of what both found by when the first of them was over.

    unit: what is equal. rows, arm: as ``beside`` takes them.
    """
    found, mine = IN_EQUAL[unit]
    others = [row for row in rows if row["arm"] != arm]
    return _ratios([(row["arm"], row[mine], row[found]) for row in others])


def _ratios(pairs: Iterable[tuple[str, float | None, float | None]]) -> dict[str, str]:
    """Medians and the least, by arm, of ours ÷ theirs."""
    ratios: dict[str, list[float]] = {}
    for other, mine, made in pairs:
        if mine is not None and made is not None:
            ratios.setdefault(other, []).append(mine / made if made else float("inf"))
    return {
        other: f"{np.median(values):.2f} ×, least {min(values):.2f} × over {len(values)}"
        for other, values in ratios.items()
    }
