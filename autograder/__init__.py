"""The course's workshop, for authors and instructors: see ARCHITECTURE.md.

What students import is not here: that is `trickster`.
"""

import os
import sys


def _ignore_current_folder() -> None:
    """Import nothing from where `python -m autograder` was started, here or in what this starts.

    With -m, Python looks there first, and it may be a submission's folder. A checkout that was not
    installed is found there itself.
    """
    try:
        here = os.path.realpath(os.curdir)
    except FileNotFoundError:  # it has been removed
        return
    if here != os.path.realpath(os.path.dirname(os.path.dirname(__file__))):
        sys.path[:] = [place for place in sys.path if os.path.realpath(place) != here]
        os.environ["PYTHONSAFEPATH"] = "1"


if sys.argv[:1] == ["-m"]:  # before anything else is imported, which could be a student's
    _ignore_current_folder()
