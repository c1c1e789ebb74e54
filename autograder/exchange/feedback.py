"""Packs feedback pages into a zip that a learning-management system hands out again.

Canvas and Moodle know their own files by what they wrote before the names; `collected.json` has it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from autograder.exchange.ledger import Ledger
from autograder.exchange.scores import final
from autograder.foreign_text import visible
from autograder.records import GradingRecord
from trickster.files import write_atomically

KEYED = {"canvas": "Canvas", "moodle": "Moodle"}  # format → system, as the ledger has it


def pack(
    course_root: Path,
    form: str,
    records: Iterable[GradingRecord],
    ledger: Ledger,
    target: Path,
    unfinished: bool = False,
) -> tuple[int, list[str]]:
    """Write the zip; returns how many pages are in it, and why others are not."""
    data, count, missing = io.BytesIO(), 0, []
    with zipfile.ZipFile(data, "w") as archive:
        for record in records:
            if final(record, unfinished):
                continue
            whose = f"{visible(record.student)} ({record.lab})"
            page = course_root / "feedback" / record.student / record.lab / f"{record.lab}.html"
            name = _name(form, record, ledger)
            if not page.is_file():
                missing.append(f"{whose}: there is no page; run publish")
            elif not name:
                missing.append(f"{whose}: it was not collected from {KEYED[form]}")
            else:
                # The numbers in a name count: a byte that is no character may read otherwise.
                entry = zipfile.ZipInfo(visible(name).replace("\\", "-"))  # all of one date
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, page.read_bytes())
                count += 1
    write_atomically(target, data.getvalue())
    return count, missing


def _name(form: str, record: GradingRecord, ledger: Ledger) -> str:
    """What the page is called in the zip, or ""."""
    if form not in KEYED:
        return f"{record.student}/{record.lab}.html"
    entry = ledger.get(record.student, record.lab)
    if entry is None or entry.system != KEYED[form] or not entry.place:
        return ""
    return f"{entry.place}{record.lab}.html"
