"""The pages' templates: Jinja2 with autoescape, style and script inlined, no request but for files."""

from __future__ import annotations

import functools
from importlib.resources import files

from vaebench.report.describe import GROUPS
from vaebench.report.entries import DASH

__all__ = ["asset", "template"]


def asset(name: str) -> str:
    """The text of a file that is inlined into a page."""
    return (files(__name__) / name).read_text(encoding="utf-8")


@functools.cache
def template(name: str):
    """A compiled template, with the style as ``style``."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(dash=DASH, groups=GROUPS, style=asset("page.css"))
    return environment.get_template(name)
