"""A kernel's sockets: whatever a submission puts in their place, the grader reaches no others."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator

import pytest

from autograder.referee.kernel import Kernel
from autograder.sandbox import seccomp
from autograder.sandbox.kernel import SandboxKernelManager, kernel_spec
from autograder.sandbox.kernel_sockets import KernelSockets

needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed: make setup says how"
)
REPLACES_THEM = """
import os, socket, threading, time
def cut_off():
    kept = []  # a socket that is collected would be closed
    for number in os.listdir("/proc/self/fd"):
        try:
            one = socket.socket(fileno=os.dup(int(number)))
            if one.family == socket.AF_UNIX and "/run/kernel" in str(one.getsockname()):
                kept.append(one)
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0:
                    one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
def replace():
    time.sleep(0.3)
    for number in (1, 2, 3, 4, 5):
        place = f"/run/kernel/kernel-{number}"
        os.rename(place, place + ".old")
        PUT
    cut_off()
threading.Thread(target=replace, daemon=True).start()
"""
LINK = "os.symlink({place!r}, place)"
OWN = "one = socket.socket(socket.AF_UNIX); one.bind(place); one.listen(); globals()[place] = one"


@pytest.fixture
def host(tmp_path) -> Iterator[socket.socket]:
    """A listening socket of the machine, which nobody is to connect to."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "host"))
        os.chmod(tmp_path / "host", 0o777)
        listening.listen()
        listening.setblocking(False)
        yield listening


def reached(listening: socket.socket) -> bool:
    try:
        listening.accept()
    except BlockingIOError:
        return False
    return True


def printed(kernel: Kernel, code: str) -> str:
    texts: list[str] = []
    kernel.run(code, 20, lambda message, size: texts.append(message["content"].get("text", "")))
    return "".join(texts).strip()


@needs_bwrap
@pytest.mark.parametrize("what", ["link", "own"])
def test_sockets_that_are_replaced_lead_nowhere(what, host, monkeypatch) -> None:
    """Also without the system-call filter's help; and the grader goes on with the real ones."""
    for name in ("symlink", "symlinkat"):
        monkeypatch.delitem(seccomp.REFUSED, name)
    put = LINK.format(place=host.getsockname()) if what == "link" else OWN
    manager = SandboxKernelManager(spec=kernel_spec(libraries=False))
    kernel = Kernel(manager)
    kernel.start()
    try:
        kernel.run(REPLACES_THEM.replace("PUT", put), 20)
        kernel.run("import time; time.sleep(1.5)", 3)  # which is answered, or lost
        names = printed(kernel, "print(sorted(os.listdir('/run/kernel')))")
        assert "kernel-1" in names and "kernel-1.old" in names
        assert not reached(host)
    finally:
        kernel.close()
    assert not reached(host)


@needs_bwrap
def test_links_cannot_be_made() -> None:
    manager = SandboxKernelManager(spec=kernel_spec(libraries=False))
    kernel = Kernel(manager)
    kernel.start()
    code = (
        "import ctypes, os\n"
        "for make in (os.symlink, lambda a, b: os.symlink(a, b, dir_fd=os.open('/tmp', 0))):\n"
        "    try: make('/etc/passwd', 'link')\n"
        "    except PermissionError: print('refused')\n"
    )
    try:
        assert printed(kernel, code).split() == ["refused"] * 2
    finally:
        kernel.close()


def test_only_sockets_of_their_owner_are_held(tmp_path) -> None:
    folder = os.open(tmp_path, os.O_PATH)
    elsewhere = tmp_path / "elsewhere"
    made = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    made[0].bind(str(elsewhere))
    os.symlink(elsewhere, tmp_path / "kernel-1")
    (tmp_path / "kernel-2").write_text("")
    os.mkfifo(tmp_path / "kernel-3")
    made[1].bind(str(tmp_path / "kernel-4"))
    held = KernelSockets()
    try:
        assert not held.hold(folder, [1, 2, 3], os.geteuid())
        assert not held.hold(folder, [4], os.geteuid() + 1)
        assert held.hold(folder, [4], os.geteuid())
        (tmp_path / "kernel-4").rename(tmp_path / "kernel-4.old")
        os.symlink(elsewhere, tmp_path / "kernel-4")
        made[1].listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{held.address}-4")
            assert client.getpeername() == str(tmp_path / "kernel-4")
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(FileNotFoundError):
            client.connect(f"{held.address}-1")
    finally:
        held.close()
        os.close(folder)
        for one in made:
            one.close()
