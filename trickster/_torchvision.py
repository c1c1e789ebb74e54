"""The only import of torchvision, and the cure of a broken import.

A CPU build of torch beside a torchvision wheel built for CUDA fails at ``import torchvision``
with "operator torchvision::nms does not exist": the wheel's compiled operators cannot be
loaded, and torchvision then describes operators that nobody has declared. Declaring the two
schemas is enough for datasets, transforms and utils (not for detection models, which would
run those operators). Seen with torch 2.13.0+cpu beside torchvision 0.28.0.

Nothing else lives here. Import torchvision through ``load`` and only when it is needed: it
takes seconds.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType
from typing import Any

_SYMPTOM = "operator torchvision::nms does not exist"
_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
# torch forgets a schema when the Library that declared it is collected.
_keep_alive: list[Any] = []


@functools.lru_cache(maxsize=1)
def load() -> ModuleType:
    """Return torchvision, cured if it needs to be.

    Returns
    -------
    The module ``torchvision``, with ``torchvision.datasets``, ``.transforms`` and ``.utils``
    imported. The same object at every call.

    Raises
    ------
    ImportError: torchvision (or something that it needs) is not installed.
    RuntimeError: torchvision is broken in some other way; its own error, untouched.
    """
    try:
        return _import()
    except ModuleNotFoundError as error:
        raise ImportError(
            f"torchvision could not be imported: {error}. It is needed to download or read "
            "this data set; install it with `pip install torchvision`."
        ) from error
    except RuntimeError as error:
        if _SYMPTOM not in str(error):
            raise
    _forget_half_import()
    _declare_schemas()
    return _import()


def _import() -> ModuleType:
    """Import torchvision the plain way."""
    return importlib.import_module("torchvision")


def _forget_half_import() -> None:
    """Drop what a failed import left behind, or the next one would trip over it."""
    for name in list(sys.modules):
        if name == "torchvision" or name.startswith("torchvision."):
            del sys.modules[name]


def _declare_schemas() -> None:
    """Declare the missing operators of torchvision, without giving them a body."""
    import torch

    # FRAGMENT, not DEF: others may have declared operators in this namespace already.
    library = torch.library.Library("torchvision", "FRAGMENT")
    _keep_alive.append(library)
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
