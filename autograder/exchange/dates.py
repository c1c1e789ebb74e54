"""Reads the dates that learning-management systems write, and writes nbgrader's."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from autograder import nbgrader_api
from autograder.course import CourseError

TOO_LONG = 200  # bytes of a file that holds a date
FORMATS = (
    *("%d %B %Y, %I:%M %p", "%B %d, %Y, %I:%M %p", "%d %B %Y, %H:%M", "%B %d, %Y, %H:%M"),
    *("%Y-%m-%d-%H-%M-%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"),
)
# Ruby writes nine digits after the second, and a blank before the zone.
RUBY = re.compile(r"(?<=\d\d:\d\d:\d\d)(?:\.\d+)? ?(?=(?:Z|[+-]\d\d:?\d\d)$)")
WEEKDAY = re.compile(r"^[^\W\d]+day,\s*", re.IGNORECASE)


def zone(name: str | None) -> tzinfo | None:
    """The time zone of dates that name none; None is this machine's."""
    try:
        return ZoneInfo(name) if name is not None else None
    except (OSError, ValueError, KeyError) as error:  # KeyError: no such zone
        raise CourseError(
            f"{name!r} is no time zone; write it as in Europe/Berlin or America/New_York."
        ) from error


def parse(text: str, where: tzinfo | None) -> datetime | None:
    """A date and time in UTC; None for what is no date that can be read with certainty."""
    cleaned = WEEKDAY.sub("", re.sub(r"\s+", " ", text).strip())
    for form in FORMATS:
        with suppress(ValueError, OverflowError):
            return in_utc(datetime.strptime(cleaned, form), where)
    with suppress(ValueError, OverflowError):
        return in_utc(datetime.fromisoformat(RUBY.sub("", cleaned)), where)
    return None


def in_utc(date: datetime, where: tzinfo | None) -> datetime:
    """A date in UTC without fractions; `where` says what it means if it does not."""
    if date.tzinfo is None and where is not None:
        date = date.replace(tzinfo=where)
    return date.astimezone(UTC).replace(microsecond=0)


def read_timestamp(path: Path | None) -> datetime | None:
    """The date in nbgrader's `timestamp.txt`, if there is one."""
    try:
        if path is None or path.is_symlink() or path.stat().st_size > TOO_LONG:
            return None
        text = path.read_text(encoding="utf-8").strip()
        return nbgrader_api.handed_in_at(text).replace(tzinfo=UTC, microsecond=0) if text else None
    except (OSError, ValueError, OverflowError, TypeError):
        return None


def as_timestamp(date: datetime) -> str:
    """What `timestamp.txt` holds."""
    return f"{date.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC\n"
