"""What GPAW answered, as a campaign asks it, once for all benchmarks."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from pymatgen.core import Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.records import Failure
from tests.benchmarks.relaxations import KEPT, kept

NO_ANSWER = 1e3  # eV/atom
WALL_TIME = 3600.0
Answer = dict[str, Any]
T = TypeVar("T")


def spec_of(protocol: str, **more: Any) -> CampaignSpec:
    """A campaign whose oracle is GPAW by that protocol. more: of its oracle."""
    oracle = {"name": "gpaw", "protocol": protocol, "wall_time": WALL_TIME} | more
    return CampaignSpec.model_validate({"id": "dft", "elements": ["H"], "oracle": oracle})


def by_gpaw(protocol: str, key: str, structure: Structure) -> Answer:
    """Relaxed and validated: energy in eV/atom, structure and seconds; a very high energy and the cause where
    it failed."""

    def ask() -> Answer:
        spec, work, started = spec_of(protocol), KEPT / f"work-{protocol}-{key}", time.monotonic()
        found = validate_structure(spec, make_oracle(spec.oracle), structure, work)
        shutil.rmtree(work, ignore_errors=True)
        took = {"seconds": round(time.monotonic() - started, 1)}
        if isinstance(found, Failure):
            failure = f"{found.cause}: {found.message}"
            return took | {"energy": NO_ANSWER, "structure": None, "failure": failure}
        return took | {"energy": found.energy_per_atom, "structure": found.structure}

    answer = kept(f"gpaw-{protocol}", key, ask)
    print(key, round(answer["energy"], 4), answer["seconds"], answer.get("failure", ""), flush=True)
    return answer


def within_minutes(prog: str, things: Iterable[T], answered: Callable[[T], bool]) -> Iterator[T]:
    """Those of ``things`` that were answered for, and while ``--minutes`` of a command last the others too.

    prog: its name.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {prog}")
    parser.add_argument("--minutes", type=float, default=1e6, help="ask nothing further afterwards")
    end = time.monotonic() + 60 * parser.parse_args().minutes
    for thing in things:
        if time.monotonic() < end or answered(thing):
            yield thing
