"""The axes' registries: a name in ``params.yaml`` to the class that implements it.

An entry is ``name: "module:Class"`` and is imported when it is used, so that a stage that needs no
torch does not pay for it. **A class's keyword-only arguments are what params.yaml may set**, and their
annotations are the schema; positional arguments are what the pipeline supplies.

    >>> from vaebench.densities import DENSITIES
    >>> DENSITIES.check({"name": "gmm", "components": 10}, "densities.gmm10")
    {'name': 'gmm', 'components': 10}
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import sys
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib.metadata import EntryPoints, distributions, entry_points
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from vaebench.base.described import words_in_source
from vaebench.base.errors import UserError, lost_code

__all__ = ["Registry", "explain", "options_schema", "plugins", "validate"]

Model = TypeVar("Model", bound=BaseModel)

_WORDS = {
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "string_type": "should be a text",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping",
    "too_short": "should list at least {min_length}",
    "string_pattern_mismatch": "should match {pattern}",
}
"""What is wrong, by pydantic's kind of error, in the words of YAML instead of JSON's."""


class Registry:
    """Named implementations of one axis.

    Args:
        axis: name of the axis, for messages ("likelihood").
        entries: name to ``"module:Class"``, or to the class itself.

    Packages add entries through the entry-point group ``vaebench.<axis>``; a notebook calls
    :meth:`add`.
    """

    def __init__(self, axis: str, entries: Mapping[str, str | type]):
        self.axis = axis
        self._entries = dict(entries)
        self._loaded: dict[str, type] = {}
        self._contested: dict[str, str] = {}
        self._added: set[str] = set()
        self._plugins_read = False

    def names(self) -> list[str]:
        """Every name, the built-in ones first."""
        if not self._plugins_read:
            self._plugins_read = True
            for point in plugins(f"vaebench.{self.axis}"):
                if self._entries.setdefault(point.name, point.value) != point.value:
                    self._contested.setdefault(point.name, point.value)
        return list(self._entries)

    def entries(self) -> tuple[tuple[str, str | type], ...]:
        """Every name with its class or address."""
        return tuple((name, self._entries[name]) for name in self.names())

    def add(self, name: str, cls: type) -> type:
        """Register ``cls`` under ``name`` for this process, in place of an earlier one that was added so.

        Raises:
            UserError: ``name`` is a built-in value's or a plug-in's.
        """
        if name in self.names() and name not in self._added:
            raise UserError(f"{self.axis} {name!r} is already registered; choose another name.")
        self._entries[name] = cls
        self._added.add(name)
        return cls

    @contextmanager
    def adding(self, name: str, cls: type) -> Iterator[None]:
        """``cls`` under ``name`` inside a ``with`` block; see :meth:`add`."""
        self.add(name, cls)
        try:
            yield
        finally:
            del self._entries[name]
            self._added.discard(name)

    def load(self, name: str, where: str = "") -> Any:
        """The class or function behind ``name``.

        Raises:
            UserError: it is unknown, has two meanings, or cannot be imported.
        """
        entry = self._entry(name, where)
        if not isinstance(entry, str):
            return entry
        if name not in self._loaded:
            self._loaded[name] = self._import(name, entry)
        return self._loaded[name]

    def module(self, name: str) -> str:
        """The dotted name of the module that implements ``name``, which is not imported for it."""
        return self.address(name).partition(":")[0]

    def address(self, name: str) -> str:
        """``"module:object"`` of what implements ``name``, which is not imported for it."""
        entry = self._entry(name)
        return entry if isinstance(entry, str) else f"{entry.__module__}:{entry.__qualname__}"

    def _entry(self, name: str, where: str = "") -> str | type:
        if name not in self.names():
            raise UserError(_unknown(f"{where}.name" if where else self.axis, name, self.names()))
        if name in self._contested:
            raise UserError(
                f"{self.axis} {name!r} is {self._entries[name]} and also, by an entry point of an installed "
                f"package, {self._contested[name]}; rename that entry point (group vaebench.{self.axis}), or "
                "uninstall the package."
            )
        return self._entries[name]

    def _import(self, name: str, entry: str) -> type:
        module, _, attribute = entry.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, SyntaxError) as error:
            if module.startswith("vaebench.") and lost_code(error):
                raise
            raise UserError(
                f"{self.axis} {name!r} is {entry}, which cannot be imported ({error}); repair it, or "
                "uninstall the package that names it."
            ) from error

    def check(self, spec: Mapping, where: str) -> dict:
        """``spec`` validated against the signature, without the defaults filled in.

        Raises:
            UserError: naming the key's path under ``where`` and what is allowed.
        """
        if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
            raise UserError(
                f"{where} must be a mapping with a 'name', one of: {', '.join(self.names())}. It is {spec!r}."
            )
        options = {key: value for key, value in spec.items() if key != "name"}
        schema = _options(self.load(spec["name"], where))
        checked = validate(schema, options, where)
        return {"name": spec["name"], **checked.model_dump(exclude_unset=True)}

    def build(self, spec: Mapping, *context, **more_context):
        """The object that ``spec`` names, given what the pipeline supplies."""
        checked = self.check(spec, self.axis)
        return self.load(checked.pop("name"))(*context, **more_context, **checked)

    def read(self, name: str, attribute: str) -> Any:
        """One of :data:`~vaebench.base.described.WORDS` of ``name``.

        The class is imported only where its source does not have it as a literal.

        Returns:
            None where the class says nothing, or is not installed here.
        """
        try:
            entry = self._entry(name)
            if isinstance(entry, str):
                module, _, cls = entry.partition(":")
                with suppress(LookupError):
                    return words_in_source(module, cls, attribute)
            return vars(self.load(name)).get(attribute)
        except UserError:
            return None

    def words(self, spec: Mapping, attribute: str) -> str:
        """The text in ``attribute`` for the options of ``spec``; empty where there is none.

        The attribute is a text, or ``{option: {value: text, …}}``, the option's default first, at any depth.

            >>> from vaebench.model.likelihoods import LIKELIHOODS
            >>> LIKELIHOODS.words({"name": "gaussian", "variance": "mle"}, "formula")
            '(d/2) ln E_batch[sum r^2]'
        """
        words = self.read(spec["name"], attribute)
        while isinstance(words, Mapping):
            ((option, texts),) = words.items()
            words = texts.get(spec.get(option, next(iter(texts))))
        return words or ""

    def formula(self, spec: Mapping) -> str:
        """The formula of ``spec``; a value that spells none is called by its name."""
        return self.words(spec, "formula") or f"the {self.axis} {spec['name']!r}"

    def options(self, name: str) -> dict[str, inspect.Parameter]:
        """Options of ``name`` that params.yaml may set."""
        return _keyword_only(self.load(name))


def plugins(group: str) -> EntryPoints:
    """Entry points of a group in all installed packages.

    Raises:
        UserError: naming a package whose list of them is damaged.
    """
    return _entry_points(tuple(sys.path)).select(group=group)


@functools.lru_cache(maxsize=1)
def _entry_points(path: tuple[str, ...]) -> Any:  # of two kinds in Python 3.11 and later
    """All entry points, for which every installed package is looked at once per ``sys.path``."""
    try:
        return entry_points()
    except Exception as error:
        if not (damaged := list(_damaged())):
            raise
        raise UserError(
            f"the entry_points.txt of an installed package is damaged: {', '.join(damaged)} ({error}); "
            "install it again, or uninstall it."
        ) from error


def _damaged() -> Iterator[str]:
    for package in distributions():
        try:
            _ = package.entry_points
        except Exception:
            name = None
            with suppress(Exception):
                name = package.metadata["Name"]
            yield name or "one that does not even say its name"


def validate(schema: type[Model], content: object, where: str = "") -> Model:
    """``content`` as ``schema`` has it, whose values are then those of ``content``: no text becomes a number.

    It is read as JSON, whose lists may be tuples; a whole number may stand for a float, nothing else for
    something else.

    Raises:
        UserError: naming the key's path under ``where``, what is wrong, and what is allowed.
    """
    try:
        text = json.dumps(content, default=_plain)
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{where or 'the file'} holds what no parameter can be: {error}.") from None
    try:
        return schema.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise UserError(explain(error, where, schema)) from None


def options_schema(cls: type) -> dict:
    """The JSON schema of what params.yaml may set for ``cls``."""
    return _options(cls).model_json_schema()


def _plain(value: object) -> object:
    """A scalar of numpy or torch as Python's; what YAML alone has (a date, bytes) as what no option takes."""
    return value.item() if hasattr(value, "item") else {"yaml": repr(value)}


