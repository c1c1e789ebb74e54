"""Many machines: an executor over the workers of a `dask.distributed` scheduler.

A worker gets no submission before it has proved that its sandbox holds and that its software is
ours. Each job is sent to one worker that is free. Where it does not come back, or comes back
without a score for a reason that may be the machine's, it goes to another; a worker that fails at
jobs which others do is left out. So a lost worker costs time, and no submission its score.

Secrets and notebooks travel in a `Parcel`, and tasks have numbers for names: dask's logs and its
dashboard show neither.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import Client

from autograder import records
from autograder.course import CourseError
from autograder.foreign_text import visible
from autograder.grading.cluster_worker import Done, NotDone, Parcel, end_run, work
from autograder.grading.execution import ROOT
from autograder.grading.executor import Lost, RemoteWorkers
from autograder.grading.proof import Proof, prove, why_not
from autograder.grading.submission import GradedSubmission
from autograder.grading.watch import Bounds, bounds_of

POLL_S = 1.0
CONNECT_S = 10
PATIENCE_S = 600  # without any worker
LOSSES = 4  # of a job, each with its worker, before it is given up
DOUBTS = 2  # machines that must agree that a submission cannot be graded
STRIKES = 3  # jobs that others did and a worker did not, before it is left out
GONE = "the worker that did it has gone"
NO_SCHEDULER = (
    "No dask scheduler answers at {address} ({error}). docs/cluster.md says how to start one; its "
    "environment must be this one's, in the course's repository."
)


class LostJob(Exception):
    """A job that no worker has brought back."""


@dataclass(eq=False)
class _Job:
    parcel: Parcel
    future: Future[Any]
    bounds: Bounds | None = None
    begun: bool = False
    losses: int = 0
    doubts: int = 0
    failed_on: list[_Worker] = field(default_factory=list)


@dataclass(eq=False)
class _Worker:
    address: str
    name: str
    slots: int
    task: asyncio.Task[None] | None = None
    admitted: bool = False
    left_out: str = ""  # why
    strikes: int = 0

    @property
    def serves(self) -> bool:
        return self.admitted and not self.left_out


class Cluster(RemoteWorkers):
    """Sends jobs to the workers at `scheduler`: an address, or the path of a scheduler file.

    Entered, it waits until the first worker has passed. Raises CourseError where there is no
    scheduler, where no worker passes, or where all are gone for `patience` seconds: from then on,
    `submit` raises it too. `trusted` submissions need no sandbox. `say` is called from a thread.
    """

    def __init__(
        self,
        scheduler: str,
        trusted: bool = False,
        say: Callable[[str], None] = print,
        patience: float = PATIENCE_S,
    ):
        self.scheduler, self.trusted, self.patience = scheduler, trusted, patience
        self.dashboard = ""
        self._say = say
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._workers: dict[str, _Worker] = {}
        self._waiting: list[_Job] = []
        self._running: set[_Job] = set()
        self._failure: CourseError | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._in_thread, name="cluster", daemon=True)

    # --- in the thread of whoever grades --------------------------------------------------------

    def __enter__(self) -> Cluster:
        self._thread.start()
        try:
            self._ready.wait()
        except BaseException:
            self.shutdown()
            raise
        if self._failure is not None:
            self.shutdown()
            raise self._failure
        return self

    @property
    def slots(self) -> int:
        """Jobs that the workers do at once; never 0, since workers may come."""
        return max(1, sum(worker.slots for worker in self._workers.values() if worker.serves))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a module's function of one argument called on a worker."""
        (argument,) = args
        job = _Job(Parcel.of((fn, argument)), Future(), bounds_of(argument))
        if self._failure is not None:
            raise self._failure
        self._loop.call_soon_threadsafe(self._add, job)
        return job.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if self._thread.is_alive():
            with suppress(RuntimeError, AttributeError):  # it has just ended, or not yet begun
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(2 * CONNECT_S)

    # --- in the cluster's own thread ------------------------------------------------------------

    def _in_thread(self) -> None:
        for name in ("distributed", "distributed.client", "distributed.core"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters, we say
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="distributed")  # a large notebook, say
            try:
                asyncio.run(self._main())
            except Exception as error:  # nobody shall wait for a thread that has ended
                self._fail(f"The cluster cannot go on: {type(error).__name__}: {error}")
            finally:
                self._ready.set()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(_without_dask_s_own)
        self._changed = asyncio.Condition()
        is_file = self.scheduler.endswith(".json")
        place = {"scheduler_file" if is_file else "address": self.scheduler}
        try:
            if is_file and not Path(self.scheduler).is_file():
                raise FileNotFoundError("there is no such file")
            client = await Client(**place, asynchronous=True, timeout=CONNECT_S)
        except Exception as error:  # dask has many for this
            self._fail(NO_SCHEDULER.format(address=self.scheduler, error=error))
            return
        async with client:
            self._client, self.dashboard = client, client.dashboard_link or ""
            self._say(f"Scheduler: {client.scheduler.address}. Dashboard: {self.dashboard}")
            await self._look_on()
            await self._leave()

    async def _look_on(self) -> None:
        """Admit workers that come, and take back the jobs of those that go, until told to stop."""
        alone_since = self._loop.time()
        while not self._stop.is_set():
            try:
                told = await asyncio.wait_for(self._client.scheduler.identity(), CONNECT_S)
            except Exception as error:
                self._fail(
                    f"The scheduler at {self.scheduler} has gone ({type(error).__name__}). What is "
                    "graded is kept: start it and its workers again, then run this again."
                )
                return
            for address in self._workers.keys() - told["workers"].keys():
                self._depart(self._workers.pop(address))
            for address, worker in told["workers"].items():
                if address not in self._workers:
                    self._arrive(address, worker)
            if self.hopeful:
                alone_since = self._loop.time()
            elif self._loop.time() > alone_since + (self.patience if not self.refused else 0):
                self._fail(self._nobody())
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), POLL_S)

    @property
    def hopeful(self) -> bool:
        """Whether some worker serves, or is being examined."""
        return any(not worker.left_out for worker in self._workers.values())

    @property
    def refused(self) -> bool:
        """Whether workers are there, and all of them are left out."""
        return bool(self._workers) and not self.hopeful

    def _nobody(self) -> str:
        if not self.refused:
            return (
                f"No worker has been at {self.scheduler} for {self.patience:g} s. What is graded "
                "is kept: start workers, then run this again."
            )
        reasons = {worker.left_out for worker in self._workers.values()}
        return "\n".join(["Every worker of this cluster is left out:", *sorted(reasons)])

    def _fail(self, reason: str) -> None:
        self._failure = CourseError(reason)
        for job in [*self._waiting, *self._running]:
            if not job.future.done():
                job.future.set_exception(self._failure)

    async def _leave(self) -> None:
        """End what is running, also on the workers."""
        for worker in self._workers.values():
            worker.task.cancel()
        with suppress(Exception):  # one that goes at this moment
            there = list(self._workers)
            ended = self._client.run(end_run, self._run, workers=there, on_error="ignore")
            await asyncio.wait_for(ended, CONNECT_S / 2)

    def _arrive(self, address: str, told: dict[str, Any]) -> None:
        name = visible(str(told.get("name") or address))
        worker = _Worker(address, name, max(1, int(told.get("nthreads") or 1)))
        self._workers[address] = worker
        worker.task = self._loop.create_task(self._serve(worker))

    def _depart(self, worker: _Worker) -> None:
        worker.task.cancel()
        if worker.admitted:
            left = sum(other.serves for other in self._workers.values())
            self._say(f"Worker {worker.name} has gone; {left} left.")

    async def _serve(self, worker: _Worker) -> None:
        """Examine a worker, then send it jobs until it goes."""
        reason = await self._examine(worker)
        if reason:
            self._leave_out(worker, reason)
            return
        worker.admitted = True
        self._ready.set()
        await self._tell_all()
        async with asyncio.TaskGroup() as slots:
            for _ in range(worker.slots):
                slots.create_task(self._slot(worker))

    def _leave_out(self, worker: _Worker, reason: str) -> None:
        worker.left_out = f"Worker {worker.name} is left out: {reason}"
        self._say(worker.left_out)

    async def _examine(self, worker: _Worker) -> str:
        """Why a worker may not grade, or ""; a busy machine has a second chance."""
        reason = ""
        for _ in range(2):
            try:
                answer = await self._ask(worker, Parcel.of((prove, not self.trusted)))
            except Exception as error:
                answer = NotDone(f"{type(error).__name__}: {error}")
            if isinstance(answer, Done):
                proof: Proof = answer.value
                ours = await asyncio.to_thread(records.software, ROOT)
                reason = why_not(proof, ours)
                if not reason:
                    slots = f"{worker.slots} at once" if worker.slots > 1 else "one at a time"
                    self._say(f"Worker {worker.name} on {visible(proof.host)} grades {slots}.")
                    return ""
            else:
                reason = answer.reason
        return visible(reason)

    async def _ask(
        self, worker: _Worker, job: Parcel, bounds: Bounds | None = None
    ) -> Done | NotDone:
        key = f"trickster-{self._run}-{next(self._numbers)}"
        sent = self._client.submit(
            work, job, self._run, bounds, key=key, workers=[worker.address], pure=False
        )
        try:
            return (await sent).open()
        finally:
            sent.release()

    # --- jobs -----------------------------------------------------------------------------------

    def _add(self, job: _Job) -> None:
        self._waiting.append(job)
        self._loop.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _next(self, worker: _Worker) -> _Job:
        """A job for this worker: one that it has not failed at, if another could do that."""
        async with self._changed:
            while True:
                for job in self._waiting:
                    others = [w for w in self._workers.values() if w.serves]
                    if worker not in job.failed_on or set(others) <= set(job.failed_on):
                        self._waiting.remove(job)
                        return job
                await self._changed.wait()

    async def _slot(self, worker: _Worker) -> None:
        while worker.serves:
            job = await self._next(worker)
            if not job.begun and not job.future.set_running_or_notify_cancel():
                continue
            job.begun = True
            self._running.add(job)
            answer: Done | NotDone = NotDone(GONE)
            try:
                answer = await self._ask(worker, job.parcel, job.bounds)
            except Exception as error:  # dask has given it up
                answer = NotDone(f"{type(error).__name__}: {error}")
            finally:  # also where the worker has gone, and this is cancelled
                self._running.discard(job)
                self._settle(job, worker, answer)
                await self._tell_all()

    def _settle(self, job: _Job, worker: _Worker, answer: Done | NotDone) -> None:
        """The job's result, or another try."""
        if job.future.done():  # the cluster has failed meanwhile
            return
        if isinstance(answer, Done) and not doubtful(answer.value):
            if not isinstance(answer.value, Lost):  # which nobody could do
                for other in job.failed_on:
                    self._strike(other)
            job.future.set_result(answer.value)
            return
        job.failed_on.append(worker)
        if isinstance(answer, Done):
            job.doubts += 1
            if job.doubts == DOUBTS:
                job.future.set_result(answer.value)
                return
        else:
            job.losses += 1
            if job.losses == LOSSES:
                job.future.set_result(Lost(LostJob(answer.reason)))
                return
        self._waiting.insert(0, job)

    def _strike(self, worker: _Worker) -> None:
        """Another worker has done what this one failed at."""
        worker.strikes += 1
        if worker.strikes == STRIKES and worker.serves:
            self._leave_out(worker, f"others did {STRIKES} submissions at which it failed.")


def _without_dask_s_own(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of the exceptions by which dask's client ends what it does for a lost worker."""
    if not type(context.get("exception")).__module__.startswith("distributed"):
        loop.default_exception_handler(context)


def doubtful(result: Any) -> bool:
    """Whether a submission got no score for a reason that may be the machine's."""
    if not isinstance(result, GradedSubmission):
        return False
    return result.record.status == "failed" and not result.record.refused
