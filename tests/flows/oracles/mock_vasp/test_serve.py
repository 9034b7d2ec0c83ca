"""A potential behind a Unix socket answers as it does in process, to many at once, and to this user only."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pymatgen.io.vasp import Vasprun

from niobe.flows.oracles.mock_vasp.inputs import Cell
from niobe.flows.oracles.mock_vasp.potential import LocalPotential, PotentialError, ServedPotential
from tests.flows.oracles.mock_vasp.machine import RELAX, cuau, environment, mock_vasp, prepare


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("served") / "s"
    code = "from niobe.flows.oracles.mock_vasp.serve import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "lj", str(path)], stdout=subprocess.PIPE, text=True, env=environment("")
    )
    assert process.stdout is not None
    assert str(path) in process.stdout.readline()
    yield path
    process.terminate()
    process.wait()
    process.stdout.close()


def cell(shift: float = 0.0) -> Cell:
    structure = cuau()
    return Cell(("Cu", "Au"), structure.lattice.matrix, structure.frac_coords + shift)


def test_served_equals_local(served: Path) -> None:
    here = LocalPotential("lj")
    with closing(ServedPotential(served)) as there:
        assert there.name == here.name
        assert there(cell()).energy == here(cell()).energy
        assert np.array_equal(there(cell()).forces, here(cell()).forces)
        assert np.array_equal(there(cell()).stress, here(cell()).stress)


def test_many_ask_at_once(served: Path) -> None:
    def ask(number: int) -> float:
        with closing(ServedPotential(served)) as there:
            return there(cell(number / 100)).energy

    with ThreadPoolExecutor(8) as pool:
        energies = list(pool.map(ask, range(16)))
    assert np.allclose(energies, energies[0])


def test_what_cannot_be_answered_is_said_and_the_server_lives_on(served: Path) -> None:
    far = Cell(("Cu",), 100 * np.eye(3), np.zeros((1, 3)))
    with closing(ServedPotential(served)) as there:
        with pytest.raises(PotentialError, match="volume"):
            there(far)
        assert np.isfinite(there(cell()).energy)
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(served))
        with raw.makefile("rw") as stream:
            for line in ("not json", '{"symbols": 3}'):
                stream.write(line + "\n")
                stream.flush()
                assert "not a question" in json.loads(stream.readline())["error"]


def test_only_this_user_may_connect(served: Path) -> None:
    assert stat.S_IMODE(served.stat().st_mode) == 0o600


def test_mock_vasp_asks_the_server(served: Path, tmp_path: Path) -> None:
    answers = []
    for folder, potential in ((tmp_path / "a", f"socket:{served}"), (tmp_path / "b", "lj")):
        prepare(folder, cuau(), RELAX)
        assert mock_vasp(folder, potential).returncode == 0
        run = Vasprun(folder / "vasprun.xml", parse_potcar_file=False)
        answers.append((run.final_energy, len(run.ionic_steps), run.vasp_version))
    assert answers[0] == answers[1]
