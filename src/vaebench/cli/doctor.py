"""Check of the environment, with the loss that each missing part means.

>>> next(check.what for check in examine(Path("studies")))
'torch'
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vaebench.base.errors import UserError, one_line, without_passwords
from vaebench.base.processor import processor
from vaebench.base.workspace import in_workspace
from vaebench.data import SOURCES
from vaebench.data.raw import RawFiles
from vaebench.study.params import load_params
from vaebench.tracking.follow import DEFAULT, enter_workspace, store_uri

__all__ = ["Check", "examine", "inception_weights"]

_PACKAGES = {
    "torch": "nothing runs",
    "torchvision": "MNIST and CIFAR-10 are not downloaded, and FID has no network",
    "pytorch-fid": "no FID; studies with `features: classifier` run",
    "scikit-learn": "no digits, no GMM, no t-SNE",
    "h5py": "no 3D Shapes",
    "dvc": "no `dvc repro`; the scripts in stages/ run one by one",
    "mlflow": "no tracking; all else runs",
    "pythae": "no comparison with it in benchmarks/; `pip install vaebench[bench]`",
    "torch-fidelity": "no features of DINOv2, CLIP or VGG; `pip install 'vaebench[features]'`",
}
_PROGRAMS = {
    "git": "no `dvc exp`, and provenance lacks the commit",
    "c++": "nothing can be compiled: set `training.compile: never`",
}


@dataclass(frozen=True)
class Check:
    """One line of the report: ``detail`` is the finding, or the loss that its absence means."""

    section: str
    what: str
    found: bool
    detail: str


def examine(studies: Path) -> Iterator[Check]:
    """Look at packages, programs, devices, raw data, FID's weights and the MLflow store.

    Args:
        studies: the folder of studies, for a note on those that a missing part stops.
    """
    for name, cost in _PACKAGES.items():
        try:
            yield Check("packages", name, True, version(name))
        except PackageNotFoundError:
            yield Check("packages", name, False, cost)
    for name, cost in _PROGRAMS.items():
        path = shutil.which(name)
        yield Check("programs", name, path is not None, path or cost)
    yield from _devices()
    sources, inception = _needs(studies)
    for name in SOURCES.names():
        found, detail = _data(name)
        users = (
            f" Studies that need it: {', '.join(sources[name])}." if sources.get(name) and not found else ""
        )
        yield Check("data", name, found, detail + users)
    yield inception_weights(inception)
    yield _store()


def _devices() -> Iterator[Check]:
    import torch

    yield Check(
        "devices",
        "CPU",
        True,
        f"{processor()}: {os.cpu_count()} cores, {torch.get_num_threads()} threads for torch; {_fast_in()}",
    )
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        yield Check("devices", "GPU", True, f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB")
    else:
        yield Check(
            "devices",
            "GPU",
            False,
            "quickstart and the *_short studies are made for a CPU; the full ones take days there",
        )


def _fast_in() -> str:
    """The faster precision of this processor's matrix product, on one thread."""
    import torch

    from vaebench.cpu.processor import product_speed

    single, half = (product_speed(dtype) for dtype in (torch.float32, torch.bfloat16))
    name = "bf16" if half > single else "fp32"
    return f"matrix products {single / 1e9:.0f} GFLOP/s in fp32, {half / 1e9:.0f} in bf16: fast in {name}"


def _needs(studies: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Studies by the source that they use, and which of them FID's network."""
    sources: dict[str, list[str]] = {}
    inception = []
    for path in sorted(studies.glob("*.yaml")):
        try:
            params = load_params(path, specs=())
        except UserError:
            continue
        for name in {str(params.datasets[d].source.get("name")) for d in params.study.datasets}:
            sources.setdefault(name, []).append(path.stem)
        if params.evaluation.features["name"] == "inception":
            inception.append(path.stem)
    return sources, inception


def _data(name: str) -> tuple[bool, str]:
    published = getattr(SOURCES.load(name), "published", None)
    if published is None:
        chosen = any(option.default is option.empty for option in SOURCES.options(name).values())
        return True, "takes what a study names" if chosen else "built in"
    try:
        raw = RawFiles.default()
    except UserError as error:
        return False, str(error)
    if (folder := raw.look(published)) is not None:
        return True, str(folder)
    if published.download is not None:
        return False, f"not here; downloaded into {raw.roots[-1]} when it is first needed."
    return False, raw.lacks(published)


def inception_weights(inception: Sequence[str] = ()) -> Check:
    """Check of the weights of FID's network; ``inception`` names the studies that need them."""
    from vaebench.measure.features.inception import FILE

    path = in_workspace(os.environ.get("VAEBENCH_INCEPTION") or Path("data/raw", FILE))
    if path.is_file():
        return Check("weights", "FID's Inception", True, str(path))
    users = f" Studies that need it: {', '.join(inception)}." if inception else ""
    cost = f"{path} is not there; pytorch-fid's 91 MiB are downloaded when first needed."
    return Check("weights", "FID's Inception", False, cost + users)


def _store() -> Check:
    """Ask the MLflow store for an experiment; one that does not exist yet is not made."""
    here, _ = Path.cwd(), enter_workspace()
    uri = store_uri()
    place = str(Path("mlflow.db").resolve()) if uri == DEFAULT else without_passwords(uri)
    try:
        if uri == DEFAULT and not Path("mlflow.db").is_file():
            return Check("tracking", "MLflow store", False, f"{place} is made by the first run")
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
    except Exception as error:
        return Check("tracking", "MLflow store", False, f"{place} does not answer: {one_line(error)}")
    finally:
        os.chdir(here)
    return Check("tracking", "MLflow store", True, place)
