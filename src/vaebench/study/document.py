"""The text of a study: YAML as DVC reads it, whole, also where the file holds only the differences.

``params.yaml`` is read by DVC, too, with ruamel.yaml and the rules of YAML 1.2 (``1e-5`` is a number,
``yes`` a word, ``010`` ten). So is every study here.

    >>> parse("eps: 1e-5", "params.yaml")
    {'eps': 1e-05}

A study in ``studies/`` may begin with ``extends: NAME``, another study beside it. Then it says only what
differs: mappings merge, lists and values replace, ``null`` removes, a ``{name: …}`` of another name is
another value and replaces the whole, and what the study's lists do not name is left out.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from vaebench.base.errors import UserError, cannot_be_read

__all__ = ["compose", "derive", "dump", "extension", "parse"]

UNREADABLE = (YAMLError, ValueError, RecursionError, OverflowError)
"""Exceptions of reading text as YAML."""

MOST_VALUES = 1_000_000
"""Values of a study, those that aliases repeat included, of which a few lines may stand for billions."""

WHOLE_LINE = 4096
"""Columns: longer than any line, so that none is folded."""


def parse(text: str, where: str | Path) -> Any:
    """The content of YAML.

    Raises:
        UserError: naming ``where``, the line, and what is wrong with it.
    """
    return _load(text, where, "safe")


def dump(content: Mapping) -> str:
    """Text that :func:`parse` and DVC read as ``content``: JSON, which is YAML, in no dialect of it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def compose(path: Path) -> str:
    """The whole text of a study: the file's own, or, where it ``extends`` another, that of both.

    Raises:
        UserError: a file is missing or damaged, or extends itself.
    """
    return _compose(path, ())


def derive(text: str, where: str | Path, changes: Mapping) -> str:
    """A whole study with ``changes`` merged into it, without a header or what its lists do not name.

    Raises:
        UserError: ``text`` is no study; ``where`` is named.
    """
    whole = _load(text, where, "rt")
    if not isinstance(whole, CommentedMap) or not isinstance(whole.get("study"), CommentedMap):
        raise UserError(f"{where} must be a mapping with a study in it.")
    _merge(whole, _flow(changes))
    _leave_out_unlisted(whole)
    return _dump(whole)


def extension(base: str, changes: Mapping, comment: str) -> str:
    """The text of a study that extends ``base`` by ``changes``, under a line of comment."""
    whole = _flow({"extends": base, **changes})
    return f"# {comment}\n{_dump(whole)}"


def _flow(changes: Mapping) -> CommentedMap:
    """Mappings as blocks, lists in a line."""
    whole = CommentedMap()
    for key, value in changes.items():
        if isinstance(value, Mapping):
            whole[key] = _flow(value)
        elif isinstance(value, list):
            whole[key] = CommentedSeq(value)
            whole[key].fa.set_flow_style()
        else:
            whole[key] = value
    return whole


def _compose(path: Path, below: tuple[Path, ...]) -> str:
    text = _read(path)
    content = _load(text, path, "rt") if "extends" in text else None
    if not isinstance(content, Mapping) or "extends" not in content:
        return text
    base = _base(path, content["extends"])
    if base in (path, *below):
        circle = " → ".join(other.stem for other in (*below, path, base))
        raise UserError(f"{path}: extends goes round in a circle: {circle}. Take one of these lines out.")
    whole = _load(_compose(base, (*below, path)), base, "rt")
    if not isinstance(whole, CommentedMap):
        raise UserError(f"{base} must be a mapping, since {path} extends it.")
    changes = {key: value for key, value in content.items() if key != "extends"}
    _merge(whole, {"study": {}, **changes})
    if isinstance(whole.get("study"), CommentedMap):
        whole["study"]["name"] = changes.get("study", {}).get("name", path.stem)
        _leave_out_unlisted(whole)
    return _header(text) + _dump(whole)


def _base(path: Path, name: object) -> Path:
    beside = {other.stem: other for other in sorted(path.parent.glob("*.yaml"))}
    if isinstance(name, str) and name in beside:
        return beside[name]
    raise UserError(
        f"{path}: extends: {name!r} is no study beside it; there are: {', '.join(beside) or 'none'}. "
        "A params.yaml is whole: `vaebench study NAME` writes it."
    )


