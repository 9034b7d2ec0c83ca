"""``python -m tests.benchmarks.peers.cryspy SYSTEM … [--calls N] [--seed S] [--to F]``: CrySPY's evolutionary
search of variable composition with the potential that campaigns ask by default.

The package is put into a folder of its own beside the results, without what it depends on, all of which is
here. What it relaxed is written for `niobe bench systems --peers`, call by call; a run that is there is not
done again.
"""

from __future__ import annotations

import argparse
import configparser
import importlib
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from niobe.config.spec import Oracle
from niobe.flows.oracles.potentials import potential, wall_time
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.benchmark.replaying import write_json
from niobe.loop.generators.elements import elemental_references

WANTED = "csp-cryspy==1.5.0"
KEPT = Path(".niobe/benchmarks/systems/peers")
LARGEST = 12
_GENERATION = {
    "n_pop": 10,
    **{"n_crsov": 3, "n_perm": 1, "n_strain": 1, "n_rand": 2, "n_add": 1, "n_elim": 1, "n_subs": 1},
    **{"n_elite": 2, "slct_func": "TNM", "t_size": 2},
}
"""CrySPY's own example of a search of variable composition, for generations of ten."""


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers.cryspy")
    parser.add_argument("systems", nargs="+")
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--to", type=Path, default=KEPT)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    _install(asked.to / "packages" / "cryspy")
    for system in asked.systems:
        file = asked.to / "-".join(sorted(system.split("-"))) / f"CrySPY-{asked.seed}.json"
        if not file.is_file():
            run(system.split("-"), asked.calls, asked.seed, file)


def _install(folder: Path) -> None:
    """Put CrySPY into the folder, and that on the path of this process."""
    if not (folder / "cryspy").is_dir():
        command = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), WANTED]
        subprocess.run([sys.executable, *command], check=True)
    sys.path.insert(0, str(folder.resolve()))
    sys.modules["tqdm.notebook"] = importlib.import_module("tqdm.std")  # no notebook shows its bars here


def run(elements: Sequence[str], calls: int, seed: int, file: Path) -> None:
    """Search until so many structures were relaxed, and write them in that order.

    elements: symbols. seed: of CrySPY. file: where they go; it works in a folder beside.
    """
    started, relaxed, ended = time.monotonic(), list[dict[str, Any] | None](), list[float]()
    evaluated = list[int]()
    oracle = Oracle()
    calculator = potential(oracle.name)
    with _working_in(file.with_suffix("")):
        _write_input(elements, seed)
        action: Any = importlib.import_module("cryspy.interactive.action")
        stepping: Any = importlib.import_module("cryspy.interactive.restart_interact")
        with _counted(calculator) as asked:
            stepping.opt_ase = _recorded(stepping.opt_ase, relaxed, evaluated, asked)
            action.initialize()
            while len(relaxed) < calls:
                before = len(relaxed)
                settings = {"symmetry": True, "fmax": oracle.fmax, "steps": oracle.max_steps}
                action.restart(min(5, calls - before), calculator, "BFGS", **settings)
                ended += [round(time.monotonic() - started, 1)] * (len(relaxed) - before)
                if len(relaxed) == before and not Path("cryspy.stat").is_file():
                    raise RuntimeError("CrySPY went no further")
    seconds = round(time.monotonic() - started, 1)
    spent = {"ended": ended[:calls], "evaluated": evaluated[:calls]}
    write_json(
        file, {"name": "CrySPY", "seed": seed, "seconds": seconds, "structures": relaxed[:calls], **spent}
    )


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with chdir(folder):
        yield


def _write_input(elements: Sequence[str], seed: int) -> None:
    """cryspy.in, and the files for a queue that it wants to see and does not read here."""
    each = " ".join(str(LARGEST // len(elements)) for _ in elements)
    content = configparser.ConfigParser()
    content["basic"] = {"algo": "EA-vc", "calc_code": "ASE", "nstage": "1", "njob": "5"}
    content["basic"].update({"jobcmd": "true", "jobfile": "job"})
    content["structure"] = {"atype": " ".join(elements), "ll_nat": " ".join("0" for _ in elements)}
    content["structure"].update({"ul_nat": each})
    content["ASE"] = {"ase_python": "ase_in.py"}
    energies = " ".join(f"{_reference(symbol):.6f}" for symbol in elements)
    content["EA"] = {name: str(value) for name, value in _GENERATION.items()} | {"ref_energies": energies}
    content["option"] = {"seed": str(seed)}
    with Path("cryspy.in").open("w", encoding="utf-8") as out:
        content.write(out)
    Path("calc_in").mkdir(exist_ok=True)
    for name in ("job", "ase_in.py_1", "ase_in.py"):
        (Path("calc_in") / name).write_text("true\n", encoding="utf-8")


def _reference(symbol: str) -> float:
    """The lowest energy of an element's crystals, eV/atom."""
    oracle = make_oracle(Oracle())
    found = []
    for _, structure in elemental_references([symbol]):
        try:
            found.append(oracle.relax(structure, Path("reference")).energy_per_atom)
        except RuntimeError:  # one that the potential lets fly apart is no reference
            continue
    return min(found)


@contextmanager
def _counted(calculator: Any) -> Iterator[list[int]]:
    """How many geometries the calculator, which a process loads once, is asked about inside, by then: one
    number."""
    asked, calculate = [0], calculator.calculate

    def counting(*arguments: Any, **named: Any) -> Any:
        asked[0] += 1
        return calculate(*arguments, **named)

    calculator.calculate = counting
    try:
        yield asked
    finally:
        calculator.calculate = calculate


def _recorded(
    relax: Any, relaxed: list[dict[str, Any] | None], evaluated: list[int], asked: Sequence[int]
) -> Any:
    """CrySPY's relaxation, which notes what came of it, and how many geometries were asked about by
    then; what left physics is a call that failed.

    It is told that its atoms lie far apart, at 0 eV: of an energy that is none CrySPY 1.5.0 makes an error.
    """

    def noted(work: str, structure: Any, *settings: Any) -> Any:
        try:
            with wall_time(Oracle().wall_time):
                answer = relax(work, structure, *settings)
        except Exception:  # noqa: BLE001 - whatever was raised, CrySPY goes on without it
            answer = (None, float("nan"), False)
        end, energy, converged = answer
        failed = end is None or energy != energy
        evaluated.append(asked[0])
        relaxed.append(end.as_dict() if converged and not failed else None)
        return (structure, 0.0, False) if failed else answer

    return noted


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # more slow relaxations of a few atoms down
    main()
