"""Raw files that are replaced, added to or looked for elsewhere after their store was prepared."""

from __future__ import annotations

import os

import pytest

from vaebench.base.files import write_json
from vaebench.data.raw import RawFiles
from vaebench.data.sources import changed_sources, remember_sources


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store that was prepared from a file and a folder of two pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAEBENCH_DATA", str(tmp_path / "raw"))
    for name in ("set/one.bin", "set/pictures/a.png", "set/pictures/b.png"):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    raw = RawFiles.default()
    raw.digest(tmp_path / "raw/set/one.bin")
    raw.record(tmp_path / "raw/set/pictures", "0" * 64)
    folder = tmp_path / "data/prepared/study/set"
    folder.mkdir(parents=True)
    write_json(folder / "meta.json", {"sources": raw.sources})
    remember_sources(folder)
    return folder


def test_unchanged_files_are_not_mentioned(store):
    assert changed_sources(store) == []


def test_a_file_that_was_only_touched_is_read_and_not_mentioned(store, tmp_path):
    os.utime(tmp_path / "raw/set/one.bin", (1, 1))
    assert changed_sources(store) == []
    assert changed_sources(store) == []


def test_a_replaced_file_and_an_added_picture_are_named(store, tmp_path):
    (tmp_path / "raw/set/one.bin").write_text("other content")
    (tmp_path / "raw/set/pictures/c.png").write_text("new")
    lines = changed_sources(store)
    assert [line.split(" was")[0] for line in lines] == [
        str(tmp_path / "raw/set/one.bin"),
        str(tmp_path / "raw/set/pictures"),
    ]


def test_the_same_file_in_another_folder_is_the_same_and_another_one_is_named(store, tmp_path, monkeypatch):
    other = tmp_path / "other/set"
    other.mkdir(parents=True)
    (other / "one.bin").write_text("set/one.bin")
    monkeypatch.setenv("VAEBENCH_DATA", str(tmp_path / "other"))
    assert [line.split(" is")[0] for line in changed_sources(store)] == ["set/pictures"]
    (other / "one.bin").write_text("not it")
    assert any(line.startswith(str(other / "one.bin")) for line in changed_sources(store))


def replace_and_prepare(store, raw):
    """The store of other files under the same names; returns the contents of the first store's files."""
    files = [raw / "set/one.bin", raw / "set/pictures/a.png"]
    first = {path: (path.read_text(), path.stat().st_mtime_ns) for path in files}
    for path in files:
        path.write_text(f"another {path.name}")
    sources = RawFiles.default()
    sources.digest(files[0])
    sources.record(raw / "set/pictures", "1" * 64)
    write_json(store / "meta.json", {"sources": sources.sources})
    remember_sources(store)
    assert changed_sources(store) == []
    return first


def test_an_earlier_store_that_dvc_restores_is_compared_with_the_files_of_now(store, tmp_path):
    meta = (store / "meta.json").read_bytes()
    first = replace_and_prepare(store, tmp_path / "raw")
    (store / "meta.json").write_bytes(meta)
    for _ in range(2):
        assert [line.split(" was")[0] for line in changed_sources(store)] == [
            str(tmp_path / "raw/set/one.bin"),
            str(tmp_path / "raw/set/pictures"),
        ]
    for path, (text, time) in first.items():
        path.write_text(text)
        os.utime(path, ns=(time, time))
    assert changed_sources(store) == []


def test_a_store_of_the_files_of_now_is_not_mentioned_after_an_earlier_one(store, tmp_path):
    meta = (store / "meta.json").read_bytes()
    replace_and_prepare(store, tmp_path / "raw")
    now = (store / "meta.json").read_bytes()
    (store / "meta.json").write_bytes(meta)
    assert changed_sources(store) != []
    (store / "meta.json").write_bytes(now)
    assert changed_sources(store) == []


def test_a_clone_without_raw_files_has_nothing_to_compare(store, tmp_path, monkeypatch):
    monkeypatch.delenv("VAEBENCH_DATA")
    (tmp_path / ".vaebench/raw/study/set.json").unlink()
    assert changed_sources(store) == []
