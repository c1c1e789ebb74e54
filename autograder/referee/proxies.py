"""Proxies for a student's objects, which forward calls and attributes and nothing else.

In all other respects a proxy is a plain Python object: it equals only itself and is no number, no
array and no sequence, whatever the student's class says of ``__eq__`` or ``__array__``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol


class RemoteCaller(Protocol):
    """Carries calls to the student's process; `session.Session` does."""

    def call(self, handle: RemoteObject, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def get(self, handle: RemoteObject, name: str) -> Any: ...

    def release(self, number: int) -> None: ...


class RemoteObject:
    """An object in the student's process."""

    __slots__ = ("__weakref__", "_caller_", "_number_")

    def __init__(self, caller: RemoteCaller, number: int):
        object.__setattr__(self, "_caller_", caller)
        object.__setattr__(self, "_number_", number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._caller_.get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"A check can't set {name!r}: the object is the student's.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in the notebook>"

    def __del__(self) -> None:
        self._caller_.release(self._number_)


class RemoteCallable(RemoteObject):
    """One that can be called."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._caller_.call(self, args, kwargs)


@lru_cache(maxsize=256)
def remote_class(name: str, can_call: bool) -> type[RemoteObject]:
    """A proxy class with the name of the student's class, so that checks can report it."""
    return type(name, (RemoteCallable if can_call else RemoteObject,), {"__slots__": ()})
