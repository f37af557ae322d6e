"""What is shown while a stage works."""

from __future__ import annotations

import io

import pytest

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
