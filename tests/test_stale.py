"""Which stages an edit makes stale: each edit is made in a tree of its own."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vaebench.base.errors import UserError
from vaebench.base.registry import Registry
from vaebench.study.params import parse_params
from vaebench.study.resolve import changes, inputs
from vaebench.study.stage import Task

ROOT = Path(__file__).parents[1]

METHODS = {
    "vae": {
        "label": "VAE",
        "likelihood": {"name": "gaussian", "variance": "mle"},
        "regularizer": {"name": "kl"},
    },
    "ae": {"label": "AE", "likelihood": {"name": "l2"}, "posterior": {"name": "deterministic"}},
    "own": {"label": "Own", "likelihood": {"name": "l2"}, "regularizer": {"name": "own_penalty"}},
}
STUDY = {
    "study": {
        "name": "small",
        "paper": "takida2022",
        "datasets": ["digits"],
        "methods": list(METHODS),
        "seeds": [0],
        "densities": ["prior", "gmm10"],
    },
    "datasets": {"digits": {"source": {"name": "digits"}, "network": {"name": "compact"}}},
    "methods": METHODS,
    "densities": {"prior": {"name": "prior"}, "gmm10": {"name": "gmm", "components": 10}},
    "training": {"epochs": 2},
    "evaluation": {
        "features": "classifier",
        "metrics": [{"name": "reconstruction"}, {"name": "fid"}, {"name": "nll"}, {"name": "own_metric"}],
    },
}
PLUGIN = {
    "own/__init__.py": "",
    "own/penalty.py": "from own import tools\n\nclass Penalty:\n    weight = tools.WEIGHT\n",
    "own/tools.py": "WEIGHT = 1.0\n",
    "own/metric.py": "import own_beside\n\ndef metric(run):\n    return {'own': own_beside.VALUE}\n",
    "own_beside.py": "VALUE = 1.0\n",
    "own-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: own\nVersion: 1\n",
    "own-1.dist-info/entry_points.txt": (
        "[vaebench.regularizer]\nown_penalty = own.penalty:Penalty\n\n"
        "[vaebench.metric]\nown_metric = own.metric:metric\n"
    ),
}

TRAIN = {f"digits/{method}/train" for method in METHODS}
EVALUATE = {f"digits/{method}/evaluate" for method in METHODS}
PACKAGE = "src/vaebench"


def write_study(folder: Path, study: dict) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")


RESOLVE = """
import json, os, sys
from vaebench.study import code, params, resolve

resolve.resolve(params.load_params(specs=()))  # once, for all forks
print("ready", flush=True)
for _ in sys.stdin:
    if (pid := os.fork()) == 0:
        ours = [module for name, module in sys.modules.items() if name.startswith("vaebench.")]
        for cached in [value for module in ours for value in vars(module).values()]:
            if hasattr(cached, "cache_clear") and cached is not code._parse:  # that goes by the content
                cached.cache_clear()
        try:
            found = resolve.resolve(params.load_params(specs=())).items()
            answer = {"/".join(path.with_suffix("").parts[3:]): content for path, content in found}
        except Exception as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""
