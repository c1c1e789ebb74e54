"""Hostile code in real sandboxes: what it can reach, use up and leave behind."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
import time
import tomllib
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory
from reference import ROOT

from autograder.course import list_labs
from autograder.referee.kernel import Kernel
from autograder.sandbox import bwrap, doctor, policy
from autograder.sandbox.bwrap import SandboxError
from autograder.sandbox.kernel import (
    PROGRAM,
    SandboxKernelManager,
    kernel_spec,
    start_kernel,
    stop_kernel,
)
from autograder.sandbox.limits import MIB, Limits
from autograder.sandbox.provisioner import NAME
from autograder.sandbox.sandbox import Sandbox, run
from autograder.sandbox.socket_dir import SOCKET_DIR, shared_socket_dir

needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed: make setup says how"
)
SMALL = Limits(memory=400 * MIB, processes=40, disk=20 * MIB, files=2000)


class Cells:
    """Runs cells in a sandboxed kernel."""

    def __init__(self, manager, client):
        self.manager, self.client = manager, client

    def __call__(self, code: str, timeout: float = 30) -> str:
        """What the cell printed; for an error, its name and message."""
        printed: list[str] = []

        def collect(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, timeout=timeout, output_hook=collect)
        content = reply["content"]
        if content["status"] == "error":
            return f"{content['ename']}: {content['evalue']}"
        return "".join(printed).strip()


@contextmanager
def sandboxed_kernel(limits: Limits | None = None):
    """A kernel as the grader drives it, with its manager."""
    manager = SandboxKernelManager(spec=kernel_spec(limits))
    kernel = Kernel(manager)
    kernel.start()
    try:
        yield manager, kernel
    finally:
        kernel.close()


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    path = tmp_path_factory.mktemp("gradebook") / "gradebook.db"
    path.write_text("everybody's marks")
    return path


@pytest.fixture(scope="module")
def shared():
    """The folder shared with the sandbox, with a listening socket in it."""
    with shared_socket_dir() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o666)
        listener.listen(1)
        binds = {str(folder): (SOCKET_DIR, False)}
        yield SimpleNamespace(binds=binds, inside=f"{SOCKET_DIR}/socket", socket=listener)


@pytest.fixture(scope="module", params=["started", "forked"])
def ask(shared, request):
    os.environ["TRICKSTER_TEST_TOKEN"] = "of the grader"
    manager, client = start_kernel(binds=shared.binds, warm=request.param == "forked")
    del os.environ["TRICKSTER_TEST_TOKEN"]
    yield Cells(manager, client)
    stop_kernel(manager, client)


def left_over(pid1: psutil.Process) -> list[psutil.Process]:
    return psutil.wait_procs([pid1], timeout=5)[1]


# --- what it sees ---------------------------------------------------------------


@pytest.mark.slow
@needs_bwrap
def test_what_a_lab_needs_is_there(ask):
    output = ask(
        "import os, torch, sklearn, matplotlib.pyplot\n"
        "from trickster.scenario import Scenario\n"
        "from trickster.checks.probes import weights_of\n"
        "s = Scenario(); open('mine.txt', 'w').write('x')\n"
        "print(weights_of(s.victim.network)[-1].shape, os.getcwd(),\n"
        "      torch.get_num_threads())"
    )
    assert output == "(10,) /tmp/work 1"


@needs_bwrap
def test_nothing_of_the_course_but_the_library_is_there(ask, secret):
    hidden = [ROOT / name for name in ("solutions", "autograder", "labs", "tests", "course.toml")]
    hidden += [secret, secret.parent, ROOT / "trickster" / "checks"]
    assert all(path.exists() for path in hidden)
    assert ask(f"import os; print([p for p in {list(map(str, hidden))} if os.path.exists(p)])") == (
        "[]"
    )


@needs_bwrap
def test_command_lines_do_not_say_where_the_course_lies(ask, shared):
    output = ask(
        "import os, pathlib\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    print(pathlib.Path('/proc', pid, 'cmdline').read_text())"
    )
    places = [ROOT / "trickster", ROOT / "autograder", *shared.binds]
    assert "ipykernel" in output and not [place for place in map(str, places) if place in output]


@needs_bwrap
def test_no_file_it_can_read_holds_a_threshold_or_a_hidden_pool(ask):
    """Searched by content, so that a copy in another place would be found as well."""
    checks, marks = ROOT / "trickster" / "checks", ("VICTIM_ACCURACY = ", "def glyphs(")
    for name, mark in zip(("thresholds.py", "hidden_pool.py"), marks, strict=True):
        assert mark in (checks / name).read_text()
    code = (
        "import os\n"
        "found = []\n"
        "for top in ('/course', '/tmp', '/run', '/etc', '/dev/shm', '/root', '/home', '/work'):\n"
        "    for folder, _, files in os.walk(top):\n"
        "        for name in files if 'site-packages' not in folder else ():\n"
        "            path = os.path.join(folder, name)\n"
        "            if name.endswith('.ipynb') or name.endswith(('.py', '.pyc')) and any(\n"
        f"                mark.encode() in open(path, 'rb').read() for mark in {marks}\n"
        "            ):\n"
        "                found.append(path)\n"
        "print(found)"
    )
    assert ask(code) == "[]"


@needs_bwrap
@pytest.mark.parametrize("lab", [f"lab{lab.number}" for lab in list_labs(ROOT)])
def test_checks_can_be_imported_and_say_where_they_run(ask, lab):
    output = ask(
        f"from trickster.checks import {lab}\nimport trickster.checks.{lab}\n{lab}.check(1)"
    )
    assert output.startswith("RuntimeError") and "grader's side" in output
    output = ask("from trickster.checks import thresholds; thresholds.DROP()")
    assert output.startswith("RuntimeError") and "grader's side" in output


@needs_bwrap
def test_a_new_check_gets_its_stand_in_as_a_module_and_as_a_package(tmp_path):
    real, root = "SECRET = 'a hidden threshold'\n", tmp_path / "course"
    shutil.copytree(ROOT / "trickster", root / "trickster")
    (root / "datasets").mkdir()
    shutil.copy(ROOT / "course.toml", root)
    checks = root / "trickster" / "checks"
    (checks / "lab8" / "deeper").mkdir(parents=True)
    names = ["lab9.py", "forensics.py", *(f"lab8/{n}" for n in ("__init__", "theft", "deeper/far"))]
    for name in names:
        (checks / name).with_suffix(".py").write_text(real)
    (checks / "lab8" / "data.txt").write_text(real)
    code = (
        "import pathlib, trickster\n"
        "folder = pathlib.Path(trickster.__path__[0], 'checks')\n"
        "print([str(p) for p in folder.rglob('*') if p.is_file() and 'SECRET' in p.read_text()])\n"
        "from trickster.checks import forensics, lab8, lab9\n"
        "from trickster.checks.lab8 import theft\n"
        "import trickster.checks.lab8.deeper.far as far\n"
        "for call in forensics.SECRET, lab9.SECRET, lab8.SECRET, theft.SECRET, far.SECRET:\n"
        "    try: call()\n"
        "    except RuntimeError as error: print(str(error).split()[0])\n"
    )
    output = run(code, root=root).output.split("\n")
    modules = ("forensics", "lab9", "lab8", "lab8.theft", "lab8.deeper.far")
    assert output[:6] == ["[]", *(f"trickster.checks.{module}.SECRET" for module in modules)]


@needs_bwrap
def test_the_graders_environment_is_not_handed_on(ask):
    code = (
        "import glob, os\n"
        "texts = [str(dict(os.environ))]\n"
        "for path in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try: texts.append(open(path).read())\n"
        "    except OSError: pass\n"
        "print('TRICKSTER_TEST_TOKEN' in ''.join(texts), len(texts))"
    )
    found, count = ask(code).split()
    assert found == "False" and int(count) > 1


@needs_bwrap
@pytest.mark.parametrize(
    "place",
    [
        "/",
        "/usr",
        "/dev",
        "/run",
        "/course/trickster",
        "/course/trickster/checks",
        "/course/datasets",
        sys.prefix,
        sys.base_prefix,
        policy.TOOLS,
        SOCKET_DIR,
    ],
)
def test_only_its_own_folder_can_be_written(ask, place):
    assert ask(f"open({place!r} + '/probe', 'w')").startswith(("OSError", "PermissionError"))


@needs_bwrap
def test_only_the_graders_socket_can_be_reached(ask, shared):
    ask(f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({shared.inside!r})")
    shared.socket.settimeout(5)
    connection, _ = shared.socket.accept()
    with connection:
        ask("s.sendall(b'hello'); s.close()")
        assert connection.recv(10) == b"hello"
    assert "unreachable" in ask("socket.create_connection(('192.0.2.1', 80), 2)")


@needs_bwrap
def test_an_interrupt_reaches_it(ask):
    clock = threading.Timer(0.5, ask.manager.interrupt_kernel)
    clock.start()
    assert ask("while True: pass").startswith("KeyboardInterrupt")
    clock.join()
    assert ask("print('still here')") == "still here"


def test_a_folder_above_the_repository_does_not_show_it(tmp_path, monkeypatch):
    """As when Python's own prefix holds the course's checkout."""
    root = tmp_path / "src" / "course"
    cache = tmp_path / "cache" / "checks"
    for folder in (root / "trickster" / "checks", cache):
        folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("TRICKSTER_STORE", str(cache))
    arguments = policy.FileSystem(root, MIB).arguments()
    shown = arguments.index(str(tmp_path))
    assert arguments[arguments.index("--tmpfs", shown) :].count(str(root)) >= 1
    masks = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--tmpfs"]
    assert {str(root), str(cache)} <= set(masks)


# --- what it uses up -------------------------------------------------------------


@pytest.mark.slow
@needs_bwrap
def test_all_walls_and_limits_hold():
    findings = doctor.examine(ROOT)
    assert len(findings) > 10
    assert [str(finding) for finding in findings if not finding.ok] == []


@needs_bwrap
def test_the_doctor_sees_open_walls(monkeypatch):
    """Its probes are able to fail: without its walls, the sandbox is found wanting."""
    walls = bwrap.isolation_arguments
    cut = {"--unshare-net", "--unshare-pid"}
    monkeypatch.setattr(
        bwrap, "isolation_arguments", lambda user: [w for w in walls(user) if w not in cut]
    )
    monkeypatch.setattr(policy, "_remount_read_only", lambda places: [])
    system = policy.FileSystem._system
    monkeypatch.setattr(
        policy.FileSystem,
        "_system",
        lambda files: [*system(files), (str(ROOT), ["--bind", str(ROOT), str(ROOT)])],
    )
    for probe in (doctor._network, doctor._files, doctor._drawn):
        found = probe(ROOT)
        assert not found.ok and "NOT ENFORCED" in str(found)


SOCKETS = """
import os, socket, time
for _ in range(3): os.fork()
pairs = [socket.socketpair() for _ in range(240)]
for one, _ in pairs:
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**23)
    try:
        while True: one.send(bytes(2**16))
    except BlockingIOError: pass
