"""Several processes on one database: an exact counter, and FireWorks with its own commands."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from tests.launchers.embedded.worker import count_up

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent


def test_a_counter_from_8_processes_is_exact(mongo_uri: str, collection: Any) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=count_up, args=(mongo_uri, collection.name, 25)) for _ in range(8)]
    collection.insert_one({"_id": "c", "n": 0})
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert collection.find_one({"_id": "c"})["n"] == 200


class Queue:
    """A FireWorks database with a launchpad file, as a user has them."""

    def __init__(self, uri: str, folder: Path) -> None:
        from fireworks import LaunchPad

        self.folder, self.ran = folder, folder / "ran.txt"
        self.pad = LaunchPad(host=uri, name=f"fw_{ObjectId()}", uri_mode=True, strm_lvl="ERROR")
        self.pad.reset("", require_password=False)
        self.file = folder / "my_launchpad.yaml"
        self.pad.to_file(str(self.file))

    def add(self, *names: str, func: str = "mark") -> None:
        from fireworks import Firework, PyTask, Workflow

        for name in names:
            task = PyTask(func=f"tests.launchers.embedded.worker.{func}", args=[str(self.ran), name])
            self.pad.add_wf(Workflow([Firework(task, name=name)], name=name))

    def start(self, command: str, *arguments: str, place: str = ".") -> subprocess.Popen[str]:
        where = self.folder / place
        where.mkdir(exist_ok=True)
        return subprocess.Popen(
            [str(BIN / command), "-l", str(self.file), *arguments],
            cwd=where,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lpad(self, *arguments: str) -> str:
        """What ``lpad`` prints."""
        process = self.start("lpad", *arguments)
        said, complained = process.communicate(timeout=60)
        assert process.returncode == 0, complained
        return said

    def work(self, workers: int) -> float:
        """Let workers empty the queue; seconds until the last firework was done."""
        start = time.monotonic()
        places = [f"worker{i}" for i in range(workers)]
        processes = [self.start("rlaunch", "-s", "rapidfire", place=place) for place in places]
        for process in processes:
            _, complained = process.communicate(timeout=280)
            assert process.returncode == 0, complained
        return time.monotonic() - start

    def states(self) -> Counter[str]:
        return Counter(d["state"] for d in self.pad.fireworks.find({}, {"state": 1}))


@pytest.fixture
def queue(mongo_uri: str, tmp_path: Path) -> Any:
    queue = Queue(mongo_uri, tmp_path)
    yield queue
    queue.pad.connection.drop_database(queue.pad.name)
    queue.pad.connection.close()


def each_ran_once(queue: Queue, number: int) -> float:
    names = [f"f{i}" for i in range(number)]
    queue.add(*names)
    seconds = queue.work(4)
    assert queue.states() == {"COMPLETED": number}
    assert Counter(queue.ran.read_text().split()) == Counter(names)
    assert queue.pad.launches.count_documents({}) == number
    return seconds


def test_fireworks_of_4_workers_run_exactly_once(queue: Queue) -> None:
    each_ran_once(queue, 30)


@pytest.mark.slow
def test_200_fireworks_of_4_workers_run_exactly_once(queue: Queue) -> None:
    seconds = each_ran_once(queue, 200)
    print(f"200 fireworks by 4 workers in {seconds:.1f} s")


def test_the_commands_of_fireworks_work(queue: Queue) -> None:
    queue.add("one", "two")
    queue.add("broken", func="fail")
    queue.lpad("defuse_fws", "-i", "2")
    queue.work(1)
    assert queue.states() == {"COMPLETED": 1, "DEFUSED": 1, "FIZZLED": 1}
    assert '"name": "one--1"' in queue.lpad("get_wflows", "-d", "more")
    queue.lpad("rerun_fws", "-i", "1")
    queue.lpad("reignite_fws", "-i", "2")
    queue.work(1)
    assert Counter(queue.ran.read_text().split()) == {"one": 2, "two": 1}
    queue.add("lost", func="stall")
    rocket = queue.start("rlaunch", "-s", "singleshot")
    deadline = time.monotonic() + 60
    while "lost" not in queue.ran.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    rocket.kill()
    rocket.communicate()
    assert "Lost FireWorks: 1" in queue.lpad("detect_lostruns", "--time", "0", "--fizzle")
    assert queue.states() == {"COMPLETED": 2, "FIZZLED": 2}
