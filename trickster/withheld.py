"""While an exercise's own check runs, the library's answer to that exercise refuses.

A check names what of the library answers its exercise (see ``checks.result.check``). As long as it
runs, calling such a function, or a method of such a class, raises :class:`Withheld`, however a
student has come by it: an alias, a partial, a subclass, an instance made before. The function
object itself has another body for that time. Other exercises may use it, and so may the library's
own functions, whose code names it.

In grading, a student's functions run in a process of their own, and it is there that the library
must refuse: the referee sees to that with :func:`refused_by`. There, copies of the library's code
refuse as well, wherever it was loaded from. Only what is typed into a cell is never taken for a
copy: a right answer may well have the library's words.
"""

from __future__ import annotations

import ast
import gc
import os
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

SENTENCE = (
    "Withheld: {name} is the library's, and this exercise asks for your own. Other exercises may "
    "use the library's."
)
HARMLESS = ("__repr__", "__str__", "__eq__", "__hash__")
MAKING = ("__init__", "__new__")  # what code calls by the name of the class

Refuse = Callable[[tuple[str, ...]], AbstractContextManager[None]]
Text = tuple[Any, ...]  # what `_text` returns


class Withheld(Exception):
    """The library's answer to the exercise whose check is running was called."""

    # What a check says where it has already shown the full text.
    plain = "your code called what is withheld here as well, as explained above."


def _body(*given: Any, **named: Any) -> Any:
    """The body of a function that refuses; its guard takes the place of the text."""
    guard: Any = "guard"
    return guard(given, named)


HERE = os.path.join(os.path.dirname(_body.__code__.co_filename), "")
CHECKS = os.path.join(HERE, "checks", "")

_lock = threading.RLock()
_withheld: dict[FunctionType, tuple[int, CodeType]] = {}  # by how many checks, and the own body
_sought: list[str] = []  # the names whose copies may not be run now
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
    something else by now, and copies of their code, as :func:`_is_copy` says; to find them takes a
    tenth of a second. Raises ImportError or AttributeError for a name that does not exist,
    TypeError for neither function nor class.
    """
    names = tuple(names)
    with ExitStack() as stack:
        for function, guard in _guarded(names, copies):
            _switch_on(function, guard)
            stack.callback(_switch_off, function)
        if copies and names:
            stack.enter_context(_running_no_copy_of(names))
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
    places = frozenset().union(*(_texts_of(name)[0] for name in names)) if search else ()
    known = [  # a hundred thousand functions: only the few that could be meant
        one
        for one in search
        if type(one) is FunctionType
        and (one.__code__.co_qualname in places or one.__code__.co_filename.startswith(HERE))
    ]
    for name in names:
        found = (one for one in known if _is_of(name, one) or _is_copy(name, _own_body(one)))
        there = dict.fromkeys([*functions_of(name), *found])
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


# --- copies of its code -------------------------------------------------------------------------


def _is_copy(name: str, code: CodeType) -> bool:
    """Whether code from elsewhere is that of ``name`` to the last word: a file or text was copied.

    Not what somebody has typed into a cell.
    """
    places, texts = _texts_of(name)
    return code.co_qualname in places and not _is_typed(code) and _text(code) in texts


def _is_typed(code: CodeType) -> bool:
    """Whether the code is that of a notebook's cell; the kernel names its files like this."""
    return Path(code.co_filename).parent.name.startswith("ipykernel_")


@cache
def _texts_of(name: str) -> tuple[frozenset[str], frozenset[Text]]:
    """The qualified names of ``name`` and of its methods, and their texts in the library's file."""
    _, module, own = name.split(".", 2)
    path = Path(HERE, f"{module}.py")
    whole = ast.parse(path.read_bytes())
    first = own.partition(".")[0]
    alone = [one for one in whole.body if getattr(one, "name", "") == first]
    codes = [
        code
        for tree in (whole, ast.Module(alone, []))  # by itself, it is not compiled quite the same
        for code in _codes_in(compile(tree, str(path), "exec", dont_inherit=True))
        if f"{code.co_qualname}.".startswith(f"{own}.") and _is_function(code)
    ]
    return frozenset(code.co_qualname for code in codes), frozenset(map(_text, codes))


def _is_function(code: CodeType) -> bool:
    """Whether it is the code of a function that counts, and neither of a class nor inside one."""
    inner = "<" in code.co_qualname  # a comprehension, a lambda, a local function
    return bool(code.co_flags & CO_OPTIMIZED) and not inner and code.co_name not in HARMLESS


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes_in(const)


def _text(code: CodeType) -> Text:
    """All that code says, its documentation included, but not where it was written."""
    consts = tuple(
        _text(one) if isinstance(one, CodeType) else (type(one), one) for one in code.co_consts
    )
    return code.co_qualname, code.co_code, code.co_names, code.co_varnames, consts


@contextmanager
def _running_no_copy_of(names: tuple[str, ...]) -> Iterator[None]:
    """As long as this lasts, code that holds a copy cannot be run or made a function either."""
    _add_audit_hook()
    _sought.extend(names)
    try:
        yield
    finally:
        for name in names:
            _sought.remove(name)


@cache
def _add_audit_hook() -> None:
    """Once: Python keeps it for good."""
    sys.addaudithook(_before)


def _before(event: str, given: tuple[Any, ...]) -> None:
    """Raise Withheld before a copy is run (`exec`, an import) or made a function."""
    if not _sought or event not in ("exec", "function.__new__"):
        return
    code = given[0]
    if not isinstance(code, CodeType) or sys._getframe(1).f_code is _copy.__code__:
        return
    for one in _codes_in(code):
        for name in _sought:
            if _is_copy(name, one):
                raise Withheld(SENTENCE.format(name=name))


# --- the bodies of functions --------------------------------------------------------------------


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
