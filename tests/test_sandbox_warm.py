"""Programs that are forked into their sandboxes: as well kept as others, and as far apart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
from reference import ROOT

from autograder.sandbox import fork_server, warm_start
from autograder.sandbox.sandbox import Sandbox, run

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed: make setup says how"
)

KEPT = """
import json, os, resource, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
wanted = ("Umask", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
          "Seccomp_filters", "Groups", "SigBlk", "SigIgn", "SigCgt", "Threads", "PPid")
mounts = [line.split(" - ")[0].split()[3:] + line.split(" - ")[1].split()[:1]
          for line in open("/proc/self/mountinfo")]
print(json.dumps({
    "status": {name: status[name].split() for name in wanted},
    "limits": {name: resource.getrlimit(getattr(resource, name))
               for name in dir(resource) if name.startswith("RLIMIT_")},
    "mounts": sorted(map(str, mounts)), "folder": os.getcwd(), "root": sorted(os.listdir("/")),
    "environment": dict(os.environ), "path": sys.path[1:], "first": bool(os.getuid()),
    "memory": open("/proc/self/oom_score_adj").read(), "session": os.getsid(0) == os.getpid(),
    "files": len(os.listdir("/proc/self/fd")), "host": os.uname().nodename,
    "isolated": sys.flags.isolated, "unwritten": sys.dont_write_bytecode,
}))
"""


@pytest.fixture(autouse=True)
def it_forks() -> Iterator[None]:
    """Each of these tests is about forked programs: a test that ran others has proved nothing."""
    yield
    assert warm_start.failure() == ""


def printed(code: str, warm: bool = True, libraries: bool = True) -> str:
    result = run(code, 60, root=ROOT, warm=warm, libraries=libraries)
    assert not result.limit_hit, result
    return result.output.strip()


@pytest.mark.slow
def test_torch_is_imported_for_those_who_need_it() -> None:
    warm_start.stop()
    code = "import sys; print('ipykernel' in sys.modules, 'torch' in sys.modules)"
    assert printed(code, libraries=False) == "True False"
    assert printed(code) == "True True"
    assert printed(code, libraries=False) == "True True"  # once there, it costs nothing


def test_it_is_kept_as_one_that_is_started() -> None:
    started, forked = (json.loads(printed(KEPT, warm)) for warm in (False, True))
    assert forked.pop("session") and started.pop("session") is False  # it leads one of its own
    # bubblewrap leaves root's own programs rights that they could not use.
    for name in ("CapInh", "CapBnd"):
        assert int(forked["status"].pop(name)[0], 16) == 0
        started["status"].pop(name)
    # A venv in the repository leaves its folder there, with nothing else in it.
    started["path"] = [place for place in started["path"] if place != str(ROOT)]
    # What it was forked with does not count.
    more = forked["limits"].pop("RLIMIT_DATA")[0] - started["limits"].pop("RLIMIT_DATA")[0]
    assert 0 < more < 2**30
    assert forked == started
    assert forked["status"]["Seccomp"] == ["2"] and forked["status"]["CapEff"] == ["0" * 16]


PLANT = """
import abc, builtins, os, random, signal, socket, sys, time
import numpy, torch
from pathlib import Path
numpy.mean = lambda *a, **k: "planted"
torch.Tensor.planted = builtins.planted = "planted"
sys.modules["planted"] = sys
sys.path.append("/planted")
os.environ["PLANTED"] = "planted"
random.seed(1), numpy.random.seed(1), torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
for folder in ("/tmp", "/tmp/work", "/tmp/home", "/dev/shm", "/run/kernel"):
    Path(folder, "planted").write_text("planted")
listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0planted")
listener.listen()
network = socket.create_server(("127.0.0.1", 7777))
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
for number in range(3):
    os.open("/tmp/planted", os.O_RDONLY)
print("planted", flush=True)
time.sleep(60)
"""
FIND = """
import builtins, os, random, signal, socket, sys
import numpy, torch
from pathlib import Path
found = []
if numpy.mean([1.0, 3.0]) != 2: found.append("a function")
if hasattr(torch.Tensor, "planted") or hasattr(builtins, "planted"): found.append("an attribute")
if "planted" in sys.modules or "/planted" in sys.path: found.append("a module")
if "PLANTED" in os.environ: found.append("a variable")
if torch.get_default_dtype() != torch.float32: found.append("a setting")
for folder in ("/tmp", "/tmp/work", "/tmp/home", "/dev/shm", "/run/kernel"):
    if Path(folder, "planted").exists(): found.append(folder)
for family, place in ((socket.AF_UNIX, "\\0planted"), (socket.AF_INET, ("127.0.0.1", 7777))):
    try:
        socket.socket(family).connect(place)
        found.append("a socket")
    except OSError:
        pass