"""Answers each line with what each stage of each cell is made from, read anew; the check of all signatures,
which imports torch, is left out."""


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join(str(folder / name) for name in ("src", "plugins"))
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def python(folder: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    options = {"cwd": folder, "env": environment(folder), "capture_output": True, "text": True}
    result = subprocess.run(command, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


class Tree:
    """A tree of its own, and a process that reads it anew at each question."""

    def __init__(self, folder: Path):
        self.folder = folder
        options = {"cwd": folder, "env": environment(folder), "text": True}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._server = subprocess.Popen([sys.executable, "-c", RESOLVE], **pipes, **options)
        assert self._server.stdout.readline() == "ready\n"
        self.before = self.resolved()

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait()

    def resolved(self) -> dict[str, dict]:
        """What each stage of each cell is made from."""
        self._server.stdin.write("\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        assert "error" not in answer, answer["error"]
        return {name: content for name, content in answer.items() if name != "study"}

    def stale_after(self, file: str, edit) -> set[str]:
        """The stages whose inputs differ after ``edit`` of the text of ``file``, which is taken back."""
        path = self.folder / file
        old = path.read_text(encoding="utf-8")
        try:
            path.write_text(edit(old), encoding="utf-8")
            after = self.resolved()
        finally:
            path.write_text(old, encoding="utf-8")
        names = self.before.keys() | after.keys()
        return {name for name in names if self.before.get(name) != after.get(name)}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stale")
    for name in ("src", "stages", "papers"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    write_study(folder, STUDY)
    for name, content in PLUGIN.items():
        path = folder / "plugins" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    opened = Tree(folder)
    yield opened
    opened.close()


def code(line: str = "EDITED = 1"):
    return lambda text: f"{text}\n{line}\n"


CODE = {
    "the Fréchet distance": ("measure/features/frechet.py", EVALUATE | {"digits/reference"}),
    "a likelihood's density": ("model/likelihoods/gaussian.py", {"digits/vae/train", "digits/vae/evaluate"}),
    "a density": ("densities/gmm.py", EVALUATE | {"posthoc/gmm10"}),
    "the model": ("model/vae.py", TRAIN | EVALUATE),
    "a network": ("model/nets/compact.py", TRAIN | EVALUATE),
    "precision": ("base/precision.py", TRAIN | EVALUATE | {"digits/reference"}),
    "the network of the features": ("measure/features/classifier.py", EVALUATE | {"digits/reference"}),
    "the network of the papers' FID": ("measure/features/inception.py", {"tabulate"}),
    "another network of features": ("measure/features/fidelity.py", set()),
    "a metric": ("measure/metrics/nll.py", EVALUATE),
    "a helper of two stages": ("densities/saved.py", TRAIN | EVALUATE | {"posthoc/prior", "posthoc/gmm10"}),
    "the training loop": ("training/loop.py", TRAIN),
    "pictures": ("measure/pictures/grids.py", EVALUATE),
    "the source of the data": ("data/digits.py", {"digits/prepare", "tabulate"}),  # verdicts ask its size
    "another source": ("data/celeba.py", set()),
    "another regularizer": ("model/regularizers/mmd.py", set()),
    "tables": ("report/tables.py", {"tabulate"}),
    "the command line": ("cli/app.py", set()),
    "tracking": ("tracking/follow.py", set()),
}


@pytest.mark.parametrize("edited", CODE)
def test_code_that_is_edited_makes_stale_what_it_can_change(tree, edited):
    file, expected = CODE[edited]
    stale = tree.stale_after(f"{PACKAGE}/{file}", code())
    assert stale - ({"tabulate"} if expected & EVALUATE else set()) == expected  # tables follow evaluation


def test_a_papers_table_makes_the_report_stale(tree):
    assert tree.stale_after("papers/takida2022/table4.csv", lambda text: text + "\n") == {"tabulate"}


def test_the_registry_makes_all_stale(tree):
    stale = tree.stale_after(f"{PACKAGE}/base/registry.py", code())
    assert stale >= TRAIN | EVALUATE


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: "# a comment\n" + text,
        lambda text: text + '\n"""Words."""\n',
        lambda text: text.replace('"""', '"""Other words. ', 1),
        lambda text: text.replace("\n\n\n", "\n\n\n\n"),
    ],
    ids=["comment", "string", "docstring", "layout"],
)
@pytest.mark.parametrize("file", ["model/vae.py", "report/terminal.py"])
def test_words_and_layout_make_nothing_stale(tree, file, edit):
    assert tree.stale_after(f"{PACKAGE}/{file}", edit) == set()


@pytest.mark.parametrize(
    ("file", "old"),
    [("model/regularizers/kl.py", "weight * KL(q(z|x)"), ("model/likelihoods/l2.py", "scale * E[sum r^2]")],
)
def test_a_formula_in_other_words_makes_the_report_stale_alone(tree, file, old):
    edited = tree.stale_after(f"{PACKAGE}/{file}", lambda text: text.replace(old, "w * " + old))
    assert edited == {"tabulate"}


def test_a_metrics_label_makes_the_report_stale_alone(tree):
    words = "from vaebench.base.described import Described, describes\n\n"
    decorator = '@describes({"own": Described("own number")})\ndef'
    edited = tree.stale_after("plugins/own/metric.py", lambda text: words + text.replace("def", decorator))
    assert edited == {"tabulate"}


@pytest.mark.parametrize(
    ("axis", "line"),
    [
        ("model/regularizers", '"kl": "vaebench.model.regularizers.kl:KL",'),
        ("measure/features", '"none": "vaebench.measure.features.none:NoFeatures",'),
    ],
)
def test_a_value_added_to_an_axis_makes_nothing_stale(tree, axis, line):
    new = f'"huber": "vaebench.{axis.replace("/", ".")}.huber:Huber",'
    added = tree.folder / PACKAGE / axis / "huber.py"
    added.write_text("class Huber:\n    pass\n", encoding="utf-8")
    registry = f"{PACKAGE}/{axis}/__init__.py"
    assert tree.stale_after(registry, lambda text: text.replace(line, f"{line} {new}")) == set()
    added.unlink()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("own/penalty.py", {"digits/own/train", "digits/own/evaluate"}),
        ("own/tools.py", {"digits/own/train", "digits/own/evaluate"}),
        ("own/metric.py", EVALUATE | {"tabulate"}),
        ("own_beside.py", EVALUATE | {"tabulate"}),
    ],
)
def test_a_plugins_code_makes_stale_what_uses_it(tree, file, expected):
    assert tree.stale_after(f"plugins/{file}", code()) == expected


