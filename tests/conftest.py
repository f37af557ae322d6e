"""Fixtures and hooks of all tests."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from support import tiny_study
from support.process import unchanged

os.environ.setdefault("OMP_NUM_THREADS", "1")

# A script's background job ignores Ctrl-C, and so would the commands that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples each time, however slow the machine: new ones are looked for in `make nightly`.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """A test of a study that has run is of the second tier, but for those of one tiny pipeline."""
    config.stash[EVERY_ITEM] = list(items)
    for item in items:
        if RUNNING & set(item.fixturenames) and item.path.name != "test_pipeline.py":
            item.add_marker(pytest.mark.pipeline)


RUNNING = {"tiny_repository", "stages", "pristine", "sequential"}
"""Fixtures that run stages or DVC."""


EVERY_ITEM = pytest.StashKey[list[pytest.Item]]()


@pytest.fixture(autouse=True)
def _unchanged_process():
    with unchanged():
        yield


@pytest.fixture(scope="session")
def every_item(request) -> list[pytest.Item]:
    """All tests that were collected, run or not."""
    return request.config.stash[EVERY_ITEM]


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Makes a folder that all workers share: ``once("tiny", make)`` is what ``make`` left in it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, note = base / name, base / f"{name}.made"
        with FileLock(base / f"{name}.lock"):
            if not note.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                note.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_repository(once):
    """A repository whose pipeline has run; not to be changed: see ``tiny_study.copy_repository``."""
    return once("tiny", tiny_study.make_repository)


@pytest.fixture(scope="session")
def stages(tmp_path_factory):
    """Runs stages in this tree's code without importing torch for each; see :mod:`scratch`."""
    from support import scratch

    content = scratch.study(*scratch.QUICKSTART["methods"])
    runner = scratch.Stages(scratch.write_study(tmp_path_factory.mktemp("stages"), content))
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory):
    """A file like FID's, with random weights that keep the scale of what passes through, and its SHA-256."""
    import torch
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(network.state_dict(), path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def inception_weights(inception_file, monkeypatch):
    """Those weights, found where FID's are looked for."""
    import torch

    from vaebench.measure.features import inception

    path, digest = inception_file
    monkeypatch.setenv("VAEBENCH_INCEPTION", str(path))
    monkeypatch.setattr(inception, "DIGEST", digest[:8])
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="session")
def shared_data(stages, once):
    """A folder with the prepared digits and their reference, to link to."""
    from support import scratch

    def make(folder: Path) -> None:
        scratch.write_study(folder, scratch.study("ae"))
        for stage in ("prepare", "reference"):
            status, said = stages.run(folder, stage, "--dataset", "digits")
            assert status == 0, said

    return once("shared", make)


@pytest.fixture(scope="session")
def finished(stages, shared_data, once):
    """A study of two methods and one epoch that has run; not to be changed."""
    from support import scratch

    def make(folder: Path) -> None:
        scratch.write_study(folder, scratch.study(*scratch.FINISHED, epochs=1))
        scratch.share_data(shared_data, folder)
        for method in scratch.FINISHED:
            scratch.train(stages, folder, method)
            scratch.measure(stages, folder, method)
        status, said = stages.run(folder, "tabulate")
        assert status == 0, said

    return once("finished", make)


@pytest.fixture
def tiny(shared_data, tmp_path):
    """Makes scratch studies: ``tiny("a", "ae", "avae", epochs=3)`` is a folder."""
    from support import scratch

    def make(name: str, *methods: str, content: dict | None = None, **training):
        folder = scratch.write_study(tmp_path / name, content or scratch.study(*methods, **training))
        scratch.share_data(shared_data, folder)
        return folder

    make.folder = tmp_path
    return make
