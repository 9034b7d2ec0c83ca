"""A SLURM of one node on this machine, in a folder of its own: munged, slurmctld, slurmd."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sinfo")
_START_SECONDS = 60.0

_SLURM = """\
ClusterName=niobe
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Why no SLURM can be started here, or ""."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"SLURM is not installed ({missing[0]} is missing): apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "a SLURM of our own needs root"


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which sbatch, squeue and scancel reach the cluster, which ends with the block."""
    _configure(folder)
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in _daemons(folder):
            daemons.append(_start(command, folder, environment))
        _wait_until_idle(environment)
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(30)


def _configure(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    ports = {"controller": _free_port(), "daemon": _free_port()}
    host = socket.gethostname().split(".")[0]
    (folder / "slurm.conf").write_text(_SLURM.format(host=host, folder=folder, **ports), encoding="utf-8")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n", encoding="utf-8")


def _daemons(folder: Path) -> list[list[str]]:
    munge = ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key"]
    munge += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge.pid"]
    munge += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
    return [munge, ["slurmctld", "-D", "-c"], ["slurmd", "-D"]]


def _start(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / f"{command[0]}.out").open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    time.sleep(1.0)
    if process.poll() is not None:
        raise RuntimeError(f"{command[0]}: {(folder / f'{command[0]}.out').read_text(errors='replace')}")
    return process


def _wait_until_idle(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        said = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True, check=False
        )
        if said.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    raise RuntimeError(f"the node did not become idle: {said.stdout} {said.stderr}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
