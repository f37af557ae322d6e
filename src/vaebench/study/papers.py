"""Folder of a paper: ``papers/<key>/`` in the workspace, in the checkout, or in an installed package.

The wheel of vaebench holds the papers of its checkout. A package brings papers of its own with an entry point
of the group ``vaebench.paper``, whose name is the paper's key and whose value the package that holds
``paper.yaml``:

    [project.entry-points."vaebench.paper"]
    kingma2014 = "my_package.papers.kingma2014"
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vaebench.base.errors import UserError
from vaebench.base.registry import plugins

__all__ = ["paper_folder", "paper_keys"]

_GROUP = "vaebench.paper"
_CHECKOUT = Path(__file__).parents[3] / "papers"
_WHEEL = Path(__file__).parents[1] / "papers"


def paper_keys() -> list[str]:
    """The keys of all papers that are found, the workspace's first."""
    own = [path.parent.name for root in _roots() for path in sorted(root.glob("*/paper.yaml"))]
    return list(dict.fromkeys([*own, *sorted(plugins(_GROUP).names)]))


def paper_folder(key: str) -> Path:
    """The folder with a paper's ``paper.yaml``, tables and claims.

    Raises:
        UserError: no such paper is found; the message names those that are.
    """
    for root in _roots():
        if (root / key / "paper.yaml").is_file():
            return root / key
    for entry in plugins(_GROUP).select(name=key):
        spec = find_spec(entry.value)
        for folder in spec.submodule_search_locations or [] if spec else []:
            if (Path(folder) / "paper.yaml").is_file():
                return Path(folder)
        raise UserError(f"the entry point {key!r} names the package {entry.value}, which has no paper.yaml.")
    raise UserError(
        f"the paper {key!r} is not found; there are: {', '.join(paper_keys()) or 'none'}. A paper is a "
        "folder papers/<key>/ with paper.yaml and its tables; see docs/add-a-paper.md."
    )


def _roots() -> list[Path]:
    """The workspace's folder, the checkout's, and the installed wheel's: the first that has a key counts."""
    roots = (root.resolve() for root in (Path("papers"), _CHECKOUT, _WHEEL) if root.is_dir())
    return list(dict.fromkeys(roots))
