"""Stand-ins in the student's kernel for what a notebook may call at a desk and grading has not.

Nobody answers `input()`, there is no drive to mount, and a kernel that `quit()` ended could not be
tested. None of these is part of an exercise, so they do nothing and say so in one line. Like the
agent, this file is sent to the kernel as source: it needs the standard library alone.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

COLAB = "google.colab"


def install(shell: Any) -> None:
    """Put the stand-ins into the kernel of this IPython shell."""
    shell.ask_exit = lambda: None
    for name in ("exit", "quit"):
        shell.user_ns[name] = _ending(name)
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        kernel.raw_input = _unanswered("input")
        kernel.getpass = _unanswered("getpass")
    sys.meta_path.append(Colab())


def _ending(name: str) -> Any:
    def stand_in(*given: Any, **named: Any) -> None:
        print(f"(Not done for grading: {name}().)")

    stand_in.__name__ = name
    return stand_in


def _unanswered(name: str) -> Any:
    def stand_in(prompt: str = "", *given: Any, **named: Any) -> str:
        print(f"{prompt}(Nobody answers {name}() while grading: it returns an empty text.)")
        return ""

    return stand_in


class Colab(MetaPathFinder, Loader):
    """Finds Google Colab's own modules where nothing else does."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name == "google" or name == COLAB or name.startswith(f"{COLAB}."):
            return importlib.util.spec_from_loader(name, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return ModuleType(spec.name) if spec.name == "google" else ColabModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class ColabModule(ModuleType):
    """A module in which every name exists, and calling it does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing(f"{self.__name__}.{name}")


class Nothing:
    """Can be called, and holds more of its kind; an empty answer to whoever looks into it."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return Nothing(f"{self._name}.{name}")

    def __call__(self, *given: Any, **named: Any) -> dict[str, Any]:
        print(f"(Not done for grading: {self._name}().)")
        return {}