if signal.getsignal(signal.SIGUSR1) != signal.SIG_DFL: found.append("a handler")
if len(os.listdir("/proc/self/fd")) > 4: found.append("an open file")
if len([p for p in os.listdir("/proc") if p.isdigit()]) > 3: found.append("a process")
print(found)
"""


def test_nothing_passes_from_one_submission_to_the_next() -> None:
    """The first one is still alive, so that what only its life keeps would be found as well."""
    with Sandbox(root=ROOT, warm=True) as first:
        first.start([sys.executable, "-c", PLANT])
        deadline = time.monotonic() + 60
        while "planted" not in first.output:
            assert time.monotonic() < deadline and first.process.poll() is None, first.output
            time.sleep(0.02)
        assert printed(FIND) == "[]"
        assert first.process.poll() is None
    assert printed(FIND) == "[]"


def test_what_is_planted_in_one_process_would_be_found() -> None:
    planted = PLANT.replace("time.sleep(60)", "")
    found = printed(f"{planted}\n{FIND}").split("\n", 1)[1]
    kinds = ("function", "attribute", "module", "variable", "setting", "socket", "handler", "file")
    assert [kind for kind in (*kinds, "/dev/shm", "/run/kernel") if kind not in found] == []


def test_each_draws_its_own_numbers() -> None:
    code = (
        "import multiprocessing, os, random, tempfile, uuid, numpy, torch\n"
        "print(random.random(), numpy.random.rand(), os.urandom(4).hex(), uuid.uuid4(),\n"
        "    multiprocessing.current_process().authkey.hex(), tempfile.mkdtemp(),\n"
        "    numpy.random.default_rng().random(), torch.initial_seed())"
    )
    one, other = (printed(code).split() for _ in range(2))
    assert len(one) == 8 and not set(one) & set(other)


SEARCH = """
import re
halves = {halves}
found = []
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        first, last = (int(number, 16) for number in line.split()[0].split("-"))
        if "rw" not in line or "[v" in line: continue
        memory.seek(first)
        try: content = memory.read(last - first)
        except OSError: continue
        for one, other in halves:
            place = content.find(one)
            while place >= 0:
                if content[place + len(one):].startswith(other): found.append(one + other)
                place = content.find(one, place + 1)
print(found)
"""


@pytest.mark.slow
def test_nothing_of_the_grader_lies_in_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    token = os.urandom(16).hex()
    monkeypatch.setenv("TRICKSTER_TEST_TOKEN", token)
    warm_start.stop()  # the next one is started with the variable there
    sought = [token, str(ROOT / "autograder")]
    halves = [(text[:-5].encode(), text[-5:].encode()) for text in sought]
    assert printed(SEARCH.format(halves=halves)) == "[]"
    known = "/trickster-fork-"  # it can find: the folder that the imports took for their home
    assert known in printed(SEARCH.format(halves=[(known[:-5].encode(), known[-5:].encode())]))


def test_an_exit_ends_the_sandbox() -> None:
    began = time.monotonic()
    result = run("import os; os._exit(3)", 60, root=ROOT, warm=True)
    assert result.status is not None and time.monotonic() - began < 30


def test_a_server_that_has_threads_is_not_forked() -> None:
    done = threading.Event()
    waiting = threading.Thread(target=done.wait)
    waiting.start()
    try:
        assert "threads" in fork_server.why_unsafe()
    finally:
        done.set()
        waiting.join()


@pytest.mark.slow
def test_where_nothing_can_be_forked_programs_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_start, "MODULES", ("no_module_of_this_name",))
    warm_start.stop()
    code = "import os, sys; print(os.getpid(), 'torch' in sys.modules)"
    try:
        assert printed(code) == "2 False" and warm_start.failure()
        assert printed(code) == "2 False"
    finally:
        warm_start.stop()


def test_a_fork_that_fails_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_start, "MODULES", ("json",))
    warm_start.stop()
    fork = warm_start.ForkServer.fork

    def elsewhere(server, process, request, output):
        return fork(server, 2**22 - 1, request, output)  # no such process

    monkeypatch.setattr(warm_start.ForkServer, "fork", elsewhere)
    try:
        assert printed("import os; print(os.getpid())") == "2"
        assert "FileNotFoundError" in warm_start.failure()
    finally:
        warm_start.stop()


def test_it_ends_with_the_grader() -> None:
    code = (
        "import subprocess, sys, time\n"
        "from autograder.sandbox import warm_start\n"
        "warm_start.MODULES = ('json',)\n"
        "server = warm_start.ForkServer()\n"
        "print(server.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
    with grader:
        server = psutil.Process(int(grader.stdout.readline()))
        grader.kill()
    assert not psutil.wait_procs([server], timeout=10)[1]