time.sleep(10)
"""


# In each of four processes, the first thread ends; another one holds 150 MB.
WITHOUT_FIRST_THREADS = """
import ctypes, os, platform, threading, time
def hold():
    time.sleep(.3)
    held = b'x' * (150 * 2**20)
    time.sleep(10)
exits = {'x86_64': 60, 'aarch64': 93}[platform.machine()]
for _ in range(4):
    if os.fork() == 0:
        threading.Thread(target=hold).start()
        ctypes.CDLL(None).syscall(exits, 0)
time.sleep(10)
"""


@needs_bwrap
def test_a_socket_holds_no_more_than_the_monitor_thinks():
    code = (
        "import socket\n"
        "one, other = socket.socketpair()\n"
        "print(one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))\n"
        "print(other.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))\n"
        "one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**23)\n"
        "other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**23)\n"
        "one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "print(one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))\n"
        "print(other.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))\n"
        "print(one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))\n"
    )
    sent, received, *after = run(code, 20).output.split()
    assert after == [sent, received, "1"]


@needs_bwrap
@pytest.mark.parametrize(
    ("code", "limit"),
    [
        (SOCKETS, "memory"),
        ("import os\nwhile True:\n try: os.fork()\n except OSError: pass", "processes"),
        (
            "import threading, time\nwhile True:\n"
            " try: threading.Thread(target=time.sleep, args=(60,)).start()\n"
            " except RuntimeError: pass",
            "processes",
        ),
        ("n = 0\nwhile True: open(f'{n}', 'w').close(); n += 1", "disk"),
        ("n = 0\nwhile True: open(f'/dev/shm/{n}', 'w').close(); n += 1", "disk"),
        ("n = 0\nwhile True: open(f'/run/kernel/{n}', 'w').close(); n += 1", "disk"),
        (WITHOUT_FIRST_THREADS, "memory"),
    ],
    ids=[
        "sockets",
        "fork bomb",
        "threads",
        "files",
        "shared files",
        "sockets' files",
        "leaderless",
    ],
)
def test_a_broken_limit_ends_all_and_is_told(code, limit):
    with Sandbox(SMALL) as sandbox:
        sandbox.start([sys.executable, "-c", code])
        pid1 = sandbox.pid1
        sandbox.process.wait(20)
        assert sandbox.limit_hit.startswith(limit)
    assert not left_over(pid1)


@needs_bwrap
@pytest.mark.parametrize(
    "code",
    [
        "bytearray(50 * 2**30)",
        "import mmap; mmap.mmap(-1, 2**20)",
        "import mmap; mmap.mmap(open('/dev/zero', 'r+b').fileno(), 2**20)",
        "open('/proc/self/oom_score_adj', 'w').write('0')",
        "import os; open(f'/proc/{os.getpid()}/task/{os.getpid()}/oom_score_adj', 'w')",
        "import os; os.memfd_create('m')",
        *(
            f"import ctypes, os\nif ctypes.CDLL(None).{call} < 0: raise OSError"
            for call in (
                "semget(0, 100, 0o600)",
                "msgget(0, 0o600)",
                "shmget(0, 4096, 0o600)",
                "syscall(444, 0, 0, 1)",
            )
        ),
        "x = open('big', 'wb', 0)\nfor _ in range(100): x.write(bytes(2**20))",
        "files = [open(f'{n}', 'w') for n in range(1000)]",
    ],
)
def test_what_is_too_much_is_refused_at_once(code):
    outcome = run(code, 20, limits=SMALL)
    assert outcome.status == 1 and outcome.seconds < 10
    assert "Error" in outcome.output


@needs_bwrap
def test_what_is_written_outside_the_notebook_is_kept_short():
    outcome = run(
        "import sys\nfor _ in range(100): sys.stdout.write('x' * 2**20)\nprint('END')", 30
    )
    assert outcome.status == 0
    assert len(outcome.output) < 100_000 and outcome.output.endswith("END\n")


@pytest.mark.slow
@needs_bwrap
def test_a_huge_message_does_not_reach_the_graders_memory():
    with sandboxed_kernel(Limits(memory=1024 * MIB)) as (_, kernel):
        before = psutil.Process().memory_info().rss
        code = "from IPython.display import display\ndisplay({'text/plain': 'x' * 2**28}, raw=True)"
        run = kernel.run(code, 30)
        assert run.lost
        assert psutil.Process().memory_info().rss - before < 100 * MIB


# --- how it ends -----------------------------------------------------------------


@needs_bwrap
def test_a_kernel_runs_in_it_and_leaves_nothing():
    outputs = []
    with sandboxed_kernel() as (manager, kernel):
        pid1 = manager.provisioner.sandbox.pid1
        kernel.run("import os", 60)
        kernel.run("print(os.getcwd())", 60, lambda message, size: outputs.append(message))
    assert outputs[-1]["content"]["text"] == "/tmp/work\n"
    assert not manager.has_kernel and manager.limit_hit == ""
    assert not left_over(pid1)
    assert not os.path.exists(os.path.dirname(manager.connection_file))


KILLS_ALL_IT_CAN = """
import os, signal
for pid in (os.getppid(), 1, -1, os.getpid()):
    try: os.kill(pid, signal.SIGKILL)
    except OSError: pass
