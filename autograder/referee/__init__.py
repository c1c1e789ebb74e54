"""Tests a student's work from outside: no score depends on code that the student controls.

Test cells run in the grader's process; the names that they take from the student are proxies that
call into the student's kernel. In the order in which a submission meets them:

- `kernel`: runs the student's cells in a kernel, with limits on time and output (`outputs`).
- `referee`: runs one test cell and gives a `Verdict`; `name_resolution` says which of its names
  are the student's.
- `session`: the connection to the kernel for one test cell, in messages of `wire`; `agent` is its
  other end, inside the kernel.
- `proxies`: what a test holds of the student's objects; `errors`: what can go wrong with them.
"""

from autograder.referee.referee import Referee

__all__ = ["Referee"]
