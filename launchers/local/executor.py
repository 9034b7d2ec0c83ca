"""Runs one jobflow workflow on this machine's cores: each job in a worker process, as its parents finish."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.config.home import worker_log
from niobe.config.settings import Settings
from niobe.launchers.interrupts import held_back
from niobe.launchers.local.forking import ONE_THREAD, worker_context

if TYPE_CHECKING:
    from jobflow import Flow, Job

Tick = Callable[[], None]
_MAX_DEATHS = 2
_TICK_SECONDS = 0.5
_SAFE_PATH, _STARTING = "PYTHONSAFEPATH", "niobe starts a worker"


class Workers:
    """A pool of worker processes, made when first needed and again when one of them died."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._pool is not None:
            self._pool.shutdown(wait=True)
        else:
            self.stop()

    def submit(self, job: Job) -> Future[None]:
        """Run a job in a worker process."""
        from monty.json import MontyEncoder

        if self._pool is None:
            self._pool = _new_pool(self.count)
        # A process that was begun and is not listed yet could not be ended.
        with held_back(), _no_main_module(), _no_working_folder():
            return self._pool.submit(_work, json.dumps(job.as_dict(), cls=MontyEncoder))

    def stop(self) -> None:
        """End the workers at once: what they had not stored is done again by whoever resumes."""
        if self._pool is None:
            return
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None


class FlowRun:
    """One run of a workflow. A job that fails stops only what cannot do without it."""

    def __init__(self, flow: Flow, workers: Workers) -> None:
        self._waiting = {job.uuid: (job, set(parents)) for job, parents in flow.iterflow()}
        self._workers = workers
        self._running: dict[Future[None], Job] = {}
        self._finished: set[str] = set()
        self._failed: set[str] = set()
        self._deaths: dict[str, int] = {}
        self._errors: dict[str, str] = {}

    def run(self, tick: Tick) -> dict[str, str]:
        """Run to the end; returns the errors of failed jobs by job name."""
        while self._waiting or self._running:
            self._start_ready()
            done, _ = wait(self._running, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                self._settle(future)
            tick()
        return self._errors

    def _start_ready(self) -> None:
        from jobflow import OnMissing

        for uuid, (job, parents) in list(self._waiting.items()):
            if not parents <= self._finished | self._failed:
                continue
            if parents & self._failed and job.config.on_missing_references is not OnMissing.NONE:
                del self._waiting[uuid]
                self._failed.add(uuid)
            elif len(self._running) < self._workers.count:
                del self._waiting[uuid]
                self._running[self._workers.submit(job)] = job

    def _settle(self, future: Future[None]) -> None:
        job = self._running.pop(future, None)
        if job is None:
            return
        error = future.exception()
        if error is None:
            self._finished.add(job.uuid)
        elif isinstance(error, BrokenProcessPool):
            self._after_death([job, *self._running.values()])
        else:
            self._fail(job, f"{type(error).__name__}: {error}")

    def _after_death(self, jobs: list[Job]) -> None:
        """A worker was killed or crashed: run again what was running, a bounded number of times."""
        self._running.clear()
        self._workers.stop()
        for job in jobs:
            self._deaths[job.uuid] = self._deaths.get(job.uuid, 0) + 1
            if self._deaths[job.uuid] > _MAX_DEATHS:
                self._fail(job, "its worker process died")
            else:
                self._waiting[job.uuid] = (job, set())

    def _fail(self, job: Job, error: str) -> None:
        self._failed.add(job.uuid)
        self._errors[job.name] = error


def _new_pool(count: int) -> ProcessPoolExecutor:
    environment = dict(os.environ)
    with _no_working_folder():
        return ProcessPoolExecutor(
            count,
            mp_context=worker_context(environment),
            initializer=start_pool_worker,
            initargs=(environment,),
        )


@contextmanager
def _no_working_folder() -> Iterator[None]:
    """Processes that are started now, multiprocessing's own too, import nothing that lies where they start.

    They begin as ``python -c``, which looks for modules in the working folder first.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = before or _STARTING
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Processes that are started now do not import the script that runs a campaign.

    multiprocessing imports ``__main__`` in each worker for functions that lie there. Ours do not, and a
    script that runs a campaign without asking for ``__name__ == "__main__"`` would run it in each worker too.
    """
    main = sys.modules["__main__"]
    kept = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    for name in kept:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def start_pool_worker(environment: dict[str, str]) -> None:
    """Prepare a worker of a pool, which ends with the process that made the pool.

    environment: that process's variables, which are not those a forked worker begins with.
    """
    import multiprocessing

    os.environ.clear()
    os.environ.update(environment)
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("a worker of a pool is started by multiprocessing")
    _prepare(parent.join)


def start_worker(parent: int) -> None:
    """Prepare this worker, which ends with its parent. parent: process id of it."""
    _prepare(lambda: _wait_for(parent))


def _prepare(wait_for_parent: Callable[[], None]) -> None:
    """One thread a worker (torch reads the variables too), Ctrl-C left to the parent, no life without it."""
    os.environ.update(ONE_THREAD)
    if os.environ.get(_SAFE_PATH) == _STARTING:  # Not for the programs that an oracle starts.
        del os.environ[_SAFE_PATH]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after, args=(wait_for_parent,), daemon=True).start()
    write_output_to(worker_log())


def write_output_to(log: Path) -> None:
    """What libraries print goes to a file, not across the progress display. log: the file."""
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(target, stream)
    os.close(target)


def _end_after(wait_for_parent: Callable[[], None]) -> None:
    wait_for_parent()
    os._exit(1)


def _wait_for(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_TICK_SECONDS)


def _work(serialised: str) -> None:
    import traceback
    import warnings

    from monty.json import MontyDecoder

    warnings.simplefilter("ignore")
    job = json.loads(serialised, cls=MontyDecoder)
    store = job_store()
    store.connect()
    try:
        job.run(store=store)
    except Exception:
        traceback.print_exc()
        raise
    finally:
        store.close()


def job_store() -> Any:
    """jobflow's JobStore in the campaign database, with GridFS for bulky data."""
    from jobflow import JobStore
    from maggma.stores import GridFSStore, MongoStore

    settings = Settings()
    outputs = MongoStore.from_uri(
        settings.mongo_uri,
        database=settings.database,
        collection_name="outputs",
        last_updated_field="completed_at",
    )
    data = GridFSStore.from_uri(settings.mongo_uri, database=settings.database, collection_name="data")
    return JobStore(outputs, additional_stores={"data": data})
