"""Downloads and tables as learning-management systems write them, by the rules of their formats."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from toy_course import COURSE

from autograder.exchange.collect import collect
from autograder.exchange.plan import Plan

LAB1, LAB2 = "lab1_toy", "lab2_toy"
Files = Mapping[str, bytes]


def bare_course(folder: Path) -> Path:
    """A repository of two labs that nobody builds or runs."""
    for lab in (LAB1, LAB2):
        source = folder / "solutions" / lab / f"{lab}.py"
        source.parent.mkdir(parents=True)
        source.write_text("# %%\n", encoding="utf-8")
    (folder / "course.toml").write_text(COURSE, encoding="utf-8")
    return folder


def notebook(answer: str = "", lab: str = LAB1) -> bytes:
    """A notebook that says of which lab it is; "" for one that does not."""
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "source": answer,
            "execution_count": None}  # fmt: skip
    metadata = {"trickster": {"lab": lab, "points": 9}} if lab else {}
    whole = {"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1).encode()


def zip_bytes(files: Files) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def write_zip(path: Path, files: Files) -> Path:
    path.write_bytes(zip_bytes(files))
    return path


def canvas(sortable: str, user: int, upload: int, name: str, late: bool = False) -> str:
    """What Canvas's content zipper calls a file of somebody whose sortable name is "Doe, Jane"."""
    prefix = "_".join([sortable.lower(), *(["LATE"] if late else []), str(user)])
    prefix = "".join(c for c in prefix if c.isalnum() or c == "_")
    return f"{prefix}_{upload}_{re.sub(r'[/:*?<>|]+', '_', name)}"


def moodle(full_name: str, number: int, name: str, form: str = "folders") -> str:
    """What Moodle's assignment calls a file: in folders (before 4.1, since), or flat."""
    prefix = f"{full_name.replace('_', ' ')}_{number}_assignsubmission_file"
    return prefix + {"folders": "_/", "new folders": "/", "flat": "_"}[form] + name


GRADESCOPE = """\
submission_{number}:
  :submitters:
{submitters}
  :created_at: {date}
  :score: 0.0
  :status: processed
"""


def gradescope(submissions: Mapping[int, tuple[list[tuple[str, str, str]], str, Files]]) -> Files:
    """An export: number → submitters (name, sid, email), date, and their files."""
    texts, files = ["---"], {}
    for number, (people, date, own) in submissions.items():
        submitters = "\n".join(
            f"  - :name: {json.dumps(name, ensure_ascii=False)}\n    :sid: {json.dumps(sid)}\n"
            f"    :email: {email}"
            for name, sid, email in people
        )
        texts.append(GRADESCOPE.format(number=number, submitters=submitters, date=date))
        files |= {f"assignment_7_export/submission_{number}/{k}": v for k, v in own.items()}
    metadata = "\n".join(texts).encode()
    return {"assignment_7_export/submission_metadata.yml": metadata, **files}


class Desk:
    """An instructor's desk: a repository, a course folder, and what lies beside them."""

    def __init__(self, folder: Path):
        self.folder, self.root = folder, bare_course(folder / "repository")
        self.course = folder / "class"
        self.said: list[str] = []

    def collect(self, files: Files, **options: object) -> Plan:
        return self.read(write_zip(self.folder / "download.zip", files), **options)

    def read(self, source: Path, **options: object) -> Plan:
        self.said.clear()
        return collect(self.root, source, self.course, say=self.said.append, **options)

    def table(self, text: str, encoding: str = "utf-8") -> Path:
        path = self.folder / "roster.csv"
        path.write_bytes(text.encode(encoding))
        return path

    def files(self, below: str = "submitted") -> dict[str, bytes]:
        top = self.course / below
        return {p.relative_to(top).as_posix(): p.read_bytes()
                for p in sorted(top.rglob("*")) if p.is_file()}  # fmt: skip

    def students(self, lab: str = LAB1) -> list[str]:
        return sorted(p.parent.name for p in (self.course / "submitted").glob(f"*/{lab}"))


def reasons(plan: Plan) -> str:
    return "\n".join(f"{one.what}: {one.reason}" for one in plan.refused)
