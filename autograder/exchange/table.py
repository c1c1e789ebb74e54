"""A table of somebody else's (CSV), read so that what is not changed stays the same to the byte.

Encoding, byte order mark, delimiter, quotes, blanks and line ends are kept as they are found, since
the system that wrote them reads them back.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.course import CourseError

DELIMITERS = ",;\t|"
MAX_BYTES = 50_000_000
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Excel's own first line, which names the delimiter.
PREFACE = re.compile(r"sep=(.)(?:\r\n|\n|\r)", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One line: its fields as they are written, and how it ends."""

    fields: tuple[str, ...]
    end: str

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(value_of(field) for field in self.fields)


@dataclass(frozen=True)
class Table:
    """A whole file; `rows[0]` is the header."""

    rows: tuple[Row, ...]
    delimiter: str
    encoding: str
    bom: bytes = b""
    preface: str = ""

    @property
    def header(self) -> tuple[str, ...]:
        return self.rows[0].values

    def value(self, row: int, column: int) -> str:
        """A field's meaning; "" where a row is too short to have it."""
        fields = self.rows[row].fields
        return value_of(fields[column]) if column < len(fields) else ""

    def with_values(self, values: Mapping[tuple[int, int], str]) -> Table:
        """The table with other values in some fields, by row and column, and nothing else changed.

        A row that is too short for a column gets the empty fields between.
        """
        rows = list(self.rows)
        for (number, column), value in values.items():
            fields = list(rows[number].fields)
            fields += [""] * (column + 1 - len(fields))
            fields[column] = self._written(value, quoted=fields[column].startswith('"'))
            rows[number] = replace(rows[number], fields=tuple(fields))
        return replace(self, rows=tuple(rows))

    def _written(self, value: str, quoted: bool) -> str:
        needs = quoted or any(c in value for c in (self.delimiter, '"', "\n", "\r"))
        return '"' + value.replace('"', '""') + '"' if needs else value

    def as_bytes(self) -> bytes:
        """The file's content."""
        lines = [self.delimiter.join(row.fields) + row.end for row in self.rows]
        return self.bom + encoded(self.preface + "".join(lines), self.encoding)


def value_of(field: str) -> str:
    """What a field means: without its quotes."""
    if not field.startswith('"'):
        return field
    body, _, rest = field[1:].rpartition('"')
    return body.replace('""', '"') + rest


def encoded(text: str, encoding: str) -> bytes:
    """Text in the file's own encoding. Raises CourseError where that has not all characters."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        odd = text[error.start : error.end]
        raise CourseError(
            f"The table is written in {encoding}, which has no {odd!r}: save it as UTF-8 first."
        ) from error


def read_table(path: Path) -> Table:
    """The table in a file. Raises CourseError where it cannot be read without loss."""
    if not path.is_file():
        raise CourseError(f"There is no file {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise CourseError(f"{path} has more than {MAX_BYTES // 10**6} MB: that is no class list.")
    data = path.read_bytes()
    if data.startswith(b"PK\x03\x04"):
        raise CourseError(f"{path} is a workbook or a zip: save it as CSV (UTF-8), and give that.")
    try:
        return parse_table(data)
    except CourseError as error:
        raise CourseError(f"{path}: {error}") from error


def parse_table(data: bytes) -> Table:
    """The table in a file's content."""
    bom, text, encoding = _decoded(data)
    preface = match.group() if (match := PREFACE.match(text)) else ""
    body = text[len(preface) :]
    if not body.strip():
        raise CourseError("The table is empty.")
    delimiter = match[1] if match else _delimiter(body)
    table = Table(tuple(_rows(body, delimiter)), delimiter, encoding, bom, preface)
    if table.as_bytes() != data:
        raise CourseError("The table cannot be written back as it was: save it as CSV (UTF-8).")
    return table


def _decoded(data: bytes) -> tuple[bytes, str, str]:
    """A file's byte order mark, its text, and its encoding."""
    for bom, encoding in BOMS:
        if data.startswith(bom):
            try:
                return bom, data[len(bom) :].decode(encoding), encoding
            except UnicodeDecodeError as error:
                raise CourseError(f"The table is damaged: it is no {encoding}.") from error
    for encoding in ("utf-8", "cp1252"):  # the second is what Excel saves in the West
        try:
            return b"", data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return b"", data.decode("latin-1"), "latin-1"


def _delimiter(text: str) -> str:
    """What stands between the fields of the first line."""
    line = re.split(r"[\r\n]", re.sub(r'"[^"]*"', "", text), maxsplit=1)[0]
    return max(DELIMITERS, key=line.count)  # on ties, the first


def _rows(text: str, delimiter: str) -> list[Row]:
    """The lines of a text; a quoted field may hold delimiters and line ends."""
    mark = re.escape(delimiter)
    field = re.compile(
        rf'(?P<quoted>"(?:[^"]|"")*+"[^{mark}\r\n]*)|(?P<plain>[^{mark}\r\n]*)', re.DOTALL
    )
    end = re.compile(r"\r\n|\n|\r|\Z")
    rows, fields, at = [], [], 0
    while at < len(text) or fields:
        found = field.match(text, at)
        assert found is not None  # a plain field may be empty
        if found["plain"] is not None and found["plain"].startswith('"'):
            raise CourseError(
                f"Line {len(rows) + 1} opens a quotation mark that nothing closes: open the table "
                "in a spreadsheet, and save it again."
            )
        fields.append(found.group())
        at = found.end()
        if text.startswith(delimiter, at):
            at += 1
            continue
        ending = end.match(text, at)
        assert ending is not None  # a field ends at nothing else
        rows.append(Row(tuple(fields), ending.group()))
        fields, at = [], ending.end()
    return rows
