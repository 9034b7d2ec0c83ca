"""The GPAW oracle: protocols and starts by hand; with GPAW installed, energies and failures by cause."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.config.errors import ConfigError
from niobe.config.settings import Settings
from niobe.config.spec import CampaignSpec, Oracle
from niobe.flows.oracles.base import CalculationDiedError, NotConvergedError, correction_of
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.gpaw.oracle import GpawOracle
from niobe.flows.oracles.gpaw.process import ask, installed, python
from niobe.flows.oracles.gpaw.protocols import PROTOCOLS, starting_moments
from niobe.flows.oracles.potentials import UnphysicalAnswerError
from niobe.flows.oracles.registry import check_machine, make_oracle, missing_here
from niobe.loop.documents.records import Failure, Validation


def missing() -> str:
    try:
        installed(python())
    except ConfigError as error:
        return str(error)
    return ""


needs_gpaw = pytest.mark.skipif(bool(missing()), reason=missing() or "installed")
SPEC = CampaignSpec.model_validate(
    {"id": "g", "elements": ["Al", "Mg", "O"], "oracle": {"name": "gpaw", "protocol": "fast", "retries": 0}}
)


def aluminium(a: float = 4.04) -> Structure:
    return Structure(np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * a / 2, ["Al"], np.zeros((1, 3)))


def magnesia(a: float = 4.26) -> Structure:
    cell = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * a / 2
    return Structure(cell, ["Mg", "O"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


@pytest.fixture
def oracle() -> GpawOracle:
    return GpawOracle(SPEC.oracle)


@pytest.mark.parametrize(
    ("symbols", "ferro_only", "with_orderings"),
    [
        ("Mg O", [None], [None]),
        ("O O", [[1.0, 1.0]], [[1.0, 1.0]]),
        ("Fe O", [[5.0, 0.0]], [[5.0, 0.0]]),
        ("Ni O Ni O", [[5.0, 0.0, 5.0, 0.0]], [[5.0, 0.0, 5.0, 0.0], [5.0, 0.0, -5.0, 0.0]]),
    ],
)
def test_starting_moments_by_hand(symbols: str, ferro_only: Any, with_orderings: Any) -> None:
    assert starting_moments(symbols.split(), orderings=False) == ferro_only
    assert starting_moments(symbols.split(), orderings=True) == with_orderings


def test_every_protocol_is_a_scale_of_its_own() -> None:
    assert len({protocol.words() for protocol in PROTOCOLS.values()}) == len(PROTOCOLS) == 3
    cutoffs = [PROTOCOLS[name].cutoff for name in ("fast", "balanced", "stringent")]
    assert cutoffs == sorted(cutoffs)


def test_a_protocol_that_relaxes_more_coarsely_says_so() -> None:
    """Where it does not, fingerprints stay what they were."""
    assert "relaxed at 450 eV, 2.5 k-points/Å⁻¹" in PROTOCOLS["fast"].words()
    for name in ("balanced", "stringent"):
        protocol = PROTOCOLS[name]
        assert protocol.relaxing == (protocol.cutoff, protocol.density)
        assert "relaxed at" not in protocol.words()


@pytest.mark.parametrize(
    ("structure", "says"),
    [
        (magnesia(2.6), "sites are closer than any bond|volume 2"),
        (magnesia(12.0), "volume 216 Å³/atom; allowed 3.0 to 150"),
    ],
)
def test_what_gpaw_would_answer_without_a_word_is_refused(
    oracle: GpawOracle, structure: Structure, says: str, tmp_path: Path
) -> None:
    with pytest.raises(UnphysicalAnswerError, match=says):
        oracle.static([structure], tmp_path)


def test_a_machine_without_gpaw_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho 'ModuleNotFoundError: No module named gpaw' >&2\nexit 1\n")
    bare.chmod(0o755)
    for program, says in ((bare, "has no GPAW"), ("/nowhere/python", "cannot be run")):
        monkeypatch.setenv("NIOBE_GPAW_PYTHON", str(program))
        assert says in missing_here(SPEC)
        with pytest.raises(ConfigError, match=says):
            check_machine(SPEC)
    assert Settings().gpaw_ranks == 1


def test_ranks_need_what_starts_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("NIOBE_GPAW_RANKS", "2")
    assert missing_here(SPEC).startswith("oracle gpaw: several ranks need mpiexec")


def test_an_element_without_a_dataset_is_refused_as_the_file_is_read() -> None:
    assert Oracle(name="gpaw").unknown(["Nb", "Tc", "U"]) == ["Tc", "U"]
    assert Oracle(name="gpaw").wall_time == 86400


@needs_gpaw
def test_the_elements_are_those_of_the_datasets() -> None:
    there = installed(python())["elements"]
    assert Oracle(name="gpaw").unknown(there) == []


@needs_gpaw
def test_aluminium_and_magnesia(oracle: GpawOracle, tmp_path: Path) -> None:
    """Volumes by PBE with all electrons (Haas, Tran and Blaha, Phys. Rev. B 79, 085104, 2009), to 1 %."""
    found: dict[str, Validation] = {}
    for structure in (aluminium(4.1), magnesia(4.3)):
        name = structure.composition.reduced_formula
        outcome = validate_structure(SPEC, oracle, structure, tmp_path / name)
        assert isinstance(outcome, Validation), outcome
        found[name] = outcome
    assert found["Al"].volume_per_atom == pytest.approx(4.040**3 / 4, rel=0.01)
    assert found["MgO"].volume_per_atom == pytest.approx(4.255**3 / 8, rel=0.01)
    assert {f.correction for f in found.values()} == {0.0}
    (oracle_name,) = {f.oracle for f in found.values()}
    assert oracle_name == make_oracle(SPEC.oracle).fingerprint
    assert "PBE, 500 eV" in oracle_name and oracle_name.endswith("uncorrected")


@needs_gpaw
def test_forces_and_a_batch(oracle: GpawOracle, tmp_path: Path) -> None:
    """Forces against finite differences; a batch equals single structures; repeated is the same crystal."""
    moved = []
    for shift in (0.05, 0.06, 0.07):  # along a threefold axis, which keeps k-points few
        one = magnesia()
        one.translate_sites([0], [shift] * 3, frac_coords=False)
        moved.append(one)
    low, middle, high = oracle.static(moved, tmp_path)
    assert -(high.energy - low.energy) / 0.02 == pytest.approx(middle.forces[0].sum(), rel=0.05)
    (alone,) = oracle.static([moved[1]], tmp_path)
    assert alone.energy == pytest.approx(middle.energy, abs=1e-5)
    assert correction_of(oracle, alone) == 0.0


@needs_gpaw
@pytest.mark.skipif(shutil.which("mpiexec") is None, reason="several ranks need mpiexec")
def test_two_ranks_answer_as_one_does(
    oracle: GpawOracle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (one,) = oracle.static([aluminium()], tmp_path)
    monkeypatch.setenv("NIOBE_GPAW_RANKS", "2")
    (two,) = oracle.static([aluminium()], tmp_path)
    assert two.energy == pytest.approx(one.energy, abs=1e-5)
    said = (tmp_path / "static" / "gpaw.txt").read_bytes().decode(errors="replace")
    assert re.search(r"^cores: +2$", said, re.MULTILINE)


@needs_gpaw
def test_wall_time_ends_the_electrons_midway_and_its_processes(oracle: GpawOracle, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"oracle": SPEC.oracle.model_copy(update={"wall_time": 4.0})})
    found = validate_structure(spec, GpawOracle(spec.oracle), magnesia() * [2, 2, 2], tmp_path)
    assert isinstance(found, Failure)
    assert (found.cause, found.attempts) == ("wall_time", 1)
    assert found.seconds < 30
    assert processes(tmp_path) == []


@needs_gpaw
def test_a_killed_rank_is_a_death_and_a_new_try_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = SPEC.oracle.model_copy(update={"retries": 1})
    killer = threading.Thread(target=kill_first, args=(tmp_path,))
    killer.start()
    (answer,) = GpawOracle(spec).static([magnesia()], tmp_path)
    killer.join()
    assert answer.energy < 0
    killer = threading.Thread(target=kill_first, args=(tmp_path,))
    killer.start()
    with pytest.raises(CalculationDiedError, match="ended with code -9 and no answer"):
        GpawOracle(SPEC.oracle).static([magnesia()], tmp_path)
    killer.join()


@needs_gpaw
def test_too_little_memory_and_electrons_that_do_not_converge(
    monkeypatch: pytest.MonkeyPatch, oracle: GpawOracle, tmp_path: Path
) -> None:
    task = {"structures": [oracle._content(magnesia())], "relax": False, "memory": 0}
    short = PROTOCOLS["fast"].settings() | {"iterations": 3}
    with pytest.raises(NotConvergedError, match="nor with careful mixing"):
        ask(task | {"protocol": short}, tmp_path, time.time() + 100)
    monkeypatch.setenv("NIOBE_GPAW_MEMORY", "0.3")
    found = validate_structure(SPEC, oracle, magnesia(), tmp_path)
    assert isinstance(found, Failure) and found.cause == "died", found


@needs_gpaw
def test_gpaw_ends_with_who_started_it(oracle: GpawOracle, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from tests.flows.oracles.test_gpaw import *; import sys;"
        "GpawOracle(SPEC.oracle).static([magnesia() * [2, 2, 2]], Path(sys.argv[1]))"
    )
    started = subprocess.Popen([*python_here(), program, str(tmp_path)])
    wait_for(lambda: bool(processes(tmp_path)))
    started.kill()
    started.wait()
    wait_for(lambda: not processes(tmp_path))


def python_here() -> list[str]:
    import sys

    return [sys.executable, "-c"]


def processes(folder: Path) -> list[int]:
    """Of GPAW on a task in ``folder``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0") if entry.name.isdigit() else []
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(word.endswith("worker.py") for word in words) and str(folder) in " ".join(words):
            found.append(int(entry.name))
    return found


def kill_first(folder: Path) -> None:
    wait_for(lambda: bool(processes(folder)))
    time.sleep(1.0)
    os.kill(processes(folder)[0], signal.SIGKILL)


def wait_for(what: Any, seconds: float = 60.0, every: float = 0.1) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(every)
