"""A dask scheduler and its workers as programs of their own on this machine, to try a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.store import ROOT

START_S = 120  # on a busy machine


@dataclass
class LocalCluster:
    """Programs in `folder`, each with a home and a cache of its own.

    with LocalCluster(folder) as cluster:
        cluster.start_worker("anna")
        cluster.kill("anna")
    """

    folder: Path
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def scheduler(self) -> str:
        """What `--scheduler` takes."""
        return str(self.folder / "scheduler.json")

    def __enter__(self) -> LocalCluster:
        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self._start("head", "dask_scheduler", *words, "--scheduler-file", self.scheduler)
        until = time.monotonic() + START_S
        while not Path(self.scheduler).is_file():
            if time.monotonic() > until or self.started["head"].poll() is not None:
                self.__exit__()
                raise RuntimeError(f"The scheduler does not start: {self.logs()}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.started:
            self.kill(name)

    def start_worker(self, name: str, **environ: str) -> None:
        """A worker that does one job at a time."""
        words = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name]
        words += ["--local-directory", str(self.folder / name)]
        self._start(name, "dask_worker", "--scheduler-file", self.scheduler, *words, **environ)

    def kill(self, name: str) -> None:
        """End a program as a power cut would."""
        self.started[name].kill()
        self.started[name].wait()

    def logs(self) -> str:
        """All that the programs have written."""
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    def _start(self, name: str, program: str, *words: str, **environ: str) -> None:
        home = self.folder / name
        home.mkdir(parents=True)
        own = {"HOME": str(home), "TRICKSTER_CACHE": str(home / "cache")}
        with (self.folder / f"{name}.log").open("w") as log:
            self.started[name] = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *words],
                cwd=ROOT, env={**os.environ, **own, **environ}, stdout=log, stderr=log,
            )  # fmt: skip
