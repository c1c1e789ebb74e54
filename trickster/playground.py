"""A figure with controls above it, which change what it shows.

    def picture(queries, decimals): ...  # returns a trickster.picture.Picture

    playground(picture, queries=Control("queries", (100, 500, 1_000)), decimals=...)

The figure is an ordinary output. Where there are no widgets, as in a web page that was made of a
notebook, the figure of the first settings stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from trickster.picture import Picture

# The arrow of ipywidgets' lists is black, also on JupyterLab's dark pages: there it is light.
ARROW = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'>"
    "<path fill='%23e0e0e0' d='M5.2 5.9 9 9.7l3.8-3.8 1.2 1.2-4.9 5-4.9-5z'/></svg>"
)
STYLE = (
    '<style>[data-jp-theme-light="false"] .jupyter-widget-dropdown '
    f'{{--jp-widgets-dropdown-arrow: url("data:image/svg+xml,{ARROW}")}}</style>'
)


@dataclass(frozen=True)
class Control:
    """One thing to change.

    label : its name, as people read and hear it.
    values : what it can be set to, in order.
    start : the value at first; default: the first one.
    show : how a value is written; default: ``str``.
    """

    label: str
    values: Sequence[Any]
    start: Any = None
    show: Callable[[Any], str] = str

    @property
    def first(self) -> Any:
        """The value at first. Raises ``ValueError`` where it is none of the values."""
        if self.start is None:
            return self.values[0]
        if self.start not in self.values:
            raise ValueError(f"{self.label}: the start, {self.start!r}, is none of {self.values}.")
        return self.start


def playground(draw: Callable[..., Picture], **controls: Control) -> Playground:
    """What a cell shows as its last line: the figure that ``draw`` returns, under its ``controls``.

    draw : a function of one value for each control, by name, to a :class:`Picture`. It should take
        less than .3 seconds, so compute before what takes longer. No setting is drawn twice.
    """
    return Playground(draw, controls)


class Playground:
    """A figure and its controls."""

    def __init__(self, draw: Callable[..., Picture], controls: Mapping[str, Control]):
        self.draw, self.controls = cache(draw), controls

    def first(self) -> Picture:
        """The figure of the first settings."""
        return self.draw(**{name: control.first for name, control in self.controls.items()})

    def _ipython_display_(self) -> None:
        from IPython.display import display

        try:
            import ipywidgets
        except ImportError:
            display(self.first())
            return
        chosen = {name: _choice(ipywidgets, one) for name, one in self.controls.items()}
        style = ipywidgets.HTML(STYLE, layout={"display": "none"})
        display(ipywidgets.VBox([*chosen.values(), style]))
        shown = display(self.first(), display_id=True)

        def follow(_: object) -> None:
            shown.update(self.draw(**{name: one.value for name, one in chosen.items()}))

        for one in chosen.values():
            one.observe(follow, "value")


def _choice(ipywidgets: ModuleType, control: Control) -> Any:
    """A drop-down list. Of ipywidgets' sliders and rows of buttons, no name is read out."""
    return ipywidgets.Dropdown(
        options=[(control.show(value), value) for value in control.values],
        value=control.first,
        description=control.label,
        style={"description_width": "initial"},
        layout={"width": "max-content", "max_width": "100%"},
    )
