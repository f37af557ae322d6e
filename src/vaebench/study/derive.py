"""A study of one's own from another: fewer methods, other seeds, a shorter schedule, another name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vaebench.base.errors import UserError
from vaebench.base.files import write_text
from vaebench.study.document import compose, derive, extension, parse
from vaebench.study.params import Name, load_params, parse_params
from vaebench.study.schedule import check_schedule, useless_patience

__all__ = ["write_new_study"]


def write_new_study(
    folder: Path,
    name: str,
    base: str | None,
    active: Path,
    *,
    title: str = "",
    epochs: int | None = None,
    **lists: list,
) -> Path:
    """Write ``folder/name.yaml``.

    Args:
        folder: of the studies.
        name: of the new one.
        base: the study that it extends; without it, the whole of ``active`` is kept under the new name.
        active: ``params.yaml``.
        title: the new study's title; without it, its name, its origin and the differences.
        epochs: of the schedule; a plateau or early stopping that could not take effect any more is left out.
        lists: ``methods``, ``datasets``, ``seeds``: names that are kept of each; all where it is empty.

    Raises:
        UserError: the name is taken or cannot be one, or the result is no study; nothing is written then.
    """
    path = folder / f"{name}.yaml"
    _check_name(name, path)
    source = active if base is None else folder / f"{base}.yaml"
    text = compose(source)
    before = load_params(source, specs=())
    chosen = {key: values for key, values in lists.items() if values}
    different = ", ".join([*(f"{key} {', '.join(map(str, v))}" for key, v in chosen.items())])
    if epochs is not None:
        different = ", ".join(filter(None, [different, f"{epochs} epochs"]))
    title = title or before.study.name + (f" with {different}" if different else " under another name")
    changes: dict[str, Any] = {"study": {"title": title, **chosen}}
    if epochs is not None:
        changes["training"] = {"epochs": epochs}
        training = before.training.model_copy(update={"epochs": epochs})
        changes["training"] |= dict.fromkeys(useless_patience(training))
        own = [key for key, method in before.methods.items() if "epochs" in method.training]
        kept = [key for key in own if key in chosen.get("methods", before.study.methods)]
        changes |= {"methods": {key: {"training": {"epochs": epochs}} for key in kept}} if kept else {}
    whole = derive(text, source, {**changes, "study": {"name": name, **changes["study"]}})
    check_schedule(parse_params(parse(whole, path), specs=()))
    whole = f"# {title}\n{whole}" if base is None else extension(base, changes, title)
    write_text(path, whole)
    load_params(path, specs=())
    return path


def _check_name(name: str, path: Path) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise UserError(
            f"{name!r} cannot name a study: lower-case letters, digits and underscores, the first a letter."
        ) from None
    if path.exists():
        raise UserError(f"{path} is there already; choose another name, or edit it.")
