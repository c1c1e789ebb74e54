"""Opens nbgrader's formgrader for a course folder, with this repository's settings.

formgrader is an extension of Jupyter's server: it takes the folder in which the server
starts as the course, and `nbgrader_config.py` from Jupyter's configuration path.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from autograder import classroom, host
from autograder.course import CourseError
from autograder.sample import FOLDER as SAMPLE

PAGE = "/formgrader/gradebook"


def course_folder(root: Path, named: Path | None = None) -> Path:
    """The course folder to open: `named`, else the repository's own class, else the sample."""
    for folder in [named] if named else [root, root / SAMPLE]:
        if (folder / "submitted").is_dir():
            return folder.resolve()
    if named:
        raise CourseError(f"{named} has no folder submitted/: it is no course folder.")
    raise CourseError(
        f"There is no class yet: put notebooks into {root / 'submitted'}/<student>/<lab>/, "
        "or make the sample class with: python -m autograder sample"
    )


def open_formgrader(root: Path, course: Path, port: int = 8888, browser: bool = True) -> int:
    """Become Jupyter's server on formgrader's page, where the system can; else wait for its end."""
    if host.unusable_name(str(course)):
        raise CourseError(f"{course}: {host.unusable_name(str(course))}")
    if not host.database(course).is_file():
        labs = {path.name for path in (course / "submitted").glob("*/*") if path.is_dir()}
        known = [lab.name for lab in classroom.pick_labs(root) if lab.name in labs]
        classroom.register(root, course, known)
    words, environ = command(course, port, browser), environment(root)
    os.chdir(course)
    if os.name == "posix":  # one process: whoever stops this command stops the server
        os.execve(words[0], words, environ)
    return subprocess.call(words, env=environ)


def command(course: Path, port: int, browser: bool) -> list[str]:
    """The command that starts Jupyter's server on formgrader's page."""
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={course}"]
    words += [f"--ServerApp.port={port}", f"--LabApp.default_url={PAGE}"]
    if not browser:
        words.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")
    return words


def environment(root: Path) -> dict[str, str]:
    """This process's environment, with nbgrader's settings and commands within reach."""
    environ = dict(os.environ)
    for name, folder in (("JUPYTER_CONFIG_PATH", root), ("PATH", Path(sys.executable).parent)):
        before = environ.get(name)
        environ[name] = os.pathsep.join([str(folder), before] if before else [str(folder)])
    return environ
