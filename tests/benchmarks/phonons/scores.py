"""What stored verdicts are worth: right of decided, undecided, balanced accuracy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray
from tests.benchmarks.phonons.crystals import DESCRIPTIONS, label_of
from tests.benchmarks.phonons.layered import LAYERED
from tests.benchmarks.publish import publish

Verdicts = Sequence[dict[str, Any]]
Limits = tuple[float, float]
"""Unstable below the first, stable from the second on, undecided between, THz."""
_TOLERANCE = -0.1
_HALVES, _MOST_UNDECIDED = 200, 0.15


def score(verdicts: Verdicts) -> dict[str, Any]:
    """Figures of one potential; marginal crystals are counted and not scored."""
    clear = [v for v in verdicts if v["label"] in {"stable", "unstable"}]
    decided = [v for v in clear if v["outcome"] != "undecided"]
    right = [v for v in decided if v["outcome"] == v["label"]]
    rates = {label: _rate(decided, label) for label in ("stable", "unstable")}
    return {
        "crystals": len(clear),
        "undecided": len(clear) - len(decided),
        "decided right": len(right) / len(decided) if decided else None,
        "stable right": rates["stable"],
        "unstable right": rates["unstable"],
        "balanced accuracy": _balanced(rates.values()),
        "wrong": ", ".join(v["name"] for v in decided if v["outcome"] != v["label"]),
        "seconds": sum(v["seconds"] for v in verdicts),
    }


def _of_mesh(verdicts: Verdicts) -> dict[str, Any]:
    """The same crystals called unstable where the lowest frequency of a mesh is: as PhononDB's labels are."""
    asked = [v for v in verdicts if v.get("interpolated") and v["label"] in {"stable", "unstable"}]
    called = [v | {"outcome": label_of(v["interpolated"]["frequency"])} for v in asked]
    rates = {label: _rate(called, label) for label in ("stable", "unstable")}
    return {
        "unstable of the mesh right": rates["unstable"],
        "balanced, of the mesh": _balanced(rates.values()),
    }


def _balanced(rates: Iterable[float | None]) -> float | None:
    """The mean of both rates, where both are known."""
    known = [rate for rate in rates if rate is not None]
    return sum(known) / 2 if len(known) == 2 else None


def _rate(decided: Verdicts, label: str) -> float | None:
    of_label = [v for v in decided if v["label"] == label]
    return sum(v["outcome"] == label for v in of_label) / len(of_label) if of_label else None


def stored(folder: Path, which: str) -> dict[str, list[dict[str, Any]]]:
    """Verdicts by potential (and setting)."""
    return {
        place.name: [json.loads(file.read_text(encoding="utf-8")) for file in sorted(place.glob("*.json"))]
        for place in sorted((folder / which).iterdir())
    }


def publish_scores(folder: Path, which: str) -> None:
    """Write the figures of a set."""
    found = stored(folder, which)
    of_mesh = _of_mesh if which in {"balanced", "afterwards"} else None
    ways = {"skewed": _agreement, "layered": _one_by_one, "descriptions": _by_crystal}
    rows = ways[which](found) if which in ways else _scores(found, of_mesh)
    publish(
        f"phonons-{which}",
        page="potentials",
        title=_TITLES[which],
        command=f"python -m tests.benchmarks.phonons {which} --oracle NAME --publish",
        rows=rows,
        seconds=sum(v["seconds"] for verdicts in found.values() for v in verdicts),
        notes=_NOTES[which],
        headline=_HEADLINES[which],
    )
    if which == "afterwards":
        publish_thresholds(folder)


def _scores(
    found: dict[str, list[dict[str, Any]]], further: Callable[[Verdicts], dict[str, Any]] | None
) -> list[dict[str, Any]]:
    """A row for each potential, then what each other one says of the crystals of fewer.

    further: columns beside those of ``score``.
    """
    named = dict(found)
    for name, verdicts in found.items():
        names = {verdict["name"] for verdict in verdicts}
        for other, theirs in found.items():
            if len(theirs) > len(verdicts):
                named[f"{other}, of those of {name}"] = [v for v in theirs if v["name"] in names]
    columns = further or (lambda _: {})
    return [{"potential": name} | score(verdicts) | columns(verdicts) for name, verdicts in named.items()]


