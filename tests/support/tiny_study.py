"""A study of three methods that takes seconds, in a repository of its own."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DIGITS = {
    "source": {"name": "digits", "validation": 200},
    "network": {"name": "compact", "latent_dim": 8},
}
"""In place of the quickstart's data set: a third of the images, a twelfth of the pixels."""

COPIED = (
    "src",
    "stages",
    "studies",
    "papers",
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvcignore",
    ".gitignore",
    "dvc.yaml",
    "Makefile",
)

COMMAND_LINE = """#!/bin/sh
exec '{python}' -c 'import sys; sys.path.insert(0, "src"); from vaebench.cli.app import app
app(prog_name="vaebench")' "$@"
"""

NOT_INHERITED = (
    "GIT_",
    "DVC_",
    "MLFLOW_",
    "VAEBENCH_TRACKING",
    "PYTHONPATH",
    "COLUMNS",
    "LINES",
    "FORCE_COLOR",
)
"""Prefixes of variables that would lead a test's git, DVC or MLflow elsewhere, or change their output."""


def environment(folder: Path, tracking: bool = False) -> dict[str, str]:
    """A user's shell in the repository ``folder``, the environment's programs on the path.

    A stage exports to MLflow only with ``tracking``: an exporter costs more than a tiny stage.
    """
    programs = folder / ".vaebench/bin"
    programs.mkdir(parents=True, exist_ok=True)
    (programs / "vaebench").write_text(COMMAND_LINE.format(python=sys.executable), encoding="utf-8")
    (programs / "vaebench").chmod(0o755)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
    person = {
        f"GIT_{role}_{what}": "test@localhost"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    settings = {f"GIT_CONFIG_{scope}": os.devnull for scope in ("GLOBAL", "SYSTEM")}
    places = {
        f"DVC_{kind}": str(folder / ".vaebench/dvc" / kind.lower())
        for kind in ("SITE_CACHE_DIR", "GLOBAL_CONFIG_DIR", "SYSTEM_CONFIG_DIR")
    }
    path = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    more = {"PATH": os.pathsep.join(path), "DVC_NO_ANALYTICS": "true"}
    more |= {} if tracking else {"VAEBENCH_TRACKING": "off"}
    return inherited | person | settings | places | more


def run(folder: Path, *command: str, check: bool = True, env: dict[str, str] | None = None) -> str:
    """Output of ``command``, run in ``folder``, in its :func:`environment` or in ``env``."""
    env = env or environment(folder)
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    output = result.stdout + result.stderr
    assert not check or result.returncode == 0, f"{command}\n{output}"
    return output


def executed(output: str) -> list[str]:
    """The stages that DVC says it ran, in their order; *resolve*, which always runs, is left out."""
    names = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]
    return [name for name in names if not name.startswith("resolve@")]


def make_repository(folder: Path) -> Path:
    """The working tree as a fresh repository; its tiny study has run and its results are not committed."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, target)
    study = yaml.safe_load((ROOT / "studies/quickstart.yaml").read_text(encoding="utf-8"))
    study["study"] |= {"name": "tiny", "methods": ["mle_iso_i", "ae", "wae_mmd"]}
    study["datasets"]["digits"] = copy.deepcopy(DIGITS)
    study["training"]["epochs"] = 2
    study["evaluation"] |= {
        "samples": 200,
        "metrics": [{"name": "reconstruction"}, {"name": "fid"}],
    }
    text = yaml.safe_dump(study, sort_keys=False, allow_unicode=True)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "a study")
    run(folder, "dvc", "repro")
    run(folder, "vaebench", "track")
    return folder


def copy_repository(repository: Path, folder: Path) -> Path:
    """A copy of ``repository``, its MLflow store left behind."""
    return Path(
        shutil.copytree(
            repository, folder, symlinks=True, ignore=shutil.ignore_patterns("mlflow.db*", "mlruns")
        )
    )
