"""What a check holds of a student's objects: proxies that answer to calls and attributes only.

A proxy has Python's plain behaviour for all else: it equals itself, is no number, no array, no
sequence, whatever the student's class says of ``__eq__``, ``__float__`` or ``__array__``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol


class Asker(Protocol):
    """Who carries calls to the student's process; `link.Link` does."""

    def call(self, handle: Remote, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def get(self, handle: Remote, name: str) -> Any: ...

    def forget(self, number: int) -> None: ...


class Remote:
    """An object that lives in the student's process."""

    __slots__ = ("__weakref__", "_asker_", "_number_")

    def __init__(self, asker: Asker, number: int):
        object.__setattr__(self, "_asker_", asker)
        object.__setattr__(self, "_number_", number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._asker_.get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"A check can't set {name!r}: the object is the student's.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in the notebook>"

    def __del__(self) -> None:
        self._asker_.forget(self._number_)


class RemoteCallable(Remote):
    """One that can be called."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._asker_.call(self, args, kwargs)


@lru_cache(maxsize=256)
def remote_class(name: str, can_call: bool) -> type[Remote]:
    """A proxy class under the student's own name for it: checks tell what they were given."""
    return type(name, (RemoteCallable if can_call else Remote,), {"__slots__": ()})
