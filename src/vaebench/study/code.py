"""The code that can change a result: the modules that a stage imports, each with a digest.

Read from the source by :mod:`ast`, without importing it: a module's imports, wherever in it they stand, lead
to the next modules. A digest ignores comments, docstrings and layout, and what a class says of itself
(:mod:`vaebench.base.described`) unless it is asked for. The entries of a
:class:`~vaebench.base.registry.Registry` are ignored too, since the values that a cell uses are given as
roots; so a value that is added to an axis changes no other value's code.

    >>> modules = code_of(["vaebench.measure.features.frechet"])
    >>> "vaebench.measure.features.frechet" in modules, "vaebench.base.errors" in modules
    (True, False)
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vaebench.base.described import WORDS, assigned
from vaebench.base.errors import UserError
from vaebench.base.files import file_digest
from vaebench.study.paths import PACKAGE

__all__ = ["NEUTRAL", "code_of", "is_neutral"]

NEUTRAL = (
    "vaebench",  # names what the library exports, and imports it when asked
    "vaebench.base.described",
    "vaebench.base.errors",
    "vaebench.base.progress",
    "vaebench.base.reading",
    "vaebench.base.streams",
    "vaebench.base.terminal",
    "vaebench.cli",
    "vaebench.scaleout",
    "vaebench.study",  # a stage's parameters are a dependency of their own
    "vaebench.tracking",
)
"""Modules and packages that cannot change a number; what they import is not followed."""

OURS = ("vaebench", "stages")
INSTALLED = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


@dataclass(frozen=True)
class _Source:
    """One module's source: the digest of its code, and the modules that it may import."""

    digest: str
    imports: tuple[str, ...]


def is_neutral(module: str) -> bool:
    """True if ``module`` cannot change a number; see :data:`NEUTRAL`."""
    return module == "vaebench" or any(
        module == name or module.startswith(f"{name}.") for name in NEUTRAL if name != "vaebench"
    )


def code_of(roots: Iterable[str], words: bool = False) -> dict[str, str]:
    """Digest per module of all that ``roots`` import, directly or not, and of their packages' data files.

    Args:
        roots: dotted names of modules; one outside vaebench is a plug-in, of which the modules of its own
            package and those that are not installed (beside it, say) are followed.
        words: True includes what classes say of themselves, which the report shows.

    Returns:
        Sorted by name. A data file's name is its package's, a slash and its path in the package.

    Raises:
        UserError: a root cannot be found, or a module's source cannot be parsed.
    """
    modules: dict[str, str] = {}
    waiting = []
    for root in roots:
        if _locate(root) is None:
            raise UserError(f"module {root} cannot be found; install the package that holds it.")
        waiting.append((root, _top(root)))
    while waiting:
        name, plugin = waiting.pop()
        if name in modules or is_neutral(name):
            continue
        path = _locate(name)
        if path is None or not _belongs(name, path, plugin):
            continue
        source = _read(path, name, words)
        modules[name] = source.digest
        if path.name == "__init__.py":
            modules |= {f"{name}/{file}": digest for file, digest in _data_files(path.parent)}
        waiting += [(imported, plugin) for imported in (*_parents(name), *source.imports)]
    return dict(sorted(modules.items()))


def _belongs(name: str, path: Path, plugin: str) -> bool:
    """True if a module is code of ours or of the plug-in that imports it, and not a library's."""
    if _top(name) in (*OURS, plugin):
        return True
    return plugin not in OURS and not any(path.is_relative_to(folder) for folder in INSTALLED)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


@functools.cache
def _locate(name: str) -> Path | None:
    """The source file of a module, found without importing it; None where it is none or not Python."""
    top, *rest = name.split(".")
    if top == "vaebench":
        path = PACKAGE
    else:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        if not spec.submodule_search_locations:
            is_source = spec.origin is not None and spec.origin.endswith(".py")
            return Path(str(spec.origin)).resolve() if is_source and not rest else None
        path = Path(next(iter(spec.submodule_search_locations)))
    path = path.joinpath(*rest)
    for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if candidate.is_file():
            return candidate.resolve()
    return None


def _data_files(package: Path) -> Iterator[tuple[str, str]]:
    """The files of a package that are not Python, down to the next packages."""
    for path in sorted(package.iterdir()):
        if path.is_dir():
            if not (path / "__init__.py").exists() and path.name != "__pycache__":
                yield from ((f"{path.name}/{name}", digest) for name, digest in _data_files(path))
        elif path.suffix not in (".py", ".pyc") and not path.name.startswith("."):
            yield path.name, file_digest(path)


def _read(path: Path, name: str, words: bool) -> _Source:
    return _parse(path.read_bytes(), str(path), name, path.name == "__init__.py", words)


@functools.cache
def _parse(content: bytes, path: str, name: str, is_package: bool, words: bool) -> _Source:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path} is not Python that can be parsed: {error}. Repair it.") from None
    package = name if is_package else name.rpartition(".")[0]
    imports = tuple(dict.fromkeys(_imports(tree, package)))
    tokens: list[str] = []
    _write(tree, tokens, words)
    text = "\0".join(tokens).encode("utf-8", "surrogatepass")
    return _Source(hashlib.sha256(text).hexdigest()[:32], imports)


def _imports(node: ast.AST, package: str) -> Iterator[str]:
    """The names of all modules that may be imported; of ``from a import b`` both ``a`` and ``a.b``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                above = package.split(".")[: len(package.split(".")) - child.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in child.names)
        elif not _is_for_type_checkers(child):
            yield from _imports(child, package)


def _is_for_type_checkers(node: ast.AST) -> bool:
    if not isinstance(node, ast.If) or node.orelse:
        return False
    name = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", "")
    return name == "TYPE_CHECKING"


def _write(node: ast.AST, out: list[str], words: bool) -> None:
    """Append the tree as text, the same under all versions of Python: without places and empty fields."""
    out.append(f"({type(node).__name__}")
    for field in node._fields:
        value = getattr(node, field, None)
        if value is None or field in ("kind", "type_comment", "ctx"):
            continue
        items = value if isinstance(value, list) else [value]
        if not words:
            items = [item for item in items if not _is_shown(item, node)]
        if not items:
            continue
        out.append(field)
        for item in items:
            if not isinstance(item, ast.AST):
                out.append(repr(item))
            elif not _says_nothing(item):
                _write(_without_entries(item), out, words)
    out.append(")")


def _says_nothing(node: ast.AST) -> bool:
    """A docstring or another string that stands for itself, or what only type checkers read."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    return _is_for_type_checkers(node)


def _is_shown(node: ast.AST, parent: ast.AST) -> bool:
    """True if a node only describes a class or a metric: an attribute, a decorator, or the import for it."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "vaebench.base.described"
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return isinstance(parent, ast.ClassDef) and assigned(node) in WORDS
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "describes"


def _without_entries(node: ast.AST) -> ast.AST:
    """``Registry("axis", {…})`` as ``Registry("axis")``."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Registry":
        return ast.Call(node.func, node.args[:1], [])
    return node
