"""Figures with controls: they follow, they draw once, and they degrade to a still figure."""

from __future__ import annotations

import sys

import ipywidgets
import pytest
from IPython.display import DisplayHandle

from autograder.authoring.execute import tidy_outputs
from trickster import plots
from trickster.playground import Control, playground

drawn: list[tuple[int, float]] = []


def figure(n: int, height: float) -> plots.Picture:
    drawn.append((n, height))
    return plots.losses([height] * n, title="T")


def controls() -> dict[str, Control]:
    return {
        "n": Control("epochs", (1, 2, 3), start=2),
        "height": Control("loss", (0.5, 0.25), show=lambda value: f"{value:.2f}"),
    }


@pytest.fixture
def shown(monkeypatch):
    """What the cell displays, and what the displays are updated with."""
    drawn.clear()
    outputs: list[object] = []
    handle = DisplayHandle("one")
    monkeypatch.setattr(handle, "update", outputs.append)

    def display(what, display_id=None):
        outputs.append(what)
        return handle if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    return outputs


def test_the_figure_follows_its_controls(shown):
    playground(figure, **controls())._ipython_display_()
    box, first = shown
    assert first.alt.startswith("T: training loss from 0.50") and drawn == [(2, 0.5)]
    epochs, loss, style = box.children
    assert all(isinstance(one, ipywidgets.Dropdown) for one in (epochs, loss))  # has a name to hear
    assert style.layout.display == "none" and "<style>" in style.value
    assert [epochs.description, loss.description] == ["epochs", "loss"]
    assert [epochs.value, loss.value] == [2, 0.5]
    assert [text for text, _ in loss.options] == ["0.50", "0.25"]
    epochs.value = 3
    loss.value = 0.25
    loss.value = 0.5
    assert drawn == [(2, 0.5), (3, 0.5), (3, 0.25)]  # no setting twice
    assert [one.alt.split()[4] for one in shown[2:]] == ["0.50", "0.25", "0.50"]


def test_without_widgets_it_is_a_still_figure(shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    playground(figure, **controls())._ipython_display_()
    (still,) = shown
    assert isinstance(still, plots.Picture)


def test_committed_outputs_hold_the_figure_and_no_widget():
    from nbformat.v4 import output_from_msg

    widget = ipywidgets.IntText()._repr_mimebundle_()
    pictured = figure(1, 0.5)._repr_mimebundle_()
    outputs = [
        output_from_msg(
            {"header": {"msg_type": "display_data"}, "content": {"data": data, "metadata": {}}}
        )
        for data in (widget, pictured)
    ]
    assert [dict(output.data) for output in tidy_outputs(outputs)] == [pictured]


def test_a_start_that_is_no_value_is_told():
    with pytest.raises(ValueError, match="epochs: the start, 7"):
        playground(figure, n=Control("epochs", (1, 2), start=7)).first()
