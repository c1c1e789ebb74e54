"""All calls of nbgrader's API: its settings, its generator, its autograder, its gradebook.

Everything goes through classes that nbgrader documents. What is built, graded or reported with
them lives elsewhere; classes that nbgrader calls live in `nbgrader_plugins`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import nbformat
from nbconvert.exporters import Exporter
from nbformat import NotebookNode
from nbformat.warnings import DuplicateCellId, MissingIDFieldWarning
from nbgrader.api import Gradebook, InvalidEntry, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import capture_log, determine_grade, parse_utc
from sqlalchemy.exc import DBAPIError, SAWarning
from traitlets import TraitError
from traitlets.config import Config, PyFileConfigLoader

from autograder.cells import to_text
from autograder.course import CourseError
from autograder.database import LONGEST_NAME, Database, database, reason_of
from autograder.environment import variables
from autograder.foreign_text import unseen, visible
from autograder.sanitize.pages import FeedbackExporter

__all__ = ["MissingEntry", "determine_grade"]  # nbgrader's own, for others here

FOR_RUNS = ("Grade", "Autograde", "LimitOutput", "OverwriteCells")  # sections of settings
OURS = "autograder."  # the steps of this course, in lists of settings
# With an offset at its end, or a zone's name behind a blank.
A_DATE = re.compile(
    r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d| (\S+))?$"
)
# nbgrader reads names as file globs, strips their ends, and writes its CSV without quoting.
RAISED = re.compile(r"^\s*((?:\w+\.)*\w*(?:Error|Exception|Entry)\b(?::.*)?)$", re.MULTILINE)
UNUSABLE = re.compile(r"[*?\[\],\"]|^\s|\s$")


class NbgraderError(CourseError):
    """nbgrader refused; the message carries its reason."""


def settings(root: Path, course_root: Path | None = None, **course_directory: Any) -> Config:
    """`nbgrader_config.py` of the repository at `root`, for the course folder `course_root`."""
    if not (root / "nbgrader_config.py").is_file():
        raise NbgraderError(f"{root} holds no nbgrader_config.py: restore it from the repository.")
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    course_root = (course_root or root).resolve()
    config.CourseDirectory.root = str(course_root)
    config.CourseDirectory.db_url = database(course_root).url
    for key, value in course_directory.items():
        config.CourseDirectory[key] = value
    return config


def alembic_in_reach() -> AbstractContextManager[None]:
    """nbgrader calls `alembic` by name, which an environment that is not activated hides."""
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return variables({"PATH": os.pathsep.join(programs)})


def generate(
    root: Path, notebooks: dict[str, NotebookNode], gradebook: Database | None = None
) -> dict[str, NotebookNode]:
    """nbgrader's release of each lab; the labs are also registered in `gradebook`, if one is given.

    Runs in a temporary course folder, so that no release folder is touched. Without a gradebook
    the step that fills one is left out: it changes nothing in the notebook and takes seconds.
    """
    released = {}
    with tempfile.TemporaryDirectory(prefix="trickster-release-") as folder:
        temporary = Path(folder).resolve()
        places: dict[str, Any] = {"source_directory": "source", "release_directory": "release"}
        if gradebook is not None:
            places["db_url"] = gradebook.url
            _make_tables(gradebook, settings(root).CourseDirectory.course_id)
        for name, notebook in notebooks.items():
            source = temporary / "source" / name
            source.mkdir(parents=True)
            (source / f"{name}.ipynb").write_text(to_text(notebook), encoding="utf-8")
            config = settings(root, temporary, assignment_id=name, **places)
            if gradebook is None:
                config.GenerateAssignment.no_database = True
                steps = config.GenerateAssignment.preprocessors
                kept = [step for step in steps if not str(step).endswith("SaveCells")]
                config.GenerateAssignment.preprocessors = kept
            _run(GenerateAssignment, config, f"make the release of {name}")
            path = temporary / "release" / name / f"{name}.ipynb"
            released[name] = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    return released


def grade_settings(root: Path) -> dict[str, Any]:
    """What nbgrader_config.py says of how submissions are run (`c.Grade`)."""
    return dict(settings(root).Grade)


def hash_of_settings(root: Path) -> str:
    """SHA-256 of what nbgrader_config.py says of how submissions are run; not of penalties."""
    config = settings(root)
    kept = {name: config[name] for name in FOR_RUNS if name in config}
    text = json.dumps(kept, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def renew_penalty(root: Path, course_root: Path, lab: str, student: str) -> None:
    """Have nbgrader's own step set the penalty by date, due date, extension and score of today."""
    config = _one(root, course_root, lab, student)
    _renew_date(course_root, lab, student)
    names = {"student": student, "assignment": lab, "notebook": lab}
    resources = {"nbgrader": {**names, "db_url": str(config.CourseDirectory.db_url)}}
    with quiet():
        step = AssignLatePenalties(config=config)
        step.log.setLevel(logging.ERROR)
        step.preprocess(nbformat.v4.new_notebook(), resources)


