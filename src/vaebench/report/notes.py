"""``notes.md``: somebody's reading of a study, and the run that it is of.

The first line ``about: 3f2a9c0b51de`` names the results that the notes were written about, by
:attr:`vaebench.report.results.Results.digest`, so that a page whose numbers have changed since says so.
"""

from __future__ import annotations

import re

from vaebench.report.results import Results

__all__ = ["render_notes", "stamp_notes"]

_ABOUT = re.compile(r"\Aabout:[ \t]*([0-9a-f]*)[ \t]*\n+")


def render_notes(results: Results) -> tuple[str, str]:
    """The notes as HTML, and a warning where they are of another run than the numbers; both may be empty.

    HTML within the notes is text.
    """
    from markdown_it import MarkdownIt

    if not results.notes.strip():
        return "", ""
    about = _ABOUT.match(results.notes)
    text = results.notes[about.end() :] if about else results.notes
    html = MarkdownIt("js-default", {"linkify": False}).render(text)
    if about and about[1] == results.digest:
        return html, ""
    other = f"another run ({about[1]})" if about and about[1] else "a run that they do not name"
    return html, f"These notes were written about {other}; the numbers on this page are of {results.digest}."


def stamp_notes(results: Results) -> None:
    """Write into ``notes.md`` that it is about the results as they are."""
    path = results.path / "notes.md"
    path.write_text(f"about: {results.digest}\n\n{_ABOUT.sub('', results.notes)}", encoding="utf-8")
