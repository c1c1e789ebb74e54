"""While an exercise's own check runs, the library's answer to that exercise refuses.

A check names what of the library answers its exercise (see ``checks.result.check``). As long as it
runs, calling such a function, or a method of such a class, raises :class:`Withheld`, however a
student has come by it: an alias, a partial, a subclass, an instance made before. The function
object itself has another body for that time. Other exercises may use it, and so may the library's
own functions, whose code names it.

In grading, a student's functions run in a process of their own, and it is there that the library
must refuse: the referee sees to that with :func:`refused_by`.
"""

from __future__ import annotations

import gc
import os
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import Any

SENTENCE = (
    "Withheld: {name} is the library's own answer to this exercise. Write yours; other exercises "
    "may use the library's."
)
HARMLESS = ("__repr__", "__str__", "__eq__", "__hash__")
MAKING = ("__init__", "__new__")  # what code calls by the name of the class

Refuse = Callable[[tuple[str, ...]], AbstractContextManager[None]]


class Withheld(Exception):
    """The library's answer to the exercise whose check is running was called."""

    # What a check says where it has already shown the full text.
    plain = "your code called the library's own answer here as well, as explained above."


def _body(*given: Any, **named: Any) -> Any:
    """The body of a function that refuses; its guard takes the place of the text."""
    guard: Any = "guard"
    return guard(given, named)


HERE = os.path.join(os.path.dirname(_body.__code__.co_filename), "")
CHECKS = os.path.join(HERE, "checks", "")

_lock = threading.RLock()
_withheld: dict[FunctionType, tuple[int, CodeType]] = {}  # by how many checks, and the own body
_lifted: ContextVar[bool] = ContextVar("lifted", default=False)
_refuse: ContextVar[Refuse | None] = ContextVar("who refuses", default=None)


def during_check(names: tuple[str, ...]) -> AbstractContextManager[None]:
    """As long as this lasts, ``names`` refuse where the student's functions run."""
    return (_refuse.get() or refusing)(names)


@contextmanager
def refused_by(refuse: Refuse) -> Iterator[None]:
    """As long as this lasts, checks enter ``refuse(names)``; without it, :func:`refusing`."""
    token = _refuse.set(refuse)
    try:
        yield
    finally:
        _refuse.reset(token)


def nobody(names: tuple[str, ...]) -> AbstractContextManager[None]:
    """Refuses nothing: ``with refused_by(nobody)`` tries a check on the library's own answer."""
    return nullcontext()


def lifted() -> AbstractContextManager[None]:
    """As long as this lasts, nothing refuses: for a check that compares with the library's answer.

    Raises RuntimeError where anything but a check asks for it.
    """
    if not sys._getframe(1).f_code.co_filename.startswith(CHECKS):
        raise RuntimeError("Only a check may lift what it withholds.")
    return _lifting()


@contextmanager
def _lifting() -> Iterator[None]:
    token = _lifted.set(True)
    try:
        yield
    finally:
        _lifted.reset(token)


@contextmanager
def refusing(names: Iterable[str], *, copies: bool = False) -> Iterator[None]:
    """As long as this lasts, the functions and classes ``"module.name"`` refuse in this process.

    With ``copies``, so do those of a module that was loaded more than once, or whose names mean
    something else by now; to find them takes a tenth of a second. Raises ImportError or
    AttributeError for a name that does not exist, TypeError for neither function nor class.
    """
    with ExitStack() as stack:
        for function, guard in _guarded(tuple(names), copies):
            _switch_on(function, guard)
            stack.callback(_switch_off, function)
        yield


# --- which functions, and who may call them -----------------------------------------------------


@dataclass(frozen=True)
class _Guard:
    """Decides on each call of a function that is withheld."""

    name: str  # as the check has it
    known_as: str  # what code that calls it by name names; "" for a method
    friends: frozenset[CodeType]  # the code of its class
    original: FunctionType

    def __call__(self, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        caller = sys._getframe(2).f_code  # who called the function, whose body called this
        if not (_lifted.get() or caller in self.friends or self._named_by(caller)):
            raise Withheld(SENTENCE.format(name=self.name))
        return self.original(*given, **named)

    def _named_by(self, caller: CodeType) -> bool:
        """Whether the library's code calls it by its name, and not as something it was handed.

        A check must lift it: what the student wrote has the same name there.
        """
        file = caller.co_filename
        ours = file.startswith(HERE) and not file.startswith(CHECKS)
        return ours and self.known_as in caller.co_names


def functions_of(name: str) -> list[FunctionType]:
    """The function at ``"module.name"``, or all those of the class there. Errors: `refusing`."""
    found = pkgutil.resolve_name(name)
    if isinstance(found, type):
        members = [_function_in(one) for key, one in vars(found).items() if key not in HARMLESS]
        own = f"{found.__qualname__}."  # a function that is a field's default belongs elsewhere
        functions = [one for one in members if one and one.__qualname__.startswith(own)]
    else:
        function = _function_in(found)
        functions = [function] if function else []
    if not functions:
        raise TypeError(f"{name} is a {type(found).__name__}: only functions and classes refuse.")
    return functions


def _function_in(found: Any) -> FunctionType | None:
    if isinstance(found, (staticmethod, classmethod, MethodType)):
        found = found.__func__
    if isinstance(found, property):
        found = found.fget
    return found if isinstance(found, FunctionType) else None


def _guarded(names: tuple[str, ...], copies: bool) -> Iterator[tuple[FunctionType, _Guard]]:
    """Every function behind the names."""
    search = gc.get_objects() if copies and names else []
    known = [one for one in search if type(one) is FunctionType]
    for name in names:
        there = dict.fromkeys([*functions_of(name), *(one for one in known if _is_of(name, one))])
        friends = frozenset(map(_own_body, there))
        for function in there:
            *_, owner, own_name = ("", *function.__qualname__.split("."))
            known_as = owner if owner and own_name in MAKING else "" if owner else own_name
            yield (
                function,
                _Guard(name, known_as, friends if owner else frozenset(), _copy(function)),
            )


def _is_of(name: str, function: FunctionType) -> bool:
    """Whether the library's text of ``name`` has made the function, and whatever it is called."""
    code = function.__code__
    if not code.co_filename.startswith(HERE):
        return False
    module = code.co_filename.removeprefix(HERE).removesuffix(".py").replace(os.sep, ".")
    place = f"{__package__}.{module}.{code.co_qualname}"
    own = place == name or place.startswith(f"{name}.")
    return own and code.co_name not in HARMLESS


def _own_body(function: FunctionType) -> CodeType:
    return _withheld[function][1] if function in _withheld else function.__code__


def _copy(function: FunctionType) -> FunctionType:
    """A function that does the same, and goes on doing it."""
    body, defaults = _own_body(function), function.__defaults__
    names = function.__globals__, function.__name__
    copy = FunctionType(body, *names, defaults, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _switch_on(function: FunctionType, guard: _Guard) -> None:
    with _lock:
        count, own = _withheld.get(function, (0, function.__code__))
        _withheld[function] = count + 1, own
        if not count:
            consts = tuple(guard if one == "guard" else one for one in _body.__code__.co_consts)
            function.__code__ = _body.__code__.replace(
                co_consts=consts,
                co_freevars=own.co_freevars,
                co_filename=own.co_filename,
                co_firstlineno=own.co_firstlineno,
                co_name=own.co_name,
                co_qualname=own.co_qualname,
            )


def _switch_off(function: FunctionType) -> None:
    with _lock:
        count, own = _withheld.pop(function)
        if count > 1:
            _withheld[function] = count - 1, own
        else:
            function.__code__ = own
