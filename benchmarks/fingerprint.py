"""What of the library a stored result depends on: one hash for each part of the benchmarks.

A calibration takes hours, and its results must not be thrown away because of a change that cannot
touch them: the fingerprint covers the modules of ``trickster`` that a part's script imports,
directly or through others, and of each only its code, without comments and docstrings.
"""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from functools import lru_cache
from pathlib import Path

from trickster.checks import thresholds

ROOT = Path(__file__).resolve().parent.parent
LIBRARY, SCRIPTS = "trickster", "benchmarks"
HAVE_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def library_hash(part: str, root: Path = ROOT) -> str:
    """The first digits of one hash over the code that ``part`` runs and the shipped data's sums.

    A part without a script of its own name depends on the whole library. Of the table of
    thresholds only the numbers count: its evidence is written from these results.
    """
    table = Path(thresholds.__file__).relative_to(ROOT)
    digest = hashlib.sha256()
    for path in sorted(library_files(part, root)):
        source = path.read_text(encoding="utf-8")
        code = repr(_threshold_numbers()) if path == root / table else code_of(source)
        digest.update(f"{path.relative_to(root).as_posix()}\0{code}".encode())
    digest.update((root / "datasets" / "checksums.json").read_bytes())
    return digest.hexdigest()[:12]


def library_files(part: str, root: Path = ROOT) -> set[Path]:
    """The library's files that the script of ``part`` imports, wherever in them an import stands.

    All of them where there is no such script.
    """
    script = f"{SCRIPTS}.{part}"
    if _file_of(script, root) is None:
        return set((root / LIBRARY).rglob("*.py"))
    found, waiting = set(), [script]
    while waiting:
        module = waiting.pop()
        path = _file_of(module, root)
        if path is None or path in found:
            continue
        found.add(path)
        waiting += _imports(path.read_text(encoding="utf-8"))
        waiting += [module.rsplit(".", dots)[0] for dots in range(1, module.count(".") + 1)]
    return {path for path in found if path.is_relative_to(root / LIBRARY)}


@lru_cache(maxsize=1_000)
def code_of(source: str) -> str:
    """A module's lines without docstrings, lines of comment and empty lines."""
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, HAVE_DOCSTRINGS) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            if first.lineno > getattr(node, "lineno", 0):  # has lines of its own
                left_out.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            left_out.add(token.start[0])
    lines = enumerate(source.splitlines(), start=1)
    return "\n".join(line for number, line in lines if line.strip() and number not in left_out)


@lru_cache(maxsize=1_000)
def _imports(source: str) -> tuple[str, ...]:
    """The names of modules that a file imports; some are no modules but what is in them."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def _file_of(module: str, root: Path) -> Path | None:
    """The file of a module of the library or of the benchmarks; None for any other name."""
    if module.split(".")[0] not in (LIBRARY, SCRIPTS):
        return None
    stem = root.joinpath(*module.split("."))
    files = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((path for path in files if path.is_file()), None)


def _threshold_numbers() -> list[tuple[str, object]]:
    numbers = {
        name: (value.full, value.some) if isinstance(value, thresholds.Threshold) else value
        for name, value in vars(thresholds).items()
        if name.isupper()
    }
    return sorted(numbers.items())
