"""The README's and the guides' blocks of code, and what runs each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from support.tiny_study import ROOT, run

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])

WHEN = r"nightly|shortened|fresh clone|cluster|no \([^\n]+\)"
"""Without a mark a block runs in `make test`; with one in `make nightly`, where it can."""

BLOCK = re.compile(rf"(?:^<!-- test: ({WHEN}) -->\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    when: str
    language: str
    text: str


def blocks(document: Path, language: str) -> list[Block]:
    """The document's blocks in ``language``."""
    found = (Block(*match) for match in BLOCK.findall(document.read_text(encoding="utf-8")))
    return [block for block in found if block.language == language]


def run_block(folder: Path, text: str, env: dict[str, str] | None = None) -> str:
    """Output of a block's commands, run in ``folder``."""
    return run(folder, "bash", "-euo", "pipefail", "-c", text, env=env)
