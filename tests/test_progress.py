"""What is shown while a stage works."""

from __future__ import annotations

import io

import pytest

from vaebench.base import progress
from vaebench.base.terminal import bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_a_long_note_leaves_room_for_what_is_done_and_how_much_there_is(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with bars(terminal) as shown:
        shown.add_task("AVAE · digits · 0", total=10, completed=3, note="loss 1, reconstruction 2, " * 8)
    assert "AVAE · digits · 0" in terminal.getvalue()
    assert " 3/10" in terminal.getvalue()


def test_a_long_epoch_says_how_far_it_is_and_a_short_one_nothing(monkeypatch, capsys):
    shown = progress.EpochProgress("VAE", 4, lambda history: None)
    shown.within(1.5)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    shown.within(1.5)
    shown.within(2.999)
    shown.within(3.0)
    assert capsys.readouterr().out == "VAE: epoch 2/4, 50 % of it\nVAE: epoch 3/4, 99 % of it\n"
