"""The folders of the package are its layers: a module imports from its own room or from a floor below."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src/vaebench"

FLOORS = [
    {"base"},
    {"study", "data", "cpu"},
    {"model"},
    {"densities"},
    {"training"},
    {"measure"},
    {"report"},
    {"tracking"},
    {"scaleout"},
    {"api"},
    {"cli"},
]
"""From the ground up; ``vaebench/__init__.py`` exports what is asked for and stands outside."""

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> dict[str, Path]:
    return {
        ".".join(["vaebench", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
            ".__init__"
        ): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    return module.split(".")[1]


ALL = {name: path for name, path in modules().items() if name != "vaebench"}


def test_every_room_has_a_floor():
    assert {room(name) for name in ALL} == set(FLOOR)


@pytest.mark.parametrize("name", ALL)
def test_a_module_imports_from_its_room_or_from_below(name):
    above = {
        other
        for other in imported(ALL[name])
        if other in ALL and room(other) != room(name) and FLOOR[room(other)] >= FLOOR[room(name)]
    }
    assert not above


def test_no_class_is_called_like_another():
    places = defaultdict(set)
    for name, path in ALL.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(name)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_the_map_of_the_code_names_every_room():
    readme = (PACKAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    code_map = readme[readme.index("## The map of the code") :]
    missing = [name for name in FLOOR if f"{name}/" not in code_map and f"{name}.py" not in code_map]
    assert missing == []


def is_module(name: str) -> bool:
    package, _, rest = name.partition(".")
    found = find_spec(package)
    place = Path(found.origin).parent / rest.replace(".", "/") if found else Path("absent")
    return place.is_dir() or place.with_suffix(".py").is_file()


DOCUMENTED = {"mlflow", "mlflow.entities", "mlflow.models", "mlflow.pyfunc", "ray"}


def test_what_is_used_of_others_without_their_promise_is_listed():
    names = {name for path in ALL.values() for name in imported(path)}
    used = {name for name in names if name.partition(".")[0] in ("dvc", "mlflow", "ray") and is_module(name)}
    listed = (PACKAGE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert sorted(name for name in used - DOCUMENTED if f"`{name}`" not in listed) == []
    assert {"dvc.repo", "mlflow.server"} < used
