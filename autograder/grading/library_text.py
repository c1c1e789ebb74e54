"""Finds in a student's code what a test has withheld: the library's text, and ways around refusal.

`trickster.withheld` makes the library's answers refuse. Their text can still be copied, and code
can do anything to the process that it runs in: both show in the notebook.
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from os.path import normpath
from pathlib import Path
from textwrap import dedent

from trickster.withheld import HERE, functions_of

ENDINGS = ("", "e", "p", "pe")
SMALLEST = 75  # nodes of a syntax tree. Up to 71, our own solutions have come to the same text.
SHORTEST = 80  # characters of a string that may hold code
# With these, code can run the library's text, or another process in which nothing refuses; or it
# can get at its files, or at what makes the library refuse.
CALLED = {"exec", "eval", "compile", "__import__"}
NAMED = {
    *("inspect", "importlib", "builtins", "runpy", "pkgutil", "marshal", "ctypes", "linecache"),
    *("cloudpickle", "dill", "oinspect", "FunctionType", "CodeType"),
    *("__code__", "__globals__", "__builtins__", "__loader__", "__spec__", "__file__", "__path__"),
    *("__cached__", "__closure__", "cell_contents", "__subclasses__", "co_filename", "co_consts"),
    *("subprocess", "multiprocessing", "ProcessPoolExecutor", "joblib", "pty", "system", "popen"),
    *("fork", "forkpty", "Popen", "getoutput", "create_subprocess_exec", "create_subprocess_shell"),
    *(f"{name}{ending}" for name in ("execv", "execl", "spawnv", "spawnl") for ending in ENDINGS),
    *("posix_spawn", "posix_spawnp", "run_cell", "run_code", "sys.modules", "os.walk"),
    *("_getframe", "_current_frames", "settrace", "setprofile", "addaudithook", "tb_frame"),
    *("f_code", "f_back", "f_globals", "f_locals", "f_builtins", "gi_frame", "gi_code", "cr_frame"),
    *("get_objects", "get_referents", "get_referrers", "ExitStack", "get_type_hints"),
    *("timeit", "profile", "cProfile", "runctx", "runcall", "pdb", "bdb", "codeop", "runsource"),
    *("InteractiveInterpreter", "InteractiveConsole", "get_ipython", "InteractiveShell"),
    *("input_transformers_cleanup", "input_transformers_post", "ast_transformers"),
    *("set_int_max_str_digits", "glob", "iglob", "rglob"),
    *("withheld", "_withhold", "refusing", "Agent", "PYTHONPATH"),
}
LISTING = {"listdir", "scandir", "chdir", "walk", "fwalk", "Path", "PurePath", "PosixPath"}
FOLDERS = ("/course", "trickster_referee", "/proc/self")  # anywhere in a string
SHELLS = re.compile(r"%%(bash|sh|script|system|sx|!|python|pypy|perl|ruby)")
SHELL_LINE = re.compile(r"\s*([\w, ]+=\s*)?(!|%(sx|system|run|load|pycat|psource)\b)")
INSTALLS = re.compile(r"\s*!\s*(pip|git|\S*python\S* -m pip|\{?sys.executable\}? -m pip)\b")
LEADS_TO_LIBRARY = re.compile(
    r"/course|\btrickster\b|\.py\b.*(>|\bcp\b)|\bcp\b|python\S* -c|\bfind\b"
)


def ways_around(trees: Iterable[ast.AST]) -> list[str]:
    """Those of the names above that the code uses."""
    found: set[str] = set()
    for tree in trees:
        added_to = {id(node.value) for node in ast.walk(tree) if _adds(node)}
        for node in ast.walk(tree):
            found |= _names_of(node) & (CALLED | NAMED)
            text = _folded(node)
            if text is not None:
                found |= {text} & NAMED | {one for one in FOLDERS if one in text}
                found |= {text[:60]} if _is_pattern_of_library(text) else set()
                found |= {Path(text).name} if _is_source_file(text) else set()
            found |= {f"{name}('/')"} if (name := _from_root(node)) else set()
            if isinstance(node, ast.Attribute) and _dotted(node) == "sys.path":
                found |= set() if id(node) in added_to else {"sys.path"}
    return sorted(found)


def shell_commands(source: str) -> list[str]:
    """The lines of a cell by which another program gets at the library, at most 60 characters."""
    lines = source.split("\n")
    if SHELLS.match(source.lstrip()):
        return [lines[0][:60]]
    return [
        line.strip()[:60]
        for line in lines
        if SHELL_LINE.match(line) and not INSTALLS.match(line) and LEADS_TO_LIBRARY.search(line)
    ]


def _names_of(node: ast.AST) -> set[str]:
    """The names that a node uses, also as `module.name`; `exec` and the like only by themselves."""
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.Attribute):
        return {node.attr, _dotted(node)} - CALLED
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        names = {f"{getattr(node, 'module', '')}.{alias.name}" for alias in node.names}
        return (names | {part for name in names for part in name.split(".")}) - CALLED
    return set()


def _dotted(node: ast.Attribute) -> str:
    return f"{node.value.id if isinstance(node.value, ast.Name) else ''}.{node.attr}"


def _adds(node: ast.AST) -> bool:
    """Whether it is `....append` or `....insert`: to `sys.path`, that is nothing odd."""
    return isinstance(node, ast.Attribute) and node.attr in ("append", "insert", "extend")


def _from_root(node: ast.AST) -> str:
    """The function that lists all folders there are, from `/` on; "" where it is none."""
    if not isinstance(node, ast.Call) or not node.args:
        return ""
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    text = _folded(node.args[0])
    at_root = text is not None and text.startswith("/") and normpath(text).strip("/") == ""
    return name if name in LISTING and at_root else ""


def _is_pattern_of_library(text: str) -> bool:
    """Whether it is a pattern for names of files that fits the library's: `/c*/tr*/ood.py`."""
    if not text.startswith("/") or len(text) > 200 or not set("*?[") & set(text):
        return False
    return any(fnmatchcase(f"/course/trickster/{name}", text) for name in ("", *_files()))