def test_an_entry_point_moved_within_its_module_makes_stale_what_uses_it(tmp_path, monkeypatch):
    (tmp_path / "own_density.py").write_text("class One: pass\n\nclass Two: pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    params = parse_params(
        {**STUDY, "densities": {"prior": {"name": "prior"}, "gmm10": {"name": "own"}}}, specs=()
    )

    def resolved(value: str) -> dict:
        monkeypatch.setattr("vaebench.densities.DENSITIES", Registry("density", {"own": value}))
        return inputs(params, "posthoc", density="gmm10")

    assert changes(resolved("own_density:One"), resolved("own_density:Two")) == ["density own"]


def test_a_plugin_edited_before_its_late_import_is_refused(tmp_path, monkeypatch):
    plugin = tmp_path / "own_late_density.py"
    plugin.write_text("class One: pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("vaebench.densities.DENSITIES", Registry("density", {"own": "own_late_density:One"}))
    content = {**STUDY, "densities": {"prior": {"name": "prior"}, "gmm10": {"name": "own"}}}
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(content))
    study = content["study"]
    cell = {"dataset": study["datasets"][0], "method": study["methods"][0], "seed": 0, "density": "gmm10"}
    task = Task.begin("posthoc", None, (), cell)
    task.check()
    plugin.write_text("class One: edited = True\n", encoding="utf-8")
    importlib.import_module("own_late_density")
    with pytest.raises(UserError, match="own_late_density was edited while the stage ran"):
        task.check()


def changed(path: str, value):
    def edit(text: str) -> str:
        content = yaml.safe_load(text)
        *parents, last = path.split(".")
        place = content
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value
        return yaml.safe_dump(content, sort_keys=False)

    return edit


PARAMETERS = {
    "methods.ae.label": ("Auto", {"tabulate"}),
    "study.title": ("Other", {"tabulate"}),
    "training.checkpoint_seconds": (5.0, set()),
    "resources.cpus": (2, set()),
    "training.epochs": (3, TRAIN | {"tabulate"}),
    "methods.ae.training": ({"epochs": 3}, {"digits/ae/train", "tabulate"}),
    "methods.vae.regularizer.weight": (2.0, {"digits/vae/train", "tabulate"}),
    "densities.gmm10.components": (5, EVALUATE | {"posthoc/gmm10", "tabulate"}),
    "evaluation.samples": (500, EVALUATE | {"tabulate"}),
    "evaluation.features": ("inception", EVALUATE | {"digits/reference", "tabulate"}),
    "datasets.digits.source.validation": (100, {"digits/prepare", "tabulate"}),
}


@pytest.mark.parametrize("path", PARAMETERS)
def test_parameters_that_are_edited_make_stale_what_they_can_change(tree, path):
    value, expected = PARAMETERS[path]
    assert tree.stale_after("params.yaml", changed(path, value)) == expected


@pytest.mark.pipeline
def test_resolve_says_what_an_edit_changed(tree):
    python(tree.folder, "-m", "stages.resolve")
    assert "digits/" not in python(tree.folder, "-m", "stages.resolve")
    write_study(tree.folder, {**STUDY, "training": {"epochs": 7}})
    try:
        assert (
            "digits/ae/train: training.epochs 2 → 7"
            in python(tree.folder, "-m", "stages.resolve").splitlines()
        )
    finally:
        write_study(tree.folder, STUDY)


def test_a_module_that_cannot_be_parsed_is_named(tree):
    path = tree.folder / PACKAGE / "densities/gmm.py"
    before = path.read_text(encoding="utf-8")
    path.write_text("def (:\n", encoding="utf-8")
    try:
        with pytest.raises(AssertionError, match=r"gmm\.py is not Python"):
            tree.resolved()
    finally:
        path.write_text(before, encoding="utf-8")
