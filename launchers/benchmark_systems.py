"""Runs `niobe bench systems`: each arm on each system, protocol and seed in a home of its own; finished runs
are kept, and what other programs found is judged beside."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.launchers.terminal import styled

if TYPE_CHECKING:
    from rich.console import Console

    from niobe.config.spec import CampaignSpec
    from niobe.loop.benchmark.generative import Run
    from niobe.loop.benchmark.systems import Protocol, Rules
    from niobe.loop.documents.records import StructureRecord


@dataclass(frozen=True)
class Comparison:
    """What to compare. known: a folder with one of structure files for each system. peers: a folder with what
    other programs found, see ``peer_runs``. arms: by name, all where none is named. finished: run nothing."""

    systems: Sequence[str]
    protocols: Sequence[str]
    seeds: Sequence[int]
    rules: Rules
    folder: Path
    known: Path | None = None
    peers: Path | None = None
    arms: tuple[str, ...] = ()
    finished: bool = False


def compare(comparison: Comparison, console: Console) -> dict[str, Any]:
    """Run what is missing; ``rows`` of figures, ``hits`` by table, arm, run and call; ``beside Niobe``, of
    each other arm, how many times its finds Niobe made, by what was equal.

    comparison: what to run. console: where progress is shown. Raises ConfigError for an arm that is none and
    for files that are none.
    """
    from niobe.loop.benchmark.systems import IN_EQUAL, PROTOCOLS, beside, beside_in_equal

    unknown = sorted(set(comparison.protocols) - set(PROTOCOLS))
    if unknown:
        raise ConfigError(f"--protocol: {unknown[0]!r} is none; allowed: {', '.join(PROTOCOLS)}")
    rows: list[dict[str, Any]] = []
    hits: dict[str, dict[str, list[list[bool]]]] = {}
    for system in comparison.systems:
        for protocol in (name for name in PROTOCOLS if name in comparison.protocols):
            found, curves = _one(comparison, system, protocol, console)
            rows += [{"system": system, "protocol": protocol, **row} for row in found]
            hits |= {f"{system}, {protocol}": curves} if curves else {}
    ratios = {f"ε {width}": beside(rows, "Niobe", f"finds, ε {width}") for width in ("0.1", "0.02")}
    ratios |= {f"in equal {unit}": beside_in_equal(unit, rows, "Niobe") for unit in IN_EQUAL}
    texts = {
        other: {kind: found[other] for kind, found in ratios.items() if other in found}
        for other in ratios["ε 0.1"]
    }
    return {"rows": rows, "hits": hits, "beside Niobe": texts}


def _one(
    comparison: Comparison, system: str, protocol: Protocol, console: Console
) -> tuple[list[dict[str, Any]], dict[str, list[list[bool]]]]:
    """Figures and hits of one system by one protocol."""
    from niobe.launchers.benchmarking import known_phases
    from niobe.loop.benchmark.systems import arms, campaign, compared, curves

    files, rules = _known_files(comparison.known, system), comparison.rules
    spec, folder = campaign(system, protocol, files, rules), comparison.folder / system / protocol
    runs = _runs(comparison, spec, folder, console)
    if not runs:
        return [], {}
    known = known_phases(campaign(system, "kept-out", files, rules), comparison.folder / system)
    theirs = peer_runs(spec, comparison.peers, folder) if comparison.peers else []
    labels = {run.setting: run.setting for run in theirs}
    labels |= {setting.name: setting.adds for setting in arms(spec)}
    everything, calls = [*theirs, *runs], spec.budget.validations
    return (
        compared(everything, known, labels, spec.elements, calls),
        curves(everything, known, labels, spec.elements, calls),
    )


def _runs(comparison: Comparison, spec: CampaignSpec, folder: Path, console: Console) -> list[Run]:
    """Every arm that is asked for, on the first seed, then on the next."""
    from niobe.launchers.benchmarking import kept_at, run_setting
    from niobe.loop.benchmark.systems import arms

    settings = arms(spec)
    unknown = sorted(set(comparison.arms) - {setting.name for setting in settings})
    if unknown:
        allowed = ", ".join(setting.name for setting in settings)
        raise ConfigError(f"--arm: {unknown[0]!r} is no arm; allowed: {allowed}")
    asked = [setting for setting in settings if not comparison.arms or setting.name in comparison.arms]
    runs = []
    for seed, setting in product(comparison.seeds, asked):
        if not comparison.finished or kept_at(setting, seed, folder).is_file():
            console.print(styled(f"{spec.id}: {setting.adds}", "bold"), f"seed {seed}")
            runs.append(run_setting(setting, seed, folder, console))
    return runs


def _known_files(known: Path | None, system: str) -> list[str]:
    """Structure files of what is known in a system. Raises ConfigError where there is no folder of it."""
    if known is None:
        return []
    if not (known / system).is_dir():
        raise ConfigError(f"--known: {known / system} is no folder; it holds structure files of {system}")
    return [str(file.resolve()) for file in sorted((known / system).iterdir()) if file.is_file()]


def peer_runs(spec: CampaignSpec, peers: Path, folder: Path) -> list[Run]:
    """What other programs found on a system: each structure asked about by the campaign's oracle, and kept.

    peers: a folder; ``SYSTEM/NAME-SEED.json`` holds ``name``, ``seed``, ``seconds`` and ``structures``, one
    for each call in that order (pymatgen's dictionaries; null for a call that failed), and by when each was
    over (``ended``, seconds from the start) and how many geometries the potential was asked about by then
    (``evaluated``), where that is known. folder: where what is judged is kept.
    Raises ConfigError for a file that is none.
    """
    from niobe.loop.benchmark.generative import Run
    from niobe.loop.benchmark.replaying import write_json

    runs = []
    for file in sorted((peers / spec.chemsys).glob("*.json")):
        kept = folder / "peers" / file.name
        if not kept.is_file():
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
                structures, seconds = content["structures"], float(content["seconds"])
                name, seed = str(content["name"]), int(content["seed"])
                ended, evaluated = (_of_calls(content.get(n, []), structures) for n in ("ended", "evaluated"))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"--peers: {file}: no run of a peer ({type(error).__name__})") from error
            calls = _answered(spec, structures, folder / "work")
            run = Run(
                setting=name,
                seed=seed,
                seeds=(),
                calls=tuple(calls),
                seconds=seconds,
                ended=tuple(ended),
                evaluated=tuple(map(int, evaluated)),
            )
            write_json(kept, run.model_dump(mode="json"))
        runs.append(Run.model_validate_json(kept.read_text(encoding="utf-8")))
    return runs


def _of_calls(spent: Sequence[float], structures: Sequence[Any]) -> list[float]:
    """What was spent by the end of each call that did not fail. Raises ValueError where not each says."""
    if not spent:
        return []
    calls = zip(spent, structures, strict=True)
    return [float(by_then) for by_then, structure in calls if structure is not None]


def _answered(spec: CampaignSpec, structures: Sequence[Any], work: Path) -> list[StructureRecord]:
    """A record of each call, with the oracle's answer for what a peer relaxed."""
    from niobe.flows.oracles.calculation import validate_structure
    from niobe.flows.oracles.registry import make_oracle
    from niobe.loop.campaign.seeds import new_record
    from niobe.loop.crystals.decoding import decoded
    from niobe.loop.documents.records import Failure, Lineage, Status

    oracle, records = make_oracle(spec.oracle), []
    for index, content in enumerate(structures):
        if content is None:
            continue
        structure = decoded(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = validate_structure(spec, oracle, structure, work)
        record = new_record(spec, 1, index, structure, Lineage(generator="peer"))
        failed = isinstance(outcome, Failure)
        update = {"failure": outcome, "status": Status.FAILED} if failed else {"validation": outcome}
        records.append(record.model_copy(update={"status": Status.VALIDATED, "acquired_round": 1} | update))
    return records
