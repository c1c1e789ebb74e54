"""Bars over the networks that a cell trains, and what is printed beside them."""

from __future__ import annotations

import sys

from autograder.authoring.execute import as_terminal
from trickster import progress


class Terminal:
    """A terminal that keeps what is written to it."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return True


def test_work_moves_the_bar_and_printed_lines_stay_whole(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    with progress.bar("Training 4 clones", 4):
        progress.advance(2)
        print("one", end="")
        progress.advance()  # in the middle of a line
        print(" line")
        assert "75%" in screen.text.rpartition("\r")[2]
        progress.advance(2)  # one more than was announced
        print("the end")
        assert "100%" in screen.text.rpartition("\r")[2]
    assert sys.stdout is screen and " left" in screen.text
    lines = [line for line in screen.text.replace("\r", "\n").split("\n") if line.strip()]
    assert [line for line in lines if "%" not in line] == ["one line", "the end"]
    assert as_terminal(screen.text).split() == ["one", "line", "the", "end"]


def test_the_bar_goes_when_the_block_fails_and_in_a_log_there_is_none(monkeypatch, capsys):
    screen = Terminal()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", screen)
        try:
            with progress.bar("Training", 2):
                raise KeyError("a slip in the cell")
        except KeyError:
            pass
        assert sys.stdout is screen and not as_terminal(screen.text).strip()
    with progress.bar("Training", 2):
        progress.advance()
        print("to a log")
    progress.advance()  # no bar is shown
    assert capsys.readouterr().out == "to a log\n"
