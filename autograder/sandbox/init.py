"""The first program in a sandbox: applies the limits to itself, then becomes the kernel.

Or it waits until the kernel ends, where that was forked into the sandbox: see `fork_server`.

Runs before any of a student's code, with the standard library alone: `init.py SETTINGS PROGRAM
ARGUMENT ...`, where SETTINGS is JSON: `limits` (by their names in `resource`), `uid` (0: keep the
present one), `ready` (a file descriptor to which it writes when all is in place), `go` (another
one, on which the grader answers: "go", or the number of the process to wait for).
"""

import json
import os
import resource
import select
import sys


def main() -> None:
    settings = json.loads(sys.argv[1])
    command = sys.argv[2:]
    for name, value in settings["limits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))
    if settings["uid"]:
        os.setgroups([])
        os.setresgid(*[settings["uid"]] * 3)
        os.setresuid(*[settings["uid"]] * 3)
    os.umask(0o077)
    if not os.access(command[0], os.X_OK):
        sys.exit(f"the sandbox may not run {command[0]}: it must be readable for all users")
    os.write(settings["ready"], b"ready")
    # A grader that was killed while bubblewrap was starting says nothing: nobody would ever end
    # this sandbox, since bubblewrap was not yet bound to its parent.
    answer = os.read(settings["go"], 20)
    os.closerange(3, 4096)  # the pipes that were for the start only
    if answer.isdigit():
        wait_for(int(answer))
    elif answer == b"go":
        os.execv(command[0], command)
    else:
        sys.exit("the grader has gone")


def wait_for(process: int) -> None:
    """Wait until a process ends, which is no child of this one."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    select.select([descriptor], [], [])


if __name__ == "__main__":
    main()