"""
TOGETHER_TOO_MUCH = """
import os, time
for _ in range(3): os.fork()
y = b"x" * (120 * 2**20)
time.sleep(60)
"""


@pytest.mark.slow
@needs_bwrap
@pytest.mark.parametrize(
    ("code", "limit"),
    [("import os; os._exit(0)", ""), (KILLS_ALL_IT_CAN, ""), (TOGETHER_TOO_MUCH, "memory")],
    ids=["exit", "kill", "memory"],
)
def test_a_kernel_that_dies_leaves_nothing_and_says_why(code, limit):
    with sandboxed_kernel(SMALL) as (manager, kernel):
        pid1 = manager.provisioner.sandbox.pid1
        assert kernel.run(code, 30).status == "died"
    assert manager.limit_hit.startswith(limit) and bool(manager.limit_hit) == bool(limit)
    assert not left_over(pid1)


@needs_bwrap
def test_a_process_that_hides_from_its_family_dies_too():
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        while True: time.sleep(1)\n"
        "    os._exit(0)\n"
        "print('forked', flush=True)\n"
        "time.sleep(60)\n"
    )
    sandbox = Sandbox(SMALL)
    sandbox.start([sys.executable, "-c", code])
    deadline = time.monotonic() + 10
    while len(family := sandbox.pid1.children(recursive=True)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(family) >= 2
    sandbox.end()
    assert not psutil.wait_procs(family, timeout=5)[1]


@needs_bwrap
def test_jupyter_finds_the_provisioner_by_its_name(tmp_path, monkeypatch):
    """A plain kernel.json and a plain KernelManager, as `nbgrader` or JupyterLab have them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    group = KernelProvisionerFactory.GROUP_NAME
    entry = EntryPoint(NAME, project["entry-points"][group][NAME], group)
    monkeypatch.setitem(KernelProvisionerFactory.instance().provisioners, NAME, entry)
    (tmp_path / "boxed").mkdir()
    config = {"limits": {"memory": 2**30}, "root": str(ROOT)}
    spec = {
        "argv": PROGRAM,
        "display_name": "Boxed",
        "language": "python",
        "metadata": {"kernel_provisioner": {"provisioner_name": NAME, "config": config}},
    }
    (tmp_path / "boxed" / "kernel.json").write_text(json.dumps(spec))
    specs = KernelSpecManager(kernel_dirs=[str(tmp_path)], ensure_native_kernel=False)
    manager = KernelManager(kernel_name="boxed", kernel_spec_manager=specs)
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        assert Cells(manager, client)("import os; print(os.getcwd())") == policy.WORK
        manager.restart_kernel(now=True)
        client.wait_for_ready(timeout=60)
        assert Cells(manager, client)("print(os.getcwd())").startswith("NameError")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


# --- where it cannot be -----------------------------------------------------------


def test_without_bubblewrap_the_reason_and_the_cure_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    doctor.why_unavailable.cache_clear()
    try:
        reason = doctor.why_unavailable(ROOT)
        assert "bubblewrap" in reason and "apt-get install" in reason
        (finding,) = doctor.examine(ROOT)
        assert not finding.ok and "--trust-submissions" in str(finding)
        with pytest.raises(SandboxError, match="not installed"):
            start_kernel()
    finally:
        doctor.why_unavailable.cache_clear()


def test_a_bubblewrap_that_may_not_make_namespaces_is_explained(monkeypatch, tmp_path):
    """As on Ubuntu 24.04, or in a container without privileges."""
    program = tmp_path / "bwrap"
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --help ]; then echo --size; exit 0; fi\n'
        "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    doctor.why_unavailable.cache_clear()
    try:
        assert "apparmor_restrict_unprivileged_userns" in doctor.why_unavailable(ROOT)
    finally:
        doctor.why_unavailable.cache_clear()


@pytest.mark.parametrize("name", ["memory", "processes", "disk", "files", "open_files"])
@pytest.mark.parametrize("value", [0, -1, "much", None, True])
def test_a_limit_is_a_number_above_zero(name, value):
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})