def _renew_date(course_root: Path, lab: str, student: str) -> None:
    """Enter the date of today's submission: none if it has none, whatever an earlier one had.

    One that cannot be read changes nothing; grading has told.
    """
    path = course_root / "submitted" / student / lab / "timestamp.txt"
    try:
        text = path.read_bytes()[:1_000].decode().strip() if path.exists() else ""
        handed_in = handed_in_at(text) if text else None
    except (OSError, ValueError, OverflowError, TypeError):
        return
    with open_gradebook(course_root) as gradebook:
        submission = gradebook.update_or_create_submission(lab, student)
        submission.timestamp = handed_in
        gradebook.db.commit()


def handed_in_at(text: str) -> datetime:
    """A date as nbgrader reads it, in UTC without its zone. Raises ValueError where it is unclear.

    nbgrader would take a zone that it does not know for UTC ("12:00 CEST", "12:00 +02:00"), a time
    without a date for today's, and 04/05/2026 for the fifth of April.
    """
    match = A_DATE.match(text)
    if match is None or not (match[1] is None or match[1] in available_timezones()):
        raise ValueError(text)
    return parse_utc(text)


def check_penalties(root: Path) -> None:
    """Raises NbgraderError for a penalty in nbgrader_config.py that nbgrader does not know."""
    try:
        with quiet():
            AssignLatePenalties(config=settings(root)).init_plugin()
    except TraitError as error:
        raise NbgraderError(f"nbgrader_config.py: {error} Nothing was done.") from error


def autograde(root: Path, course_root: Path, lab: str, student: str) -> None:
    """nbgrader's autograder on one submission, as formgrader's button runs it."""
    _run(Autograde, _one(root, course_root, lab, student), f"grade {lab} of {student}")


def record(root: Path, course_root: Path, lab: str, student: str, notebook: str) -> None:
    """Enter a notebook that has been run, in place of an earlier result.

    nbgrader's autograder does it with all steps of its settings but this course's own. It finds the
    notebook by its name, which a student's may not have, and nothing beside it but the date.
    """
    date = course_root / "submitted" / student / lab / "timestamp.txt"
    with tempfile.TemporaryDirectory(prefix="trickster-record-") as folder:
        place = Path(folder) / student / lab
        place.mkdir(parents=True)
        (place / f"{lab}.ipynb").write_text(notebook, encoding="utf-8")
        if date.is_file():
            shutil.copy(date, place)
        config = _one(root, course_root, lab, student)
        config.CourseDirectory.submitted_directory = str(Path(folder).resolve())
        _record(config, notebook, f"record {lab} of {student}")


def _record(config: Config, notebook: str, task: str) -> None:
    for steps in ("sanitize_preprocessors", "autograde_preprocessors"):
        kept = [step for step in config.Autograde[steps] if not str(step).startswith(OURS)]
        config.Autograde[steps] = kept
    config.SubmissionExporter.graded = notebook
    _run(Autograde, config, task)


@dataclass(frozen=True)
class Page:
    """A feedback page to be rendered: the notebook with scores and comments in it."""

    notebook: str
    resources: dict[str, Any]
    options: dict[str, Any]  # of HTMLExporter
    unmarked: frozenset[str] = frozenset()  # answers that wait for a mark


def feedback_page(
    root: Path, course_root: Path, lab: str, student: str, unmarked: Iterable[str] = ()
) -> Page:
    """What the gradebook adds to a graded notebook for its page."""
    config = _one(root, course_root, lab, student)
    exporter = Exporter(config=Config(Exporter={"default_preprocessors": []}))
    for step in config.GenerateFeedback.preprocessors:
        exporter.register_preprocessor(step, enabled=True)
    url = str(config.CourseDirectory.db_url)
    names = {"student": student, "assignment": lab, "notebook": lab}
    resources = {
        "unique_key": lab,
        "output_files_dir": f"{lab}_files",
        "metadata": {"name": lab},
        "nbgrader": {**names, "db_url": url},
    }
    path = course_root / "autograded" / student / lab / f"{lab}.ipynb"
    with quiet():
        graded = nbformat.read(path, as_version=4)
        notebook, found = exporter.from_notebook_node(graded, resources)
    found["nbgrader"].pop("db_url")
    options = dict(config.HTMLExporter)
    return Page(nbformat.writes(notebook), _plain(found), options, frozenset(unmarked))


