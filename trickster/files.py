"""Writing a file so that a reader sees the old content or the new, never half of it."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes | str) -> None:
    r"""Replace the file at `path` by `data`, all at once; missing folders are made.

    A reader, or a process that is killed half-way, finds the old file or the new one. A file that
    existed keeps its permissions; a new one gets those of `open`.

    Text is written as UTF-8 with its line ends unchanged. A lone surrogate, which UTF-8 cannot hold
    (Python's stand-in for an odd byte in a file's name), is written as its escape, `\udc80`: in
    JSON, that reads back as the same character.
    """
    path = Path(path)
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since a rename is atomic only within one file system. The name is short
    # whatever the length of the file's own, and hidden from patterns such as `*.json`.
    unfinished = path.parent / f".{secrets.token_hex(8)}.unfinished"
    try:
        with open(unfinished, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            unfinished.chmod(path.stat().st_mode & 0o7777)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