def _merge(whole: CommentedMap, changes: Mapping, inside: str = "") -> None:
    for key, value in changes.items():
        old = whole.get(key)
        if value is None and inside:
            whole.pop(key, None)
        elif (
            isinstance(old, CommentedMap) and isinstance(value, Mapping) and not _is_another(old, value, key)
        ):
            _merge(old, value, str(key))
        else:
            whole[key] = value


def _is_another(old: Mapping, new: Mapping, key: object) -> bool:
    """True if ``new`` names another value on an axis than ``old``."""
    return key != "study" and "name" in old and "name" in new and old["name"] != new["name"]


def _leave_out_unlisted(whole: CommentedMap) -> None:
    for section in ("datasets", "methods", "densities"):
        listed, defined = whole["study"].get(section), whole.get(section)
        if isinstance(listed, list) and isinstance(defined, CommentedMap):
            for name in [name for name in defined if name not in listed]:
                del defined[name]


def _header(text: str) -> str:
    """The comment lines above the first key."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[: next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))])


def _dump(whole: CommentedMap) -> str:
    """The text of a study, without a header; empty lines stand between its parts and nowhere else."""
    whole.ca.comment = None
    yaml = _yaml("rt")
    yaml.width = WHOLE_LINE
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(whole, stream)
    return re.sub(r"\n+(?=\w)", "\n\n", re.sub(r"\n+(?= )", "\n", stream.getvalue()))


@dataclass(frozen=True)
class _Verbatim:
    """A number, date or truth value as it is written; ruamel.yaml's own copies of some are not exact."""

    tag: str
    text: str


class _Constructor(RoundTripConstructor):
    pass


class _Representer(RoundTripRepresenter):
    pass


for _kind in ("int", "float", "bool", "timestamp"):
    _Constructor.add_constructor(
        f"tag:yaml.org,2002:{_kind}", lambda _, node: _Verbatim(str(node.tag), node.value)
    )
_Representer.add_representer(_Verbatim, lambda self, value: self.represent_scalar(value.tag, value.text))
_Representer.add_representer(
    type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null")
)


def _yaml(kind: str) -> YAML:
    """Reads plain values ("safe"), or what can be written again with its comments ("rt")."""
    yaml = YAML(typ=kind)
    if kind == "rt":
        yaml.Constructor, yaml.Representer = _Constructor, _Representer
    return yaml


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{path} is not there; `make study NAME=quickstart` puts a study in its place."
        ) from None
    except OSError as error:
        raise cannot_be_read(path, error) from None
    except ValueError as error:
        raise _damaged(path, error) from None


def _load(text: str, where: str | Path, kind: str) -> Any:
    try:
        content = _yaml(kind).load(text)
        _count(content, 0)
    except UNREADABLE as error:
        raise _damaged(where, error) from None
    return content


def _count(content: Any, counted: int) -> int:
    """``counted`` and the values in ``content``; ValueError where they are too many to be a study."""
    if counted > MOST_VALUES:
        raise ValueError(f"its aliases (*name) stand for more than {MOST_VALUES:,} values.")
    if isinstance(content, Mapping):
        content = content.values()
    elif not isinstance(content, list):
        return counted + 1
    for inner in content:
        counted = _count(inner, counted)
    return counted + 1


def _damaged(where: str | Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()).replace('in "<unicode string>", ', "at ")
    if isinstance(error, UnicodeDecodeError):
        reason = f"its bytes are not UTF-8 (byte {error.start + 1}); save it as UTF-8."
    if isinstance(error, RecursionError):
        reason = "it is nested too deeply, or an alias (*name) stands inside of what it names."
    if isinstance(error, DuplicateKeyError) and (key := re.search(r'duplicate key "(.*?)"', reason)):
        mark = error.problem_mark
        reason = f"{key[1]!r} is there twice, line {mark.line + 1}, column {mark.column + 1}."
    return UserError(
        f"{where} is not valid YAML: {reason.rstrip('.')}. Repair that place, or let "
        "`make study NAME=quickstart` put a whole study there."
    )