def explain(error: ValidationError, where: str, schema: type[BaseModel]) -> str:
    """A pydantic error as sentences: the key's path, what is wrong, and what is allowed."""
    sentences = []
    for problem in error.errors():
        path = ".".join([where, *map(str, problem["loc"])]).strip(".")
        if problem["type"] == "extra_forbidden":
            allowed = _fields_at(schema, problem["loc"][:-1])
            sentences.append(_unknown(path, str(problem["loc"][-1]), allowed))
        elif problem["type"] == "missing":
            sentences.append(f"{path} is missing; add it.")
        else:
            message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            if words := _WORDS.get(problem["type"]):
                message = words.format_map(problem.get("ctx", {}))
            sentences.append(f"{path}: {message}, but it is {problem['input']!r}.")
    return " ".join(sentences)


def _unknown(path: str, name: str, allowed: list[str]) -> str:
    close = get_close_matches(name, allowed, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{path} is unknown; allowed here: {', '.join(allowed) or 'nothing'}.{hint}"


def _fields_at(schema: type[BaseModel], location: tuple) -> list[str]:
    for key in location:
        field = schema.model_fields.get(str(key))
        if field is None:
            continue
        for candidate in (field.annotation, *typing.get_args(field.annotation)):
            if inspect.isclass(candidate) and issubclass(candidate, BaseModel):
                schema = candidate
    return list(schema.model_fields)


def _keyword_only(cls) -> dict[str, inspect.Parameter]:
    function = cls.__init__ if inspect.isclass(cls) else cls
    parameters = inspect.signature(function).parameters
    return {k: p for k, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


@functools.cache
def _options(cls) -> type[BaseModel]:
    hints = typing.get_type_hints(cls.__init__ if inspect.isclass(cls) else cls, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if p.default is inspect.Parameter.empty else p.default)
        for name, p in _keyword_only(cls).items()
    }
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    return create_model(cls.__name__, __config__=config, **fields)
