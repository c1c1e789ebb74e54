"""nbgrader's settings for this course: what an instructor may change, in one place.

nbgrader reads this file when it runs in this folder, and so does
`python -m autograder`. The course's name and address live in `course.toml`;
how a lab is written and built lives in `autograder/`.
"""

import logging
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:  # nbgrader may have been started elsewhere with --course-dir
    sys.path.append(str(HERE))

# nbgrader calls `alembic` by its name, and has removed a release before it finds that it cannot.
BIN = str(Path(sys.executable).parent)
if BIN not in os.environ.get("PATH", "").split(os.pathsep):
    os.environ["PATH"] = os.pathsep.join(filter(None, (BIN, os.environ.get("PATH"))))

from autograder.course import read_course  # noqa: E402

c = get_config()  # noqa: F821 (nbgrader provides it)

# --- where things live -------------------------------------------------------
c.CourseDirectory.course_id = read_course(HERE).id
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "labs"
c.CourseDirectory.submitted_directory = "submitted"
c.CourseDirectory.autograded_directory = "autograded"
c.CourseDirectory.feedback_directory = "feedback"
# The gradebook is gradebook.db in the course folder. Another file, for a class in this folder:
# c.CourseDirectory.db_url = "sqlite:////home/me/spring.db"

# nbgrader copies whatever stands beside a notebook into the release. Only
# pictures and texts may go: the source of the lab holds every solution. (*.txt must stay
# out of this list: nbgrader would lose timestamp.txt, the date of a submission.)
c.CourseDirectory.ignore = [
    ".*",
    "__pycache__",
    "feedback",
    *(
        f"*.{suffix}"
        for suffix in (
            *("py", "pyc", "toml", "json", "yaml", "yml", "csv", "html", "log"),
            *("npy", "npz", "pt", "pth", "pkl", "safetensors", "db", "zip", "gz"),
        )
    ),
]

# --- what a student sees where a solution was ----------------------------------
c.ClearSolutions.code_stub = {
    "python": "# YOUR CODE HERE\n"
    'raise NotImplementedError("not written yet: replace this line, run this cell, then the check")'
}
c.ClearSolutions.text_stub = "YOUR ANSWER HERE"

# --- grading: repair, run in the sandbox, test from outside, record ---------------
c.Autograde.exporter_class = "autograder.nbgrader_plugins.SubmissionExporter"
c.Repair.labs = str(HERE / "labs")
c.WriteRecord.root = str(HERE)
c.Autograde.sanitize_preprocessors = [
    "autograder.nbgrader_plugins.Repair",
    # nbgrader's own list, without what Repair does: clear outputs, number cells.
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "autograder.nbgrader_plugins.Grade",  # in place of nbgrader's Execute
    # nbgrader's own list.
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
    "autograder.nbgrader_plugins.WriteRecord",  # beside the gradebook, in receipts/
    "autograder.nbgrader_plugins.Sanitize",  # what a browser is given from here on
]
c.Grade.timeout = 600  # seconds a cell, and all calls of one test
c.Grade.call_timeout = 300  # seconds a call
c.Grade.notebook_timeout = 1_800  # seconds for all of a student's code
c.Grade.extra_arguments = [
    "--HistoryManager.hist_file=:memory:",  # nbgrader's own default
    "--IPKernelApp.log_level=40",  # else each kernel warns that its TCP is not encrypted
]
c.GenerateAssignment.preprocessors = [
    # nbgrader's own list, without IncludeHeaderFooter and InstantiateTests.
    "autograder.nbgrader_plugins.RemoveSourceHashes",
    "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ClearSolutions",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.CheckCellMetadata",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.SaveCells",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbgrader.preprocessors.ClearMarkScheme",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.GenerateFeedback.preprocessors = [
    # nbgrader's own list, and a word about answers that wait for a mark.
    "nbgrader.preprocessors.GetGrades",
    "autograder.nbgrader_plugins.FlagUnmarkedAnswers",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]

# --- pages: feedback and formgrader show nothing of a submission that could run ----------
c.HTMLExporter.filters = {
    "markdown2html": "autograder.sanitize.markdown.markdown2html",
    "clean_html": "autograder.sanitize.pages.clean_html",
}
c.HTMLExporter.sanitize_html = True
c.GenerateFeedback.exporter_class = "autograder.sanitize.pages.FeedbackExporter"

# --- how much it logs ------------------------------------------------------------
c.Application.log_level = logging.INFO
