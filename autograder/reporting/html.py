"""`report.html`: how a class did, for the instructor. One file, without scripts or network.

`statistics` has the numbers, `charts` the drawings, `page.html` the words around them. All comes
from the records of the grades: the same records give the same bytes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from autograder.authoring.execute import ANSI
from autograder.authoring.source import lab_notebook
from autograder.cells import headings_of
from autograder.course import Lab, list_labs, read_course
from autograder.foreign_text import visible
from autograder.records import GradingRecord
from autograder.reporting import charts, statistics
from autograder.reporting.console import number
from trickster.files import write_atomically

FILE = "report.html"
LONGEST = 600  # characters shown of any one text
HASH = re.compile(r"^[0-9a-f]{64}$")
HASH_SHOWN = 12


def write_report(root: Path, course_root: Path, records: list[GradingRecord]) -> Path:
    """Write `report.html` of a course folder whole or not at all; returns where it is."""
    path = course_root / FILE
    write_atomically(path, page(root, records))
    return path


def page(root: Path, records: list[GradingRecord]) -> str:
    """The report as HTML. Names, reasons and words of checks are escaped, all of them."""
    records = sorted(records, key=lambda record: (record.lab, record.student))
    known = {lab.name: lab for lab in list_labs(root)}
    found = {record.lab for record in records}
    order = [*(name for name in known if name in found), *sorted(found - set(known))]
    labs = [statistics.lab(name, records, _headings(root, known.get(name))) for name in order]
    shared, differing = statistics.inputs(records)
    times = [statistics.times(name, records) for name in order]
    return _environment().get_template("page.html").render(
        course=read_course(root).id,
        students=len({record.student for record in records}),
        labs=labs,
        drawings={lab.name: charts.scores(lab) for lab in labs},
        problems=statistics.by_text(records, lambda record: record.problems),
        stale=statistics.by_text(records, lambda record: [record.stale]),
        unguarded=statistics.unguarded(records),
        failed=statistics.failed(records),
        stopped=statistics.by_text(records, lambda record: [record.stopped, *record.limits]),
        suspicious=[record for record in records if record.suspicious],
        by_student=statistics.by_student(records, order),
        repairs=statistics.repairs(records),
        times=[one for one in times if one],
        shared=shared,
        differing=differing,
        not_begun=statistics.NOT_BEGUN,
    )  # fmt: skip


def _headings(root: Path, lab: Lab | None) -> dict[str, str]:
    """The headings of a lab's cells in their order; none for a lab that the course has not."""
    return headings_of(lab_notebook(lab, read_course(root))) if lab else {}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters |= {
        "number": number,
        "score": "{:.1f}".format,
        "percent": "{:.0%}".format,
        "seconds": "{:.1f}\N{NO-BREAK SPACE}s".format,
        "many": _many,
        "name": _name,
        "short": _short,
    }
    return environment


def _clean(value: Any) -> Any:
    """Any text on its way into the page: of bearable length, all of it visible."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if len(value) > LONGEST:
        value = f"{value[:LONGEST].rstrip()} …"
    return visible(ANSI.sub("", value), keep="\t\n")


def _many(number: int, one: str, many: str = "") -> str:
    """ "1 student", "3 students"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _name(text: str) -> Markup:
    """A lab's or a cell's name that may be broken behind each underscore."""
    return escape(_clean(text)).replace("_", Markup("_<wbr>"))


def _short(value: str) -> str:
    """A hash by its beginning, anything else as it is."""
    return f"{value[:HASH_SHOWN]}…" if HASH.match(value) else value
