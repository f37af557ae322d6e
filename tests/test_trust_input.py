"""What users get wrong and machines do to them, at the level of whole stages.

Each case ends with exit status 1 and one paragraph that names the place and the remedy, without a traceback,
and leaves every file that was there as it was. The same at the level of functions: ``test_params.py`` (the
schema), ``test_data_*.py`` (raw files, the prepared store), ``test_densities.py``, ``test_features.py``,
``test_tracking.py`` (MLflow).
"""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from support.scratch import CELL, FINISHED, item, results, study, write_study

from vaebench.base.device import select_device
from vaebench.base.errors import UserError
from vaebench.base.files import write_atomically, write_folder
from vaebench.data.preparation import prepare

MODEL = f"data/models/{CELL}/ae/0"
DENSITY = f"data/densities/{CELL}/ae/0/gmm10"
METRICS = "reports/tiny/metrics/digits/ae/0.json"
HISTORY = "reports/tiny/history/digits/ae/0.csv"
PREPARED = "data/prepared/tiny/digits"
REFERENCE = "data/reference/tiny/digits"


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of it to damage."""
    copied = tmp_path / "study"
    shutil.copytree(finished, copied, symlinks=False)
    return copied


def contents(folder: Path) -> dict[str, bytes]:
    parts = (folder / part for part in ("data", "reports"))
    return {
        str(p.relative_to(folder)): p.read_bytes() for part in parts for p in part.rglob("*") if p.is_file()
    }


def check_refused(stages, folder: Path, arguments: list[str], expected: list[str], **more: str) -> None:
    before = contents(folder)
    status, said = stages.run(folder, *arguments, **more)
    assert status in (1, 2), said
    assert "Traceback" not in said
    for part in expected:
        assert part in said
    assert contents(folder) == before


def reset(**parts):
    """A damage: set ``a__b=value`` in params.yaml."""

    def damage(folder: Path) -> None:
        content = study(*FINISHED, epochs=1)
        for path, value in parts.items():
            *parents, last = path.split("__")
            inner = content
            for key in parents:
                inner = inner[key]
            inner[last] = value
        write_study(folder, content)

    return damage


def cut(path: str, size: int = -20):
    return lambda folder: (folder / path).write_bytes((folder / path).read_bytes()[:size])


def write(path: str, content: str):
    return lambda folder: (folder / path).write_text(content, encoding="utf-8")


def remove(path: str):
    return lambda folder: (folder / path).unlink()


def edit_json(path: str, **changes):
    def damage(folder: Path) -> None:
        content = json.loads((folder / path).read_text(encoding="utf-8"))
        (folder / path).write_text(json.dumps(content | changes), encoding="utf-8")

    return damage


def few_latents(folder: Path) -> None:
    means = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    np.savez(folder / MODEL / "latents.npz", train_mean=means, test_mean=means, prior_scale=np.float32(1))


def pickled_latents(folder: Path) -> None:
    array = np.array([{}], dtype=object)
    np.savez(folder / MODEL / "latents.npz", train_mean=array, test_mean=array, prior_scale=array)


def infinite_latents(folder: Path) -> None:
    means = np.full((50, 8), np.inf, np.float32)
    np.savez(folder / MODEL / "latents.npz", train_mean=means, test_mean=means, prior_scale=np.float32(1))


def other_weights(folder: Path) -> None:
    shutil.copy(folder / f"data/models/{CELL}/mle_iso_i/0/spec.json", folder / MODEL / "spec.json")
    edit_json(f"{MODEL}/spec.json", network={"name": "compact", "latent_dim": 3})(folder)


def no_validation(folder: Path) -> None:
    meta = json.loads((folder / PREPARED / "meta.json").read_text(encoding="utf-8"))
    del meta["splits"]["validation"]
    (folder / PREPARED / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def both(*damages):
    def damage(folder: Path) -> None:
        for one in damages:
            one(folder)

    return damage


KDE = {"name": "kde_kl", "samples": 5000}
BERNOULLI = {"name": "bernoulli"}
TRAIN, EVALUATE = ["train", *item("ae")], ["evaluate", *item("ae")]
POSTHOC = ["posthoc", *item("ae", density="gmm10")]
CASES = {
    "Bernoulli on [-1, 1]": (
        both(
            reset(methods__ae__likelihood=BERNOULLI), edit_json(f"{PREPARED}/meta.json", value_range=[-1, 1])
        ),
        TRAIN,
        ["'bernoulli' needs images in [0", "choose another likelihood"],
    ),
    "GMM-100 on 50 latents": (
        both(reset(densities__gmm10__components=100), few_latents),
        POSTHOC,
        ["100", "50"],
    ),
    "KDE set larger than the training set": (
        reset(methods__ae__regularizer=KDE),
        TRAIN,
        ["samples = 5,000", "1,237", "lower it"],
    ),
    "batch larger than the training set": (
        reset(training__batch_size=2000),
        TRAIN,
        ["1,237", "training.batch_size = 2000"],
    ),
    "early stopping without validation": (
        both(reset(training__early_stopping=3), no_validation),
        TRAIN,
        ["training.early_stopping needs a validation set", "set `validation`"],
    ),
    "plateau without validation": (
        both(reset(training__plateau={"patience": 3}), no_validation),
        TRAIN,
        ["training.plateau needs a validation set", "set `validation`"],
    ),
    "AVAE without validation": (
        both(reset(methods__ae__regularizer={"name": "kde_kl", "samples": 100}), no_validation),
        TRAIN,
        ["KDE-KL", "set `validation`"],
    ),
    "β-TC of a deterministic posterior": (
        reset(methods__ae__regularizer={"name": "beta_tc"}),
        TRAIN,
        ["'beta_tc' needs a posterior with a variance", "posterior.name"],
    ),
    "a network for another image size": (
        reset(datasets__digits__network={"name": "takida_celeba"}),
        TRAIN,
        ["takida_celeba", "8"],
    ),
    "a misspelt likelihood": (
        reset(methods__ae__likelihood={"name": "l3"}),
        TRAIN,
        ["params.yaml", "methods.ae.likelihood", "l2"],
    ),
    "params.yaml cut off": (cut("params.yaml", 700), TRAIN, ["params.yaml"]),
    "no params.yaml": (remove("params.yaml"), TRAIN, ["params.yaml is not there", "make study"]),
    "a method that is not there": (write("x", ""), ["train", *item("vae")], ["methods", "'vae'", "ae"]),
    "a method that leaves the folder": (
        write("x", ""),
        ["train", *item("../../../x")],
        ["methods", "'../../../x'"],
    ),
    "a data set that is not there": (
        write("x", ""),
        ["train", "--dataset", "mnist", "--method", "ae", "--seed", "0"],
        ["datasets", "'mnist'", "digits"],
    ),
    "a density that is not there": (
        write("x", ""),
        ["posthoc", *item("ae", density="gmm5")],
        ["densities", "'gmm5'", "gmm10"],
    ),
    "a negative seed": (write("x", ""), ["train", *item("ae", seed=-1)], ["--seed", "integer from 0"]),
    "a seed as long as a date": (
        write("x", ""),
        ["train", *item("ae", seed=20261121130000)],
        ["--seed", "4294967295"],
    ),
    "images cut off": (cut(f"{PREPARED}/images.npy"), TRAIN, ["images.npy", "dvc repro"]),
    "labels of another data set": (
        lambda f: np.save(f / PREPARED / "labels.npy", np.zeros(3, np.int64)),
        EVALUATE,
        ["labels.npy", "dvc repro"],
    ),
    "meta.json not JSON": (write(f"{PREPARED}/meta.json", "{"), TRAIN, ["meta.json", "dvc repro"]),
    "weights cut off": (cut(f"{MODEL}/model.safetensors"), EVALUATE, [MODEL, "damaged", "dvc repro"]),
    "weights empty": (cut(f"{MODEL}/model.safetensors", 0), EVALUATE, [MODEL, "damaged", "dvc repro"]),
    "weights of another model": (other_weights, EVALUATE, [MODEL, "damaged", "dvc repro"]),
    "no weights": (remove(f"{MODEL}/model.safetensors"), EVALUATE, ["model.safetensors", "dvc repro"]),
    "no spec": (remove(f"{MODEL}/spec.json"), EVALUATE, ["spec.json", "dvc repro"]),
    "spec cut off": (cut(f"{MODEL}/spec.json"), EVALUATE, [MODEL, "damaged", "dvc repro"]),
    "spec a list": (write(f"{MODEL}/spec.json", "[]"), EVALUATE, [MODEL, "damaged", "dvc repro"]),
    "spec of an unknown network": (
        edit_json(f"{MODEL}/spec.json", network={"name": "compakt"}),
        EVALUATE,
        [MODEL, "'compact'", "dvc repro"],
    ),
    "latents cut off": (cut(f"{MODEL}/latents.npz"), POSTHOC, ["latents.npz", "damaged", "dvc repro"]),
    "latents pickled": (pickled_latents, POSTHOC, ["latents.npz", "damaged", "dvc repro"]),
    "latents not finite": (infinite_latents, POSTHOC, ["finite"]),
    "no latents": (remove(f"{MODEL}/latents.npz"), POSTHOC, ["latents.npz is missing", "dvc repro"]),
    "density cut off": (cut(f"{DENSITY}/arrays.npz"), EVALUATE, [DENSITY, "damaged", "posthoc"]),
    "no density": (remove(f"{DENSITY}/density.json"), EVALUATE, [DENSITY, "posthoc"]),
    "reference cut off": (cut(f"{REFERENCE}/features.npy"), EVALUATE, [REFERENCE, "damaged", "dvc repro"]),
    "reference of an unknown kind": (
        edit_json(f"{REFERENCE}/reference.json", classes=["many"]),
        EVALUATE,
        [REFERENCE, "damaged", "dvc repro"],
    ),
    "metrics cut off": (cut(METRICS), ["tabulate"], [METRICS]),
    "metrics a list": (write(METRICS, "[1]"), ["tabulate"], [METRICS]),
    "history without columns": (write(HISTORY, "a,b\n1,2\n"), ["tabulate"], [HISTORY]),
}


OF_A_KIND = {
    "plateau without validation",
    "AVAE without validation",
    "a network for another image size",
    "params.yaml cut off",
    "a data set that is not there",
    "labels of another data set",
    "meta.json not JSON",
    "weights empty",
    "no weights",
    "no spec",
    "spec cut off",
    "spec a list",
    "latents not finite",
    "no latents",
    "no density",
    "reference of an unknown kind",
    "metrics a list",
}
"""Cases whose like is in the default run, which takes a second for each."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.nightly) if n in OF_A_KIND else n for n in CASES]
)
def test_what_is_wrong_is_named_and_nothing_is_lost(stages, folder, name):
    damage, arguments, expected = CASES[name]
    damage(folder)
    check_refused(stages, folder, arguments, expected)


