"""The system-call filter: refuses those parts of the Linux kernel that a lab never needs.

It refuses new namespaces, mounts, tracing, keys, memory that no limit counts (memfd, what System V
shares, anonymous shared mappings, larger socket buffers, Landlock's rules), symbolic links,
io_uring, and sockets other than Unix and internet ones (the network namespace does not hold those
of a virtual machine's host).
Classic BPF, assembled here: it is short.
"""

from __future__ import annotations

import errno
import platform
import struct
import sys

LOAD, AND, EQUAL, GREATER, MASKED, ANSWER = 0x20, 0x54, 0x15, 0x25, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
THIRD_ARGUMENT, FOURTH_ARGUMENT = 32, 40
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NEW_NAMESPACES = 0x7E020080  # of clone: user, mount, pid, net, uts, ipc, cgroup, time
LAST_FAMILY = 16  # AF_NETLINK; beyond are the raw, crypto, Bluetooth and host sockets
X32 = 0x40000000

# name: (number on x86_64, number on aarch64)
REFUSED = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "symlink": (88, 36),  # whoever follows a link from outside ends up on the machine itself
    "symlinkat": (266, 36),
}
# Refused as if Linux did not know them: libraries then take another way.
UNKNOWN = {
    "clone3": (435, 435),  # its flags cannot be read by a filter; clone's can
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "landlock_create_ruleset": (444, 444),  # its rules are memory that no limit counts
    "landlock_add_rule": (445, 445),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
CLONE, SOCKET, MMAP, SETSOCKOPT = (56, 220), (41, 198), (9, 222), (54, 208)
SHARED_ANONYMOUS = 0x21  # of mmap: no process need keep what it holds
BUFFER_SIZES = (7, 8, 32, 33)  # SO_SNDBUF, SO_RCVBUF, and the same by force
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def supported() -> bool:
    """Is there a filter for this machine's processor?"""
    return platform.machine() in AUDIT and sys.byteorder == "little"


def program() -> bytes:
    """The filter, as bubblewrap's --seccomp reads it."""
    machine = platform.machine()
    column = list(AUDIT).index(machine)
    lines = [
        _line(LOAD | 0, k=ARCHITECTURE),
        _line(EQUAL, 1, 0, AUDIT[machine]),
        _line(ANSWER, k=KILL),
        _line(LOAD, k=NUMBER),
    ]
    if machine == "x86_64":  # the same calls under other numbers
        lines += [_line(GREATER, 0, 1, X32 - 1), _line(ANSWER, k=REFUSE | errno.ENOSYS)]
    for calls, answer in ((REFUSED, errno.EPERM), (UNKNOWN, errno.ENOSYS)):
        for numbers in calls.values():
            lines += [_line(EQUAL, 0, 1, numbers[column]), _line(ANSWER, k=REFUSE | answer)]
    lines += _argument(CLONE[column], MASKED, NEW_NAMESPACES, errno.EPERM)
    lines += _argument(SOCKET[column], GREATER, LAST_FAMILY, errno.EAFNOSUPPORT)
    lines += [
        *(_line(EQUAL, 0, 4, MMAP[column]), _line(LOAD, k=FOURTH_ARGUMENT)),
        *(_line(AND, k=SHARED_ANONYMOUS), _line(EQUAL, 0, 1, SHARED_ANONYMOUS)),
        _line(ANSWER, k=REFUSE | errno.EPERM),
        _line(LOAD, k=NUMBER),
    ]
    # As if it were done: to most programs a larger buffer is a wish, not a need.
    buffers = [_line(EQUAL, len(BUFFER_SIZES) - n + 1, 0, k) for n, k in enumerate(BUFFER_SIZES, 1)]
    lines += [
        *(_line(EQUAL, 0, len(buffers) + 3, SETSOCKOPT[column]), _line(LOAD, k=THIRD_ARGUMENT)),
        *buffers,
        *(_line(ANSWER, k=ALLOW), _line(ANSWER, k=REFUSE)),
    ]
    lines.append(_line(ANSWER, k=ALLOW))
    return b"".join(lines)


def _argument(number: int, test: int, value: int, answer: int) -> list[bytes]:
    """Refuse call `number` when the test of its first argument's lower half holds."""
    return [
        _line(EQUAL, 0, 4, number),
        _line(LOAD, k=FIRST_ARGUMENT),
        _line(test, 0, 1, value),
        _line(ANSWER, k=REFUSE | answer),
        _line(ANSWER, k=ALLOW),
    ]


def _line(code: int, yes: int = 0, no: int = 0, k: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, k)
