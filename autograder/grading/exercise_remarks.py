"""What code gives away that no test of its exercise can see, in a sentence for the instructor.

Each function looks through the code of one lab's exercise, which it knows by what its test has
withheld. Copies of the library and ways around its refusal are found in `library_text`.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence

KEYED, DETECTOR = "trickster.defenses.KeyedLie", "trickster.ood.OutlierExposure"
OF_THE_DETECTOR = {"make_outliers", "score", "detector"}


def on_exercises(trees: Sequence[ast.AST], withheld: Collection[str]) -> Iterator[str]:
    """Sentences on the cells of a notebook whose tests have withheld these names."""
    if KEYED in withheld and any(_calls_hash(tree) for tree in trees):
        yield (
            "Its code calls Python's hash, which gives a text another number at each start of the "
            "program: no test sees it, but lies that rest on it are others after a restart."
        )
    in_lab_5 = DETECTOR in withheld and any(_defines(tree, {"make_outliers"}) for tree in trees)
    if in_lab_5 and any(_trains(tree) and _names_shapes(tree) for tree in trees):
        yield (
            "Its detector's cells name the shapes, which lab 5 asks not to train on: a detector "
            "that knows them earns the points for shapes without finding anything else."
        )


def _calls_hash(tree: ast.AST) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(one, ast.Name) and one.id == "hash" for one in calls)


def _trains(tree: ast.AST) -> bool:
    """Whether a cell makes outliers, fits anything, or defines the detector or its score."""
    fits = (isinstance(one, ast.Attribute) and one.attr == "fit" for one in ast.walk(tree))
    return any(fits) or _defines(tree, OF_THE_DETECTOR)


def _defines(tree: ast.AST, names: set[str]) -> bool:
    """Whether a function or a variable gets one of these names."""
    for node in ast.walk(tree):
        function = isinstance(node, ast.FunctionDef) and node.name in names
        variable = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        if function or (variable and node.id in names):
            return True
    return False


def _names_shapes(tree: ast.AST) -> bool:
    """Whether a cell asks for the pool of that name, or calls the lab's function for it."""
    return any(
        (isinstance(node, ast.Constant) and node.value == "shapes")
        or (isinstance(node, ast.Name) and node.id == "shapes")
        for node in ast.walk(tree)
    )
