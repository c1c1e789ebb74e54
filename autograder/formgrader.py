"""Opens nbgrader's formgrader for a course folder, with this repository's settings.

formgrader is an extension of Jupyter's server: it takes the folder in which the server
starts as the course, and `nbgrader_config.py` from Jupyter's configuration path.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from autograder import nbgrader_api
from autograder.authoring.source import lab_notebook
from autograder.cells import grade_id, headings_of, role
from autograder.course import CourseError, Lab, pick_labs, read_course
from autograder.database import database, of_file
from autograder.grading.executor import die_with
from autograder.grading.gradebook import ClassGradebook, alone_with
from autograder.grading.submitted import check_timestamp
from autograder.records import TIMESTAMP
from autograder.sample_class.runner import FOLDER as SAMPLE

PAGE = "/formgrader/gradebook"
# Its pages and JupyterLab's need scripts of their own in the page: this policy stops no script,
# but what one could load or tell. Graded notebooks are sanitized (`autograder/sanitize/`).
POLICY = (
    "frame-ancestors 'self'; base-uri 'self'; object-src 'none'; form-action 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob: https://cdnjs.cloudflare.com; "
    "connect-src 'self' data: blob: https://api.cdnjs.com; img-src 'self' data: blob:"
)


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


def open_formgrader(
    root: Path,
    course: Path,
    port: int = 8888,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> int:
    """Run Jupyter's server on formgrader's page until it is ended; its address comes last."""
    if nbgrader_api.unusable_name(str(course)):
        raise CourseError(f"{course}: {nbgrader_api.unusable_name(str(course))}")
    own = database(root) == database(course)
    if not own and database(root) != of_file(root / "gradebook.db"):
        raise CourseError(
            f"db_url in {root / 'nbgrader_config.py'} is for the class in that folder, and "
            f"formgrader would show its gradebook for {course} too: take the line out meanwhile."
        )
    if _taken(port):
        raise CourseError(f"Port {port} is in use: choose another, as in --port {port + 1}.")
    labs = labs_in(root, course)
    if not database(course).exists:
        with alone_with(course):
            ClassGradebook(root, course).register([lab.name for lab in labs])
    words, environ = command(course, port, browser), environment(root)
    say(f"The course folder is {course}.")
    for sentence in mark_schemes(root, labs):
        say(sentence)
    for sentence in unreadable_dates(course):
        say(sentence)
    say("Ctrl-C ends the server. Then: publish writes the feedback pages and the scores.")
    sys.stdout.flush()
    return _serve(words, environ, course, port, lambda: say(address(port, environ)))


def _serve(
    words: list[str], environ: dict[str, str], course: Path, port: int, ready: Callable[[], None]
) -> int:
    """Run the server until it ends, or until somebody ends this process: Ctrl-C is no failure."""
    # In a session of its own Ctrl-C does not reach it: it would ask whether that was meant.
    server = subprocess.Popen(
        words,
        env=environ,
        cwd=course,
        start_new_session=True,
        preexec_fn=functools.partial(die_with, os.getpid()),
    )
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        while server.poll() is None and not _answers(port):
            time.sleep(0.1)
        if server.returncode is None:
            ready()
            sys.stdout.flush()
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
        server.terminate()
        server.wait()


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def labs_in(root: Path, course: Path) -> list[Lab]:
    """The labs of which somebody has handed in something."""
    there = {path.name for path in (course / "submitted").glob("*/*") if path.is_dir()}
    return [lab for lab in pick_labs(root) if lab.name in there]


def mark_schemes(root: Path, labs: list[Lab]) -> Iterator[str]:
    """Where a marker finds what each written answer is worth: formgrader does not show it."""
    course = read_course(root)
    for lab in labs:
        notebook = lab_notebook(lab, course)
        headings = headings_of(notebook)
        for cell in notebook.cells:
            if role(cell) == "written":
                name = grade_id(cell)
                yield (
                    f"Mark scheme of {lab.name}: {lab.executed.relative_to(root).as_posix()}, "
                    f"cell {name}, under {headings[name]!r}."
                )


def unreadable_dates(course: Path) -> Iterator[str]:
    """What formgrader stumbles over: with such a date beside one submission it lists none."""
    for path in sorted((course / "submitted").glob(f"*/*/{TIMESTAMP}")):
        try:
            check_timestamp(path)
        except CourseError as error:
            yield (
                f"formgrader will answer with an error for {path.parent.name}: correct "
                f"{path.relative_to(course).as_posix()}, or remove it. {error}"
            )


def address(port: int, environ: dict[str, str]) -> str:
    """Where to go with a browser; a token that the user has set is not shown."""
    page = f"http://localhost:{port}{PAGE}"
    return page if os.environ.get("JUPYTER_TOKEN") else f"{page}?token={environ['JUPYTER_TOKEN']}"


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def command(course: Path, port: int, browser: bool) -> list[str]:
    """The command that starts Jupyter's server on formgrader's page."""
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={course}"]
    # Another port than the one that was printed would be of no use; chatter would hide it.
    words += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    words += [f"--{part}.log_level={logging.ERROR}" for part in ("ServerApp", "LabApp")]
    words.append("--ExchangeFactory.list=autograder.nbgrader_plugins.QuietExchangeList")
    words.append(f"--LabApp.default_url={PAGE}")
    headers = {"headers": {"Content-Security-Policy": POLICY}}
    words.append(f"--ServerApp.tornado_settings={json.dumps(headers)}")
    if not browser:
        words.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")
    return words


def environment(root: Path) -> dict[str, str]:
    """This process's environment, with nbgrader's settings and commands in reach, and a token."""
    environ = dict(os.environ)
    for name, folder in (("JUPYTER_CONFIG_PATH", root), ("PATH", Path(sys.executable).parent)):
        before = environ.get(name)
        environ[name] = os.pathsep.join([str(folder), before] if before else [str(folder)])
    environ.setdefault("JUPYTER_TOKEN", secrets.token_hex(16))
    # A kernel starts in its notebook's folder, where a module may be a student's.
    environ["PYTHONSAFEPATH"] = "1"
    return environ
