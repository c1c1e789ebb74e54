"""Where a course folder's gradebook is: a file of SQLite, or a database of PostgreSQL.

Only one run at a time writes to it, whatever machine that runs on, and only one program at a time
makes its tables: nbgrader itself would let two of them try at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool
from traitlets.config import PyFileConfigLoader

from autograder.course import CourseError

BUSY_S = 60  # that a writer waits while another writes to a file
CONNECT_S = 10
DRIVER = "postgresql+psycopg"
DRIVER_S_NAME = re.compile(r"^\([\w.]+\) ")  # of an exception, before its text
WRITING, MAKING = 7_270_001, 7_270_002  # numbers of PostgreSQL's advisory locks
LONGEST_NAME = 128  # characters that nbgrader's columns hold; only PostgreSQL enforces it
OTHERS = (
    "{path}: db_url is {shown!r}. The gradebook is a file of SQLite, as in "
    "sqlite:////home/me/gradebook.db, or a database of PostgreSQL, as in "
    f"{DRIVER}://me@host/grades. Correct it, or remove the line."
)
TAKEN = "Another run is writing to the gradebook {shown}: wait until it ends, then run this again."


@dataclass(frozen=True)
class Database:
    """A gradebook's place. Equal ones are the same gradebook."""

    url: str  # as SQLAlchemy and nbgrader read it, with a password if it has one
    file: Path | None = None  # None: a server has it

    @property
    def shown(self) -> str:
        """How to name it to people, without a password."""
        return str(self.file) if self.file else make_url(self.url).render_as_string()

    @property
    def exists(self) -> bool:
        """Whether there is a gradebook. Raises CourseError where the server does not answer."""
        if self.file is not None:
            return self.file.is_file()
        with self.connected() as connection:
            return inspect(connection).has_table("submitted_assignment")

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection of its own. Raises CourseError where the server does not answer."""
        try:
            engine = create_engine(
                self.url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_S}
            )
            connection = engine.connect()
        except (DBAPIError, ImportError) as error:
            raise CourseError(
                f"The gradebook {self.shown} does not answer: {reason_of(error)}"
            ) from error
        with connection:
            yield connection

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Keeps other runs out of this gradebook; CourseError if one is there.

        A file lies in its course folder, which has a lock of its own. PostgreSQL's lock goes with
        the connection, however that ends.
        """
        if self.file is not None:
            yield
            return
        with self.connected() as connection:
            taken = connection.execute(text(f"SELECT pg_try_advisory_lock({WRITING})"))
            if not taken.scalar():
                raise CourseError(TAKEN.format(shown=self.shown))
            connection.commit()  # the lock stays; an open transaction would disturb the server
            yield

    @contextmanager
    def making_tables(self) -> Iterator[None]:
        """While this is entered, no other program makes the tables of this gradebook."""
        if self.file is not None:
            yield
            return
        with self.connected() as connection:
            connection.execute(text(f"SELECT pg_advisory_lock({MAKING})"))
            connection.commit()
            yield


def reason_of(error: Exception) -> str:
    """What a database has to say, in one line."""
    told = DRIVER_S_NAME.sub("", str(getattr(error, "orig", None) or error))
    return " ".join(told.split()).rstrip(".") + "."


def of_file(path: Path) -> Database:
    """The gradebook in a file of SQLite, where a writer waits for its turn."""
    return Database(f"sqlite:///{path.resolve()}?timeout={BUSY_S}", path)


def database(course_root: Path) -> Database:
    """What a course folder's own nbgrader_config.py says, else gradebook.db in the folder.

    Raises CourseError where that is neither SQLite nor PostgreSQL.
    """
    path = course_root / "nbgrader_config.py"
    if not path.is_file():
        return of_file(course_root / "gradebook.db")
    url = _db_url(path, path.stat().st_mtime_ns)
    if not url:
        return of_file(course_root / "gradebook.db")
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise CourseError(f"{path}: db_url = {url!r} is no database's address.") from error
    if found.drivername == DRIVER and found.database:
        return Database(url)
    if found.get_backend_name() != "sqlite" or found.database in (None, "", ":memory:"):
        raise CourseError(OTHERS.format(path=path, shown=found.render_as_string()))
    return of_file(course_root / found.database)  # an absolute path stays what it is


@cache
def _db_url(path: Path, changed: int) -> str:
    """What a settings file says of the gradebook; `changed` is when it was written."""
    config = PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
    found = config.get("CourseDirectory", {}).get("db_url", "")
    return found if isinstance(found, str) else ""
