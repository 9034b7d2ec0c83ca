"""Faults on purpose: what goes wrong with VASP on a cluster, drawn from a seed and a bounded number of times.

``MOCK_VASP_FAULTS`` names a JSON file with a list of faults; how often each has struck is counted beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from niobe.flows.oracles.mock_vasp.inputs import Cell, Inputs
from niobe.flows.oracles.mock_vasp.ionic import IonicStep

VARIABLE = "MOCK_VASP_FAULTS"
FaultKind = Literal[
    "unconverged_scf",
    "unconverged_relaxation",
    "message",
    "segfault",
    "killed",
    "truncated",
    "no_outcar",
    "hang",
    "positive_energy",
    "infinite_energy",
    "nan_energy",
    "exploded_cell",
]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
_SPOILT_ENERGY = {"infinite_energy": float("inf"), "nan_energy": float("nan")}
_EXPLOSION = 4.0
_HANG_SECONDS = 0.2


class FaultsError(ValueError):
    """MOCK_VASP_FAULTS cannot be read."""


@dataclass(frozen=True)
class Fault:
    """Strikes runs whose label contains ``match``, a share ``rate`` of them, each at most ``attempts`` times.

    text: what the kind ``message`` prints.
    """

    kind: FaultKind
    match: str = ""
    attempts: int = 1
    rate: float = 1.0
    seed: int = 0
    text: str = "ZBRENT: fatal error in bracketing"


def fault_of_run(inputs: Inputs) -> Fault | None:
    """The fault that strikes this run, counted as one attempt; None as a rule. Raises FaultsError."""
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    file = Path(named)
    label, identity = run_label(inputs), _identity(inputs)
    for index, fault in enumerate(read_faults(file)):
        key = f"{index}-{identity}"
        if fault.match in label and _drawn(f"{fault.seed}/{key}") < fault.rate and _strikes(file, key, fault):
            return fault
    return None


def read_faults(file: Path) -> list[Fault]:
    """The faults of a JSON file. Raises FaultsError naming what is wrong."""
    try:
        faults = [Fault(**entry) for entry in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, TypeError, ValueError) as error:
        raise FaultsError(f"{VARIABLE}={file}: {error}") from None
    for fault in faults:
        if fault.kind not in KINDS:
            raise FaultsError(f"{VARIABLE}={file}: kind {fault.kind!r}; allowed: {', '.join(KINDS)}")
    return faults


def run_label(inputs: Inputs) -> str:
    """What ``match`` is looked for in: ``relax`` or ``static``, and the species with their counts."""
    kind = "relax" if inputs.tag("NSW", 0) > 0 else "static"
    return f"{kind} {' '.join(f'{symbol}{count}' for symbol, count in inputs.cell.species)}"


def _identity(inputs: Inputs) -> str:
    """The same for the same calculation, however often it is started."""
    cell = inputs.cell
    content = f"{run_label(inputs)} {cell.lattice.round(4).tolist()} {cell.positions.round(4).tolist()}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _drawn(text: str) -> float:
    """A number from 0 to 1 that is always the same for the same text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32


def _strikes(file: Path, key: str, fault: Fault) -> bool:
    """Whether an attempt is left; it is used up by this call."""
    counters = file.with_suffix(".struck")
    counters.mkdir(exist_ok=True)
    for attempt in range(fault.attempts):
        try:
            (counters / f"{key}-{attempt}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def scf_steps(fault: Fault | None, most: int) -> int:
    """How many electronic steps a run reports: NELM of them where it does not converge."""
    return most if fault is not None and fault.kind == "unconverged_scf" else min(2, most)


def spoilt(fault: Fault | None, steps: Iterator[IonicStep], inputs: Inputs) -> Iterator[IonicStep]:
    """The steps as the fault leaves them.

    inputs: the run's input files.
    """
    if fault is None:
        yield from steps
    elif fault.kind == "unconverged_relaxation":
        first = next(steps)
        for number in range(1, max(1, inputs.tag("NSW", 0)) + 1):
            yield replace(first, number=number, converged=False)
    else:
        for step in steps:
            yield _spoilt(fault, step)


def _spoilt(fault: Fault, step: IonicStep) -> IonicStep:
    energy = step.response.energy
    if fault.kind == "positive_energy":
        energy = 100.0 + abs(energy)
    energy = _SPOILT_ENERGY.get(fault.kind, energy)
    cell = step.cell
    if fault.kind == "exploded_cell":
        cell = Cell(cell.symbols, _EXPLOSION * cell.lattice, cell.positions)
    return replace(step, cell=cell, response=replace(step.response, energy=energy))


def strike_midway(fault: Fault | None) -> None:
    """Faults that end the process, or keep it from ending, while it runs."""
    if fault is None:
        return
    if fault.kind == "message":
        print(f" {fault.text}", flush=True)
        raise SystemExit(1)
    if fault.kind in {"segfault", "killed"}:
        os.kill(os.getpid(), signal.SIGSEGV if fault.kind == "segfault" else signal.SIGKILL)
    while fault.kind == "hang":
        time.sleep(_HANG_SECONDS)


def strike_after(fault: Fault | None, folder: Path) -> None:
    """Faults of the files a run leaves."""
    if fault is not None and fault.kind == "truncated":
        file = folder / "vasprun.xml"
        os.truncate(file, file.stat().st_size * 2 // 3)
    if fault is not None and fault.kind == "no_outcar":
        (folder / "OUTCAR").unlink()