def test_a_device_that_is_not_there(stages, folder):
    check_refused(stages, folder, ["train", *item("ae")], ["'cuda:7'", "cpu"], VAEBENCH_DEVICE="cuda:7")


def test_the_device_is_the_first_gpu_or_the_one_that_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for wanted, chosen in (("", "cuda:0"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("cpu", "cpu")):
        monkeypatch.setenv("VAEBENCH_DEVICE", wanted)
        assert str(select_device()) == chosen
    monkeypatch.setenv("VAEBENCH_DEVICE", "cuda:2")
    with pytest.raises(UserError, match="this machine has cuda:0, cuda:1, cpu"):
        select_device()


def test_a_second_stage_that_diverges_costs_its_own_numbers_alone(stages, folder):
    reset(densities__gmm10={"name": "second_stage", "epochs": 1, "hidden": 8})(folder)
    means = np.random.default_rng(0).normal(scale=1e30, size=(360, 8)).astype(np.float32)
    latents = {"train_mean": means, "test_mean": means, "prior_scale": np.float32(1)}
    np.savez(folder / MODEL / "latents.npz", **latents)
    status, said = stages.run(folder, *POSTHOC)
    assert status == 0, said
    assert "no density: The second-stage VAE diverged" in said
    status, said = stages.run(folder, *EVALUATE)
    assert status == 0, said
    metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    assert "gmm10" not in metrics["fd_classifier"]


# A full disk: no file may grow beyond so many bytes.


@pytest.mark.parametrize(
    ("arguments", "bytes_left"),
    [
        (["prepare", "--dataset", "digits"], 50_000),
        pytest.param(["reference", "--dataset", "digits"], 20_000, marks=pytest.mark.nightly),
        (TRAIN, 20_000),
        (POSTHOC, 500),
        (EVALUATE, 400),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_full_disk(stages, folder, arguments, bytes_left):
    check_refused(stages, folder, arguments, ["room on"], FSIZE=str(bytes_left))


def test_a_disk_that_is_full_while_training_costs_no_training(stages, finished, tiny):
    """The checkpoint does not fit; what comes out is the same."""
    expected = results(finished, "ae")
    folder = tiny("a", content=study(*FINISHED, epochs=1, checkpoint_seconds=1e-6))
    largest = max(map(len, expected.values()))
    status, said = stages.run(folder, *TRAIN, FSIZE=str(2 * largest))
    assert status == 0, said
    assert "checkpoint.pt could not be written" in said
    assert "make room" in said
    assert results(folder, "ae") == {name: expected[name] for name in ("model", "spec", "latents", "history")}


def test_a_disk_that_is_really_full(stages, folder, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a small file system")
    try:
        (folder / ".vaebench").rename(tmp_path / "moved")
        model = folder / MODEL
        earlier = {path.name: path.read_bytes() for path in model.iterdir()}
        shutil.rmtree(model.parent)
        model.parent.symlink_to(place)
        (place / "0").mkdir()
        for name in ("spec.json",):
            (place / "0" / name).write_bytes(earlier[name])
        status, said = stages.run(folder, *TRAIN)
        assert status == 1
        assert "No space left on device" in said
        assert "Traceback" not in said
        assert (place / "0/spec.json").read_bytes() == earlier["spec.json"]
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def read_only():
    """Makes a folder read-only, for root too."""
    undo = []

    def make(folder: Path) -> None:
        if os.geteuid() != 0:
            folder.chmod(0o555)
            undo.append(lambda: folder.chmod(0o755))
            return
        for start, end in (
            (["chattr", "+i", str(folder)], ["chattr", "-i", str(folder)]),
            (["mount", "-t", "tmpfs", "-o", "ro", "none", str(folder)], ["umount", str(folder)]),
        ):
            if (
                shutil.which(start[0])
                and subprocess.run(start, capture_output=True, check=False).returncode == 0
            ):
                undo.append(lambda end=end: subprocess.run(end, check=True))
                return
        pytest.skip("root may write everywhere, and this machine offers no way to forbid it")

    yield make
    for step in undo:
        step()


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (TRAIN, f"data/models/{CELL}/ae"),
        (["prepare", "--dataset", "digits"], "data/prepared/tiny"),
        pytest.param(POSTHOC, f"data/densities/{CELL}/ae/0", marks=pytest.mark.nightly),
        pytest.param(EVALUATE, "reports/tiny/metrics/digits/ae", marks=pytest.mark.nightly),
        pytest.param(["tabulate"], "reports/tiny", marks=pytest.mark.nightly),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_folder_that_cannot_be_written(stages, folder, read_only, arguments, place):
    read_only(folder / place)
    if not (folder / place).exists() or not any((folder / place).iterdir()):
        pytest.skip("only a mount over the folder was possible, which hides what is in it")
    status, said = stages.run(folder, *arguments)
    assert status == 1, said
    assert "Traceback" not in said
    assert "permi" in said  # "Operation not permitted", "Permission denied", and the advice


# A download that is cut off.


@pytest.fixture
def no_raw_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VAEBENCH_DATA", raising=False)


class CutOff(io.BytesIO):
    """An HTTP answer that promises more than it brings."""

    headers, length = {"Content-Length": "1000000"}, 1_000_000
    url = "https://localhost/file"

    def geturl(self) -> str:
        return self.url


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("how", ["short", "refused"])
def test_an_interrupted_download_leaves_nothing(no_raw_data, tmp_path, monkeypatch, name, how):
    def answer(*_, **__):
        if how == "refused":
            raise OSError(errno.ECONNRESET, "Connection reset by peer")
        return CutOff(b"half of the file")

    monkeypatch.setattr("urllib.request.urlopen", answer)
    with pytest.raises(
        UserError, match=r"Downloading it into data/raw failed: .*Put it into data/raw"
    ) as caught:
        prepare({"name": name}, tmp_path / "store")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "data/raw").iterdir()) == []
    assert not (tmp_path / "store").exists()


def test_a_download_that_was_killed_is_begun_again(no_raw_data, tmp_path, monkeypatch):
    from support.data_fixtures import write_mnist

    from vaebench.data.mnist import Mnist

    def killed(root: Path) -> None:
        write_mnist(root)
        (root / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
        raise KeyboardInterrupt

    def downloaded_by(download) -> None:
        published = dataclasses.replace(Mnist.published, download=download)
        monkeypatch.setattr(Mnist, "published", published)

    downloaded_by(killed)
    with pytest.raises(KeyboardInterrupt):
        prepare({"name": "mnist"}, tmp_path / "store")
    downloaded_by(write_mnist)
    assert len(prepare({"name": "mnist"}, tmp_path / "store").split("train")) == 40


# Files and folders that are whole or not there.


def test_an_error_while_writing_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_what_a_killed_writer_left_is_removed_and_what_another_one_writes_is_not(tmp_path):
    (ended := subprocess.Popen(["true"])).wait()
    left, another = (tmp_path / f".file.{pid}.partial" for pid in (ended.pid, os.getppid()))
    for path in (left, another):
        path.write_text("half")
    with write_atomically(tmp_path / "file") as temporary:
        temporary.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [another.name, "file"]


def test_an_error_while_writing_leaves_the_old_folder_and_no_other(tmp_path):
    path = tmp_path / "folder"

    def write_one(name: str, then: type[Exception] | None = None) -> None:
        with write_folder(path) as temporary:
            (temporary / name).write_text(name)
            if then is not None:
                raise then

    write_one("old")
    write_one("new")
    with pytest.raises(ArithmeticError):
        write_one("half", ArithmeticError)
    assert [p.name for p in path.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
