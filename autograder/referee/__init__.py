"""Tests a student's work from outside: no score depends on code that the student controls.

Test cells run in the grader's process; the names that they take from the student are proxies
that call into the student's kernel. `wire` says what may cross, `agent` answers in the kernel,
`link` and `proxies` ask, `kernel` drives the process, `referee` runs one test cell, `names` says
which names are whose, and `preprocessor` puts it all into nbgrader's pipeline.
"""

from autograder.referee.preprocessor import RefereeExecute
from autograder.referee.referee import Referee

__all__ = ["Referee", "RefereeExecute"]
