"""Runs a submission where it can do no harm: it sees, reaches and uses only what it may.

In the order in which a submission meets them:

- `limits`: how much memory, disk and how many processes it may use.
- `policy`: which files of the machine it sees.
- `bwrap`, `seccomp`: the arguments and the system-call filter that build the walls.
- `sandbox`: one running sandbox, from start to end; `init` is the first program in it.
- `warm_start`, `fork_server`: fork the program from a process that has imported what labs import.
- `monitor`: the thread that ends a sandbox when it breaks a limit.
- `provisioner`, `kernel`: a Jupyter kernel in a sandbox; `kernel_sockets` holds on to its sockets.
- `socket_dir`: the one folder through which the grader talks to a program in a sandbox.
- `doctor`: proves all this on the machine at hand, by trying to break out.
"""