def _agreement(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Default settings beside images at least 12 Å apart, for each potential."""
    rows = []
    for name, verdicts in found.items():
        wide = {v["name"]: v for v in found.get(f"{name}, 12 Å", [])}
        pairs = [(v, wide[v["name"]]) for v in verdicts if v["name"] in wide]
        if not pairs:
            continue
        same = [v["outcome"] == w["outcome"] for v, w in pairs]
        undecided = ["undecided" in (v["outcome"], w["outcome"]) for v, w in pairs]
        opposed = [a["name"] for (a, _), s, u in zip(pairs, same, undecided, strict=True) if not s and not u]
        rows.append(
            {
                "potential": name,
                "crystals": len(pairs),
                "same": sum(same) / len(same),
                "one undecided": sum(u and not s for s, u in zip(same, undecided, strict=True)),
                "opposed": ", ".join(opposed),
            }
        )
    return rows


def _by_crystal(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """How many crystals have one verdict in all their descriptions, for each potential."""
    rows = []
    for name, verdicts in found.items():
        groups: dict[str, list[dict[str, Any]]] = {}
        for verdict in verdicts:
            groups.setdefault(verdict["name"].split()[0], []).append(verdict)
        groups = {crystal: group for crystal, group in groups.items() if len(group) == DESCRIPTIONS}
        outcomes = {crystal: {v["outcome"] for v in group} for crystal, group in groups.items()}
        lowest = [[v["lowest_frequency"] for v in group] for group in groups.values()]
        apart = [max(values) - min(values) for values in lowest if None not in values]
        rows.append(
            {
                "potential": name,
                "crystals": len(groups),
                "verdicts": DESCRIPTIONS * len(groups),
                "with one verdict": sum(len(kinds) == 1 for kinds in outcomes.values()),
                "unstable": sum(kinds == {"unstable"} for kinds in outcomes.values()),
                "undecided": sum(kinds == {"undecided"} for kinds in outcomes.values()),
                "largest difference, THz": max(apart, default=None),
                "with several": ", ".join(c for c, kinds in outcomes.items() if len(kinds) > 1),
            }
        )
    return rows


def _one_by_one(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each crystal with default settings and with images at least 12 Å apart."""
    rows, order = [], [entry.name for entry in LAYERED]
    for name, verdicts in found.items():
        wide = {v["name"]: v for v in found.get(f"{name}, 12 Å", [])}
        rows += [
            {
                "potential": name,
                "crystal": verdict["name"],
                "literature": verdict["label"],
                "verdict": verdict["outcome"],
                "THz": verdict["lowest_frequency"],
                "images, Å": verdict.get("image_distance"),
                "verdict, 12 Å": other["outcome"],
                "THz, 12 Å": other["lowest_frequency"],
                "seconds": verdict["seconds"],
            }
            for verdict in sorted(verdicts, key=lambda v: order.index(v["name"]))
            if (other := wide.get(verdict["name"]))
        ]
    return rows


def publish_thresholds(folder: Path) -> None:
    """Write what other thresholds would be worth, fitted on one half of the labels and asked of the other."""
    both = [stored(folder, which) for which in ("balanced", "afterwards")]
    names = [name for name in both[0] if name in both[1]]
    publish(
        "phonons-thresholds",
        page="potentials",
        title="Phonon verdicts against PhononDB by other thresholds",
        command="python -m tests.benchmarks.phonons afterwards --oracle NAME --publish",
        rows=[row for name in names for row in _thresholds(name, both[0][name] + both[1][name])],
        seconds=0.0,
        headline="balanced accuracy of {0[potential]}: {0[balanced accuracy]} as it is, "
        "{1[balanced accuracy]} with a threshold fitted on other crystals",
        notes=[
            f"fitted on one half of the crystals of both tables, asked of the other: means of {_HALVES} "
            "halvings, ± their standard deviation",
            f"a band: stable only above a width, undecided between; at most {_MOST_UNDECIDED:.0%} undecided "
            "where it is fitted",
            "verdicts that are undecided for other reasons count by their lowest frequency",
        ],
    )


def _thresholds(name: str, verdicts: Verdicts) -> list[dict[str, Any]]:
    asked = [v for v in verdicts if v["lowest_frequency"] is not None and v.get("interpolated")]
    unstable = np.array([v["label"] == "unstable" for v in asked])
    lowest = np.array([v["lowest_frequency"] for v in asked])
    mesh = np.array([v["interpolated"]["frequency"] for v in asked])
    steps = np.arange(-1.5, 1.51, 0.05)
    ways = (
        ("as it is", lowest, [(_TOLERANCE, _TOLERANCE)]),
        ("one threshold", lowest, [(at, at) for at in steps]),
        ("one threshold, of the mesh", mesh, [(at, at) for at in steps]),
        ("a band from −0.1 to 1 THz", lowest, [(_TOLERANCE, 1.0)]),
        ("a band above −0.1 THz", lowest, [(_TOLERANCE, at) for at in steps if at >= _TOLERANCE]),
    )
    return [
        {"potential": name, "crystals": len(asked), "rule": rule} | _halved(values, unstable, limits)
        for rule, values, limits in ways
    ]


def _halved(values: FloatArray, unstable: NDArray[np.bool_], limits: Sequence[Limits]) -> dict[str, Any]:
    """What the best of some limits (THz) on one half is worth on the other."""
    rng, found = np.random.default_rng(0), []
    for _ in range(_HALVES):
        order = rng.permutation(len(values))
        own, other = np.array_split(order, 2)
        best = max(limits, key=lambda pair: _worth(values[own], unstable[own], pair))
        balanced, share = _by_limits(values[other], unstable[other], best)
        found.append((balanced, share, best[1]))
    balanced, share, upper = np.array(found).T
    low, high = np.percentile(upper, [10, 90])
    return {
        "balanced accuracy": round(float(np.nanmean(balanced)), 3),
        "±": round(float(np.nanstd(balanced)), 3),
        "undecided": round(float(share.mean()), 3),
        "stable from, THz (10 to 90 %)": f"{low:.2f} to {high:.2f}",
    }


def _worth(values: FloatArray, unstable: NDArray[np.bool_], limits: Limits) -> float:
    balanced, share = _by_limits(values, unstable, limits)
    return balanced if share <= _MOST_UNDECIDED else -1.0


def _by_limits(values: FloatArray, unstable: NDArray[np.bool_], limits: Limits) -> tuple[float, float]:
    """Balanced accuracy of what lies outside the limits, and the share between them."""
    low, high = values < limits[0], values >= limits[1]
    decided = low | high
    rates = [right[kind & decided].mean() for right, kind in ((low, unstable), (high, ~unstable))]
    return float(np.mean(rates)), float(1 - decided.mean())


_TITLES = {
    "descriptions": "One phonon verdict for five descriptions of a crystal",
    "layered": "Phonon verdicts of layered and centred crystals, one by one",
    "textbook": "Phonon verdicts of textbook crystals",
    "phonondb": "Phonon verdicts against PhononDB",
    "balanced": "Phonon verdicts against PhononDB, as many unstable as stable",
    "afterwards": "Phonon verdicts against PhononDB, of crystals asked after the rules were settled",
    "skewed": "Phonon verdicts of skewed cells: default settings and images 12 Å apart",
}
_HEADLINES = {
    "descriptions": "{0[with one verdict]} of {0[crystals]} crystals have one verdict however described",
    "layered": "{0[crystal]}: {0[verdict]} by default settings, {0[verdict, 12 Å]} with images 12 Å apart",
    "textbook": "of decided textbook crystals {0[potential]} has {0[decided right]} right",
    "phonondb": "balanced accuracy against PhononDB of {0[potential]}: {0[balanced accuracy]}",
    "balanced": "balanced accuracy of {0[potential]}: verdicts {0[balanced accuracy]}, its mesh, labelled as "
    "PhononDB is, {0[balanced, of the mesh]}",
    "afterwards": "balanced accuracy of {0[potential]} on {0[crystals]} crystals that no rule was mended on: "
    "{0[balanced accuracy]}",
    "skewed": "of {0[crystals]} skewed cells a share of {0[same]} keeps its verdict with images 12 Å apart",
}
_NOTES = {
    "descriptions": [
        "compounds of dev_mp_structures.parquet with at most 6 atoms, by chance; primitive, primitive as "
        "pymatgen has it, turned, in another basis with sites moved and permuted, as a supercell",
        "each relaxed first; as many as the time went",
    ],
    "layered": [
        "labels and their sources: tests/benchmarks/phonons/layered.py, written down before any verdict; "
        "primitive cells of these have images at 3 to 6 Å",
        "each relaxed by the potential first; up to 512 atoms for images 12 Å apart",
    ],
    "textbook": [
        "labels and their sources: tests/benchmarks/phonons/textbook.py; marginal crystals are not scored",
        "each potential relaxes the crystal first; a second cell only where interpolation asks for it",
        "smallest first, as far as the time of a potential went: compare rows of the same crystals",
        "the larger of 7net-l3i5's before forces of the relaxed crystal were subtracted (decision 158); "
        "seconds under loads of 1 to 13 on two cores: compare none of them",
    ],
    "phonondb": [
        "300 drawn of dev_phonon_labels.parquet, the smallest first as far as the time went; unstable: below "
        "−0.5 THz in PhononDB (PBEsol)",
    ],
    "balanced": [
        "45 unstable and 45 stable ones of dev_phonon_labels.parquet of at most 8 atoms, by chance, in "
        "turns, smallest first, as far as the time went",
        "of the mesh: unstable where the lowest interpolated frequency is below −0.5 THz, which is how "
        "PhononDB's labels are made; verdicts judge only q-points that the supercell holds; this column was "
        "added after the other was seen, with the labels' own threshold",
        "what interpolation calls soft (decision 155) was mended on some of these crystals; the table of "
        "crystals asked afterwards says what that is worth",
        "7net-mf-0-pbe's and Nequix's before forces of the relaxed crystal were subtracted (decision 158)",
        "Nequix-OAM-1-PFT is no part of Niobe: package nequix 0.4.5, by import path; it learned force "
        "constants (PBE) of PhononDB's crystals, which these may be among",
        "seconds under loads of 2 to 30 on two cores: compare none of them",
    ],
    "afterwards": [
        "the largest of the same draw, 65 and more in its order, first asked after decision 155; labels and "
        "columns as there",
    ],
    "skewed": [
        "drawn of dev_mp_structures.parquet: primitive cells whose images by edges are nearer than 7.5 Å"
    ],
}