def _is_source_file(text: str) -> bool:
    return len(text) < 200 and not re.search(r"\s", text) and Path(text).name in _files()


@cache
def _files() -> frozenset[str]:
    """The names of the library's own files."""
    return frozenset(path.name for path in Path(HERE).glob("*.py"))


def _folded(node: ast.AST) -> str | None:
    """A string that is written in pieces, as in `"with" + "held"`; None if it is no string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        pieces: list[ast.AST] = [node.left, node.right]
        between: str | None = ""
    elif isinstance(node, ast.JoinedStr):
        values = (n.value if isinstance(n, ast.FormattedValue) else n for n in node.values)
        pieces, between = list(values), ""
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "join"
        and len(node.args) == 1
        and isinstance(node.args[0], (ast.List, ast.Tuple, ast.Set))
    ):
        pieces, between = list(node.args[0].elts), _folded(node.func.value)
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        whole = _folded(node.value)
        backwards = ast.unparse(node.slice) == "::-1"
        return whole[::-1] if whole is not None and backwards else None
    else:
        return None
    texts = [_folded(piece) for piece in pieces]
    return None if between is None or None in texts else between.join(map(str, texts))


def repeated(trees: Iterable[ast.AST], names: Iterable[str]) -> list[str]:
    """The functions behind these names of the library whose text the code repeats.

    Whatever its variables are called, and without its documentation, annotations and refusals.
    Functions of a few lines are left out: there is hardly another way to write them.
    """
    wanted = [one for name in names for one in _texts_of(name)]
    known = {text: place for place, text, _ in wanted}
    kinds = {kinds for _, _, kinds in wanted}
    lengths = {len(one) for one in kinds}
    found = {
        known.get(_normal(block[start : start + length]))
        for tree in trees
        for block in _blocks(tree)
        for length in lengths
        for start in range(len(block) - length + 1)
        if _kinds(block[start : start + length]) in kinds
    }
    return sorted(found - {None})


def code_in(tree: ast.AST) -> Iterator[ast.Module]:
    """The trees of the code in a tree's strings, which `exec` may run."""
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and len(text) >= SHORTEST and (found := _tree(dedent(text))):
            yield found


def _tree(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@cache
def _texts_of(name: str) -> list[tuple[str, str, tuple[type, ...]]]:
    """Each function behind a name that is long enough: place, text, kinds of statements."""
    found = []
    for function in functions_of(name):
        try:
            tree = ast.parse(dedent(inspect.getsource(function)))
        except (OSError, SyntaxError):  # made by a decorator
            continue
        body = _statements(tree.body[0].body)
        if sum(1 for statement in body for _ in ast.walk(statement)) >= SMALLEST:
            place = f"{function.__module__}.{function.__qualname__}"
            found.append((place, _normal(body), _kinds(body)))
    return found


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield _statements(block)


def _statements(block: Sequence[ast.stmt]) -> list[ast.stmt]:
    """What of a block does something: no texts, no `pass`, no refusals of odd arguments."""
    return [one for one in block if not (_is_idle(one) or _is_refusal(one))]


def _is_idle(statement: ast.stmt) -> bool:
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or isinstance(statement, ast.Pass)


def _is_refusal(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and isinstance(statement.body[0], ast.Raise)


def _kinds(block: Sequence[ast.stmt]) -> tuple[type, ...]:
    return tuple(ast.Assign if isinstance(one, ast.AnnAssign) else type(one) for one in block)


def _normal(block: Sequence[ast.stmt]) -> str:
    """The text of statements, with the names in them numbered in their order."""
    numbered = _Numbered()
    return ast.dump(ast.Module([numbered.visit(copy.deepcopy(one)) for one in block], []))


class _Numbered(ast.NodeTransformer):
    """Gives variables, arguments and one's own attributes the number of their first appearance."""

    def __init__(self) -> None:
        self.numbers: dict[str, str] = {}

    def _number(self, name: str) -> str:
        return self.numbers.setdefault(name, str(len(self.numbers)))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self._number(node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(self._number(node.arg))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        own = isinstance(node.value, ast.Name) and node.value.id == "self"
        name = self._number(f".{node.attr}") if own else node.attr
        return ast.Attribute(self.visit(node.value), name, node.ctx)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("" if isinstance(node.value, str) else node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        target = self.visit(node.target)  # first, as in an assignment without a type
        return ast.Assign([target], self.visit(node.value) if node.value else ast.Constant(None))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        args, name = self.visit(node.args), self._number(node.name)
        body = [self.visit(one) for one in _statements(node.body)]
        return ast.FunctionDef(name, args, body, [])
