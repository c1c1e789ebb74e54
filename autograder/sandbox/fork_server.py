"""Has imported what every lab imports, and forks a process into each new sandbox.

`warm_start` starts it and talks to it through a socket, its standard input. It runs no code of a
student's: a child enters the namespaces that bubblewrap has made for one submission, gives up all
rights, and only then becomes that submission's program. Nothing of the course lies in its memory,
of which every submission gets a copy: it imports the standard library and what it is told to.
"""

import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import resource
import runpy
import signal
import socket
import sys
import time
import types

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
# The kind of each namespace, by its name in /proc; the user namespaces have an order of their own.
SPACES = {
    "cgroup": 0x2000000,
    "ipc": 0x8000000,
    "uts": 0x4000000,
    "net": 0x40000000,
    "pid": CLONE_NEWPID,
    "mnt": CLONE_NEWNS,
}
NS_GET_USERNS = 0xB701  # of ioctl
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
FILTER = 2  # the kind of system-call filter
CAPABILITIES_VERSION = 0x20080522
LONGEST_REQUEST = 65_536
ADOPTED_S = 5

libc = ctypes.CDLL(None, use_errno=True)


def main() -> list[str]:
    """Import, then serve; returns the program to run, in a child that is sealed in its sandbox."""
    grader = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    request = json.loads(grader.recv(LONGEST_REQUEST))
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != request["parent"]:  # it died before we asked
        os._exit(1)
    sys.path[:] = [place for place in sys.path if place.startswith(tuple(request["prefixes"]))]
    for name in request["modules"]:
        importlib.import_module(name)
    grader.sendall(why_unsafe().encode() or b"ready")
    gc.collect()
    gc.freeze()  # what is never freed need not be copied
    while True:
        text, received, _, _ = socket.recv_fds(grader, LONGEST_REQUEST, 2)
        if not text:
            os._exit(0)
        child = os.fork()
        if child == 0:
            grader.close()
            return in_sandbox(json.loads(text), *received)
        for descriptor in received:
            os.close(descriptor)
        os.waitpid(child, 0)


def why_unsafe() -> str:
    """What a child would share with its sisters, as a sentence; "" if there is nothing."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"the imported modules have started {threads - 1} threads."
    with open("/proc/self/maps") as file:
        for line in file:
            rights = line.split()[1]
            if "w" in rights and "s" in rights:
                return f"the imported modules share memory: {line.strip()}"
    return ""


def in_sandbox(request: dict, answer: int, output: int) -> list[str]:
    """Become the program's process in its sandbox, and wait until the grader says go."""
    grader = socket.socket(fileno=answer)
    try:
        enter(request["process"])
        become_orphan()
        seal(request, output)
        reseed()
        grader.sendall(b"%d %d" % (os.getpid(), memory_of("VmRSS")))
        if grader.recv(2) != b"go":
            os._exit(1)
    except BaseException as error:
        with contextlib.suppress(OSError):
            grader.sendall(f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    grader.close()
    os.closerange(3, 4096)
    return request["program"]


def enter(process: int) -> None:
    """Move into the namespaces of `process`, as nsenter does."""
    place = f"/proc/{process}"
    spaces = {name: os.open(f"{place}/ns/{name}", os.O_RDONLY) for name in [*SPACES, "user"]}
    root = os.open(f"{place}/root", os.O_PATH | os.O_DIRECTORY)
    # bubblewrap may have made two user namespaces: one owns all that it made, in the other the
    # program runs.
    owner = fcntl.ioctl(spaces["mnt"], NS_GET_USERNS)
    if not os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user")):
        call("setns", owner, CLONE_NEWUSER)
    for name, kind in SPACES.items():
        call("setns", spaces[name], kind)
    if not os.path.samestat(os.fstat(owner), os.fstat(spaces["user"])):
        call("setns", spaces["user"], CLONE_NEWUSER)
    os.fchdir(root)
    os.chroot(".")


def become_orphan() -> None:
    """Fork a child of the sandbox's first process: then it is seen, and ends, with all the rest.

    A process cannot enter a process namespace, but its children can. The first of them ends, and
    the second one passes to the first process of that namespace.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
    if os.fork():
        os._exit(0)
    deadline = time.monotonic() + ADOPTED_S
    while os.getppid() != 1:
        if time.monotonic() > deadline:
            raise RuntimeError("the first process of the sandbox has not adopted it.")
        time.sleep(0.001)


def seal(request: dict, output: int) -> None:
    """What bubblewrap and `init` do to a program: limits, another user, no rights, the filter."""
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.chdir(request["work"])
    os.umask(0o077)
    request["limits"]["RLIMIT_DATA"] += memory_of("VmData")  # what it was forked with is free
    for name, value in request["limits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))
    call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    for number in range(last + 1):
        call("prctl", PR_CAPBSET_DROP, number, 0, 0, 0)
    if request["uid"]:
        os.setgroups([])
        os.setresgid(*[request["uid"]] * 3)
        os.setresuid(*[request["uid"]] * 3)
    call("capset", (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)())
    call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)  # Linux takes it for a change of user
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    rules = bytes.fromhex(request["filter"])
    if rules:
        held = ctypes.create_string_buffer(rules, len(rules))
        program = FilterProgram(len(rules) // 8, ctypes.addressof(held))
        call("prctl", PR_SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0)
    os.environ.clear()
    os.environ.update(request["environment"], PWD=request["work"])
    sys.path[:0] = [request["work"], *request["path"]]
    sys.path_importer_cache.clear()


def memory_of(kind: str) -> int:
    """This process's memory in bytes, of one of the kinds in /proc/self/status."""
    with open("/proc/self/status") as file:
        for line in file:  # such as "VmRSS:    1234 kB"
            if line.startswith(f"{kind}:"):
                return int(line.split()[1]) * 1024
    return 0


class FilterProgram(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = [("length", ctypes.c_ushort), ("rules", ctypes.c_void_p)]


def reseed() -> None:
    """Give this process random states of its own; Python's own `random` has seen to it itself."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()
    if "multiprocessing" in sys.modules:
        sys.modules["multiprocessing"].current_process().authkey = os.urandom(32)


def call(name: str, *arguments: object) -> None:
    """A call of the C library; raises OSError where it fails."""
    if getattr(libc, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{arguments[:2]}: {os.strerror(number)}")


def run(program: list[str]) -> None:
    """Do what `python -m MODULE ARGUMENT ...` or `python -c CODE` would do."""
    how, what, *arguments = program
    if how == "-m":
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [how, *arguments]
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), sys.modules["__main__"].__dict__)


if __name__ == "__main__":
    run(main())
