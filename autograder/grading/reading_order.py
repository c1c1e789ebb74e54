"""Which names a cell may read before it has bound them itself.

    for name, x in queries.items():     # reads `queries`; `name` and `x` are its own
        print(name, x)

Follows the order in which Python runs a cell, and is careful: what is bound under a condition is
not sure to be, and a function reads its global names later, when anything may have been bound anew.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


def read_before_bound(source: str) -> set[str]:
    """Names that the code of a cell may read without having bound them for certain.

    Names that only a function knows may be among them. The code must be free of errors.
    """
    reader = _Reader()
    reader.visit(ast.parse(source))
    return reader.found


class _Reader(ast.NodeVisitor):
    """Walks through a cell as Python runs it; `sure` are the names that are bound by now."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.sure: frozenset[str] = frozenset()

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and node.id not in self.sure:
            self.found.add(node.id)

    # --- what binds for certain ------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        self._bind(*node.targets)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._bind(node.target)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self._sure(alias.asname or alias.name.partition(".")[0] for alias in node.names)

    visit_ImportFrom = visit_Import

    def _bind(self, *targets: ast.expr) -> None:
        for target in targets:
            self.visit(target)  # `a[i] = ...` reads both
            stored = [one for one in ast.walk(target) if isinstance(one, ast.Name)]
            self._sure(one.id for one in stored if isinstance(one.ctx, ast.Store))

    def _sure(self, names: Iterable[str]) -> None:
        self.sure |= frozenset(names)

    # --- what unbinds, or reads what it binds ----------------------------------------------------

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        read = ast.Name(node.target.id, ast.Load()) if isinstance(node.target, ast.Name) else None
        self.visit(read or node.target)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.visit(ast.Name(target.id, ast.Load()))
                self.sure -= {target.id}
            else:
                self.visit(target)

    # --- what may run or not ---------------------------------------------------------------------

    def _perhaps(self, *nodes: ast.AST, binding: Iterable[ast.expr] = ()) -> None:
        """Nodes after which nothing is sure that was not before; `binding` is bound before them."""
        before = self.sure
        self._bind(*binding)
        for node in nodes:
            self.visit(node)
        self.sure = before & self.sure

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self._perhaps(*node.body, binding=[node.target])
        self._perhaps(*node.orelse)

    def visit_While(self, node: ast.While | ast.If) -> None:
        self.visit(node.test)
        self._perhaps(*node.body)
        self._perhaps(*node.orelse)

    visit_If = visit_While
    visit_AsyncFor = visit_For

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        for case in node.cases:
            self._perhaps(case)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            self._bind(*filter(None, [item.optional_vars]))
        self._perhaps(*node.body)  # it may swallow an error

    visit_AsyncWith = visit_With

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        self._perhaps(*node.body, *node.orelse)
        for handler in node.handlers:
            self._perhaps(handler)
        self._perhaps(*node.finalbody)

    visit_TryStar = visit_Try

    # Whatever else there is binds nothing for certain, such as `a and (b := c)`.

    # --- scopes of their own ---------------------------------------------------------------------

    def _comprehension(self, node: Comprehension) -> None:
        before = self.sure
        for loop in node.generators:
            self.visit(loop.iter)
            self._bind(loop.target)
            for condition in loop.ifs:
                self.visit(condition)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for result in results:
            self.visit(result)
        self.sure = before

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._later(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._later(node)
        self._sure([node.name])

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._later(node)
        self._sure([node.name])

    def _later(self, node: ast.AST) -> None:
        """Code that runs later: nothing is sure to be what it is now."""
        before, self.sure = self.sure, frozenset()
        self.generic_visit(node)
        self.sure = before