def _plain(values: Any) -> Any:
    """nbconvert's dictionaries as plain ones, which can be pickled."""
    return {k: _plain(v) for k, v in values.items()} if isinstance(values, dict) else values


def render(page: Page) -> str:
    """The feedback page as HTML, with nbgrader's own template; a pure job."""
    given = Config(HTMLExporter={"template_name": "feedback", **page.options})
    with quiet():
        config = GenerateFeedback(config=given).config
        html, _ = FeedbackExporter(config=config).from_notebook_node(
            nbformat.reads(page.notebook, as_version=4), page.resources
        )
    return html


@contextmanager
def open_gradebook(course_root: Path, course_id: str = "default_course") -> Iterator[Gradebook]:
    """The gradebook of a course folder, created when it is not there yet.

    The default id is nbgrader's own: its preprocessors open the gradebook under it. Raises
    NbgraderError where it cannot be read or written.
    """
    place = database(course_root)
    try:
        _make_tables(place, course_id)
        with alembic_in_reach():
            gradebook = Gradebook(place.url, course_id)
        with gradebook:
            yield gradebook
    except (DBAPIError, InvalidEntry) as error:  # a full disk, say, or a name that is too long
        raise NbgraderError(
            f"{place.shown} cannot be read or written: {reason_of(error)}"
        ) from error


@cache
def _make_tables(place: Database, course_id: str) -> None:
    """Have nbgrader make what a server's gradebook lacks, one program at a time."""
    if place.file is None:
        with place.making_tables(), alembic_in_reach():
            Gradebook(place.url, course_id).close()


def unusable_student(course_root: Path, name: str) -> str:
    """Why this course's gradebook cannot hold a student of this name, or ""."""
    if len(name) > LONGEST_NAME and database(course_root).file is None:
        return f"The gradebook holds names of up to {LONGEST_NAME} characters: shorten it."
    return unusable_name(name)


def unusable_name(name: str) -> str:
    """Why nobody can work with a folder of this name, or ""."""
    if odd := unseen(name):
        return f"A folder's name holds {visible(odd)}, which is no visible character: rename it."
    found = UNUSABLE.search(name)
    if found is None:
        return ""
    shown = "a blank at its end" if found.group().isspace() else found.group()
    return f"nbgrader cannot work with a folder whose name holds {shown} : rename it."


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back warnings about nbgrader's own code, which nobody here can act on."""
    with warnings.catch_warnings():
        # nbgrader 0.9 on SQLAlchemy 2 flushes half-made submissions; it is harmless.
        warnings.simplefilter("ignore", SAWarning)
        # Colab writes notebooks without cell ids; nbformat adds them.
        warnings.simplefilter("ignore", MissingIDFieldWarning)
        warnings.simplefilter("ignore", DuplicateCellId)
        yield


def _one(root: Path, course_root: Path, lab: str, student: str) -> Config:
    return settings(root, course_root, assignment_id=lab, student_id=student)


def _run(converter: type, config: Config, task: str) -> None:
    """Run one of nbgrader's converters. Raises NbgraderError, or KeyboardInterrupt upon Ctrl-C."""
    with alembic_in_reach(), quiet():
        app = converter(coursedir=CourseDirectory(config=config), config=config)
        app.force = True
        result = capture_log(app)
    if not result["success"]:
        if result["error"].rstrip().endswith("\nKeyboardInterrupt"):
            raise KeyboardInterrupt  # `capture_log` catches everything
        reason = _reason(result.get("log", ""), result["error"])
        raise NbgraderError(f"nbgrader could not {task}: {reason}")


def _reason(log: str, error: str) -> str:
    """The exception that stopped nbgrader: the first that is not its own summary."""
    named = [match.group(1) for match in RAISED.finditer(f"{log}\n{error}")]
    causes = [line for line in named if "NbGraderException" not in line]
    lines = [line.strip() for line in (log or error).split("\n") if line.strip()]
    return next(iter(causes or named or lines[-1:]), "it gave no reason.")
