"""Proves what this machine's sandbox enforces, by trying to break out of one.

`why_unavailable` is the quick test before grading; `examine` tries everything. Each probe runs
code as a hostile submission would, and a finding says what that code could do.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

from autograder.course import SECRET, find_root
from autograder.environment import variables
from autograder.sandbox import seccomp, warm_start
from autograder.sandbox.bwrap import SandboxError, can_limit_processes, transient_user
from autograder.sandbox.kernel import start_kernel, stop_kernel
from autograder.sandbox.limits import MIB, Limits
from autograder.sandbox.sandbox import ProgramResult, run

SMALL = Limits(memory=600 * MIB, processes=40, disk=20 * MIB)
QUICK_S = 20
END_S = 5


@dataclass(frozen=True)
class Finding:
    """One claim about the sandbox: whether it holds, what was observed, and the risk if not."""

    claim: str
    ok: bool
    observed: str
    risk: str = ""

    def __str__(self) -> str:
        if self.ok:
            return f"ok            {self.claim}: {self.observed}"
        return f"NOT ENFORCED  {self.claim}: {self.observed} {self.risk}".rstrip()


@functools.cache
def why_unavailable(root: Path | None = None) -> str:
    """Why submissions cannot run in a sandbox here, as sentences; "" when they can."""
    code = (
        "import importlib.util as u, os, sys\n"
        "missing = [name for name in ('trickster.data', 'trickster.checks.lab1', 'ipykernel')"
        " if u.find_spec(name) is None]\n"
        "sys.exit(f'not readable for all users: {missing}' if missing else 0)"
    )
    try:
        outcome = run(code, QUICK_S, root=root)
    except SandboxError as error:
        return str(error)
    if outcome.status == 0:
        return ""
    return (
        f"Python does not work in the sandbox: {_last_line(outcome.output)} Make the course's "
        "repository and its .venv readable for all users: chmod -R go+rX."
    )


def examine(root: Path | None = None) -> list[Finding]:
    """Try every wall and every limit; takes about twenty seconds.

    A program can be forked into its sandbox or started in it, and each probe tries both.
    """
    home = find_root(root)
    reason = why_unavailable(home)
    if reason:
        return [Finding("sandbox", False, f"{reason.rstrip('. ')}.", NO_SANDBOX_RISK)]
    started = Finding("sandbox", True, "it starts")
    return [started, _warm_start(home), *(_both_ways(probe, home) for probe in PROBES)]


def _warm_start(home: Path) -> Finding:
    """Whether programs are forked; where they are not, grading takes longer and is as safe."""
    run("", QUICK_S, root=home, warm=True)
    reason = warm_start.failure()
    how = f"not here ({reason}): each kernel imports anew" if reason else "kernels are forked"
    return Finding("warm start", True, how)


def _both_ways(probe: Callable[..., Finding], home: Path) -> Finding:
    """What a probe finds, started and forked; of two findings, the one that does not hold."""
    started = probe(home)
    if not started.ok or warm_start.failure():
        return started
    forked = probe(home, True)
    return started if forked.ok else replace(forked, observed=f"forked: {forked.observed}")


def report(echo: Callable[[str], None], root: Path | None = None) -> bool:
    """Print every finding in one line; True if everything is enforced."""
    findings = examine(root)
    for finding in findings:
        echo(str(finding))
    broken = sum(not finding.ok for finding in findings)
    echo(f"{broken} of {len(findings)} not enforced." if broken else "Everything is enforced.")
    return not broken


NO_SANDBOX_RISK = "Until then, grading needs --trust-submissions."


def _probe(claim: str, risk: str) -> Callable[..., Callable[..., Finding]]:
    """Turn a function that returns (holds, observed) into a probe of `claim`."""

    def decorate(function: Callable[[Path], tuple[bool, str]]) -> Callable[[Path], Finding]:
        @functools.wraps(function)
        def probe(home: Path, warm: bool = False) -> Finding:
            try:
                holds, observed = function(home, warm)
            except (SandboxError, psutil.Error, OSError, subprocess.SubprocessError) as error:
                holds, observed = False, f"the probe itself failed ({error})."
            return Finding(claim, holds, observed, risk)

        return probe

    return decorate


@_probe("network", "A submission could send out what it sees, or attack other machines.")
def _network(home: Path, warm: bool) -> tuple[bool, str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        outcome = _run(
            "import socket\n"
            f"for place in (('127.0.0.1', {port}), ('192.0.2.1', 80)):\n"
            "    try: socket.create_connection(place, 2)\n"
            "    except OSError as error: print(error.strerror)\n"
            "    else: print('connected')\n",
            home,
            warm,
        )
        server.settimeout(0)
        try:
            server.accept()
        except BlockingIOError:
            answers = outcome.output.strip().split("\n")
            return len(answers) == 2 and "connected" not in answers, ", ".join(answers)
    return False, "a connection came through."


@_probe("files", "A submission could read solutions, grades or the work of others.")
def _files(home: Path, warm: bool) -> tuple[bool, str]:
    with tempfile.NamedTemporaryFile(prefix="trickster-canary-") as canary:
        hidden = [home / name for name in ("solutions", "autograder", "labs", "course.toml")]
        hidden += [Path.home() / name for name in (".bashrc", ".ssh", ".profile", ".config")]
        hidden += [Path(canary.name), Path("/etc/shadow"), Path("/sys/class"), Path("/var")]
        outcome = _run(
            f"import os\nprint([p for p in {list(map(str, hidden))!r} if os.path.exists(p)])",
            home,
            warm,
        )
    return _prints(outcome, "[]", "only Python and the library are visible")


@_probe("hidden checks", "A submission could read the held-out data and the thresholds.")
def _checks(home: Path, warm: bool) -> tuple[bool, str]:
    code = (
        "import pathlib, trickster\n"
        "folder = pathlib.Path(trickster.__path__[0]) / 'checks'\n"
        "real = [p.name for p in folder.iterdir() if 'def refuse' not in p.read_text()]\n"
        "print(sorted(real))\n"
    )
    return _prints(
        _run(code, home, warm), "['__init__.py', 'probes.py']", "stand-ins take their place"
    )


@_probe("what grading draws", "A submission could know what the checks will ask.")
def _drawn(home: Path, warm: bool) -> tuple[bool, str]:
    code = (
        "import importlib.util, os\n"
        "names = [name for name in ('autograder', 'held_back') if importlib.util.find_spec(name)]\n"
        "names += [name for name in os.environ if name.startswith('TRICKSTER')]\n"
        "for place in {places!r}:\n"
        "    if os.path.lexists(place): names.append(place)\n"
        "print(names)\n"
    )
    with tempfile.TemporaryDirectory(prefix="trickster-class-") as folder:
        secret = Path(folder) / SECRET
        secret.write_text("ab" * 32)
        places = [secret, home / SECRET, home / "autograder" / "held_back", folder]
        with variables({"TRICKSTER_STORE": folder}):
            outcome = _run(code.format(places=list(map(str, places))), home, warm)
    return _prints(
        outcome, "[]", "no secret, no reserve of pictures, nothing that checks have kept"
    )


@_probe("writing", "A submission could change what the next one runs.")
def _writing(home: Path, warm: bool) -> tuple[bool, str]:
    code = (
        "import os, sys, sysconfig\n"
        "places = ['/', '/usr', '/etc', '/dev', '/run', '/course', '/course/trickster',\n"
        "    '/course/trickster/checks', '/course/datasets', sys.prefix, sys.base_prefix,\n"
        "    sysconfig.get_path('purelib'), '/proc/sys/kernel']\n"
        "for place in places:\n"
        "    try:\n"
        "        open(os.path.join(place, 'trickster-probe'), 'w').close()\n"
        "        print(place)\n"
        "    except OSError:\n"
        "        pass\n"
    )
    outcome = _run(code, home, warm)
    written = outcome.output.split()
    holds = outcome.status == 0 and not written
    return holds, "everything but the work folder is read-only" if holds else f"wrote in {written}."


@_probe("processes of others", "A submission could see, stop or trace the grader.")
def _others(home: Path, warm: bool) -> tuple[bool, str]:
    code = (
        "import os\n"
        f"try: os.kill({os.getpid()}, 0); print('reached the grader')\n"
        "except OSError: pass\n"
        "known = 1, 2, os.getpid()\n"  # bubblewrap's, `init`, and itself
        "print([p for p in os.listdir('/proc') if p.isdigit() and int(p) not in known])\n"
    )
    return _prints(_run(code, home, warm), "[]", "it sees only its own")


@_probe("privileges", "A flaw in Linux would be easier to exploit.")
def _privileges(home: Path, warm: bool) -> tuple[bool, str]:
    code = (
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "new_user, vsock = 0x10000000, 40\n"
        "print(os.getuid() == 0, libc.unshare(new_user) == 0, libc.socket(vsock, 1, 0) >= 0)\n"
        "print(libc.symlink(b'/', b'/tmp/work/link') == 0)\n"
    )
    outcome = _run(code, home, warm)
    holds = outcome.output.split() == ["False"] * 4
    filtered = "" if seccomp.supported() else " (there is no filter for this processor)"
    if holds:
        return True, "no root, no new namespaces, no host sockets, no links"
    got = " ".join(outcome.output.split())
    return False, f"root, namespace, host socket, link: {got}{filtered}."


@_probe("memory", "A submission could use up the machine's memory.")
def _memory(home: Path, warm: bool) -> tuple[bool, str]:
    alone = _run("bytearray(50 * 2**30)", home, warm, SMALL)
    # Each process stays below the limit, all together do not.
    many = _run(
        "import os\nfor _ in range(4): os.fork()\nx = b'x' * (100 * 2**20)\nimport time\n"
        "time.sleep(10)",
        home,
        warm,
        SMALL,
    )
    holds = "MemoryError" in alone.output and many.limit_hit.startswith("memory")
    ends = [outcome.limit_hit or _last_line(outcome.output) for outcome in (alone, many)]
    return holds, "; ".join([*ends, "by watching, ten times a second"])


@_probe("memory of no process", "A submission could use up the machine's memory unseen.")
def _hidden_memory(home: Path, warm: bool) -> tuple[bool, str]:
    mapped = _run(
        "import mmap\n"
        "for place in (None, '/dev/zero'):\n"
        "    try: mmap.mmap(open(place, 'r+b').fileno() if place else -1, 2**20)\n"
        "    except (OSError, ValueError): print('refused')\n"
        "    else: print('mapped')\n",
        home,
        warm,
        SMALL,
    )
    sockets = _run(
        "import os, socket, time\n"
        "for _ in range(3): os.fork()\n"
        "pairs = [socket.socketpair() for _ in range(240)]\n"
        "for one, _ in pairs:\n"
        "    one.setblocking(False)\n"
        "    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**23)\n"
        "    try:\n"
        "        while True: one.send(bytes(2**16))\n"
        "    except BlockingIOError: pass\n"
        "time.sleep(5)\n",
        home,
        warm,
        SMALL,
    )
    refused = mapped.output.split() == ["refused"] * 2
    seen = f"mappings: {', '.join(mapped.output.split())}; sockets: "
    return refused and sockets.limit_hit.startswith("memory"), seen + (
        sockets.limit_hit or "went on."
    )


@_probe("first to end", "When memory runs out, Linux could end the grader in its place.")
def _first_to_end(home: Path, warm: bool) -> tuple[bool, str]:
    code = (
        "place = '/proc/self/oom_score_adj'\n"
        "print(open(place).read().strip())\n"
        "try: open(place, 'w').write('0')\n"
        "except OSError: pass\n"
        "print(open(place).read().strip())\n"
    )
    return _prints(_run(code, home, warm), "1000\n1000", "its oom_score_adj is 1000 and stays so")


@_probe("number of processes", "A fork bomb would stop the machine.")
def _processes(home: Path, warm: bool) -> tuple[bool, str]:
    began = time.monotonic()
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    outcome = _run(bomb, home, warm, SMALL)
    took = time.monotonic() - began
    how = "" if can_limit_processes(transient_user()) else " (by the monitor alone)"
    holds = outcome.limit_hit.startswith("processes") and took < QUICK_S
    return holds, f"{outcome.limit_hit or 'a fork bomb went on'}, ended in {took:.1f} s{how}"


@_probe("disk", "A submission could fill the machine's disk or memory.")
def _disk(home: Path, warm: bool) -> tuple[bool, str]:
    code = (
        "import os\n"
        "total = 0\n"
        "for place in ('/tmp/work', '/tmp', '/dev/shm', '/run/kernel'):\n"
        "    for number in range(4):\n"
        "        try:\n"
        "            with open(f'{place}/{number}', 'wb', 0) as file:\n"
        "                for _ in range(100): total += file.write(bytes(2**20))\n"
        "        except OSError: pass\n"
        "print(total)\n"
        "import time; time.sleep(0.5)\n"
    )
    outcome = _run(code, home, warm, SMALL)
    numbers = outcome.output.split()
    written = int(numbers[-1]) if numbers else 0
    holds = 0 < written <= 2 * SMALL.disk + 2 * MIB and outcome.limit_hit.startswith("disk")
    return holds, outcome.limit_hit if holds else f"{written} bytes were written."


@_probe("time", "An endless loop would hold up the class.")
def _time(home: Path, warm: bool) -> tuple[bool, str]:
    code = (
        "import signal, os\n"
        "for number in range(1, 65):\n"
        "    try: signal.signal(number, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "os.fork()\n"
        "try: os.setsid()\n"
        "except OSError: pass\n"
        "while True: pass\n"
    )
    began = time.monotonic()
    outcome = run(code, 0.5, limits=SMALL, root=home, warm=warm)
    took = time.monotonic() - began
    holds = outcome.status is None and took < END_S
    return holds, f"a loop that ignores all signals was ended in {took:.1f} s"


@_probe("death of the grader", "Submissions could keep running after grading is stopped.")
def _orphans(home: Path, warm: bool) -> tuple[bool, str]:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from autograder.sandbox.sandbox import Sandbox\n"
        f"sandbox = Sandbox(root=Path({str(home)!r}), warm={warm})\n"
        "sandbox.start([sys.executable, '-c', 'while True: pass'])\n"
        "print(sandbox.pid1.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    package = str(Path(__file__).resolve().parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": package},
    )
    with parent:
        pid1 = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs([pid1], timeout=END_S)
    return not alive, "the sandbox ends with it" if not alive else "the sandbox lives on."


@_probe("kernel", "Notebooks cannot be graded in a sandbox.")
def _kernel(home: Path, warm: bool) -> tuple[bool, str]:
    began = time.monotonic()
    manager, client = start_kernel(root=home, warm=warm)
    took = time.monotonic() - began
    try:
        request = client.execute("while True: pass", store_history=False)
        stopped = _interrupted(manager, client, request)
    finally:
        stop_kernel(manager, client)
    return stopped, f"starts in {took:.1f} s and can be interrupted"


def _interrupted(manager: KernelManager, client: BlockingKernelClient, request: str) -> bool:
    """Interrupt until the `request` is answered; did it end by the interrupt?"""
    deadline = time.monotonic() + QUICK_S
    while time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            reply = client.get_shell_msg(timeout=0.5)
            if reply["parent_header"].get("msg_id") == request:
                return reply["content"].get("ename") == "KeyboardInterrupt"
        manager.interrupt_kernel()
    return False


PROBES = (
    *(_network, _files, _checks, _drawn, _writing, _others, _privileges),
    *(_memory, _hidden_memory, _first_to_end, _processes, _disk, _time, _orphans, _kernel),
)


def _prints(outcome: ProgramResult, wanted: str, observed: str) -> tuple[bool, str]:
    """`observed` where the code printed `wanted` and nothing else; otherwise what it printed."""
    holds = outcome.output.strip() == wanted
    return holds, observed if holds else f"{outcome.output.strip()}."


def _run(code: str, home: Path, warm: bool, limits: Limits | None = None) -> ProgramResult:
    return run(code, QUICK_S, limits=limits, root=home, warm=warm)


def _last_line(text: str) -> str:
    return (text.strip().split("\n") or [""])[-1]
