"""No test depends on what one before it left in the process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

from support.process import unchanged


def test_what_a_command_sets_in_its_process_is_put_back(request, monkeypatch, tmp_path):
    addresses, threads = ["sqlite:///a.db"], [4]
    mlflow = SimpleNamespace(set_tracking_uri=addresses.append)
    torch = SimpleNamespace(get_num_threads=lambda: threads[-1], set_num_threads=threads.append)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setenv("OF_BEFORE", "1")
    before, folder = dict(os.environ), Path.cwd()
    with unchanged():
        del os.environ["OF_BEFORE"]
        os.environ["OF_A_COMMAND"] = "1"
        os.chdir(tmp_path)
        torch.set_num_threads(1)
    assert dict(os.environ) == before
    assert Path.cwd() == folder
    assert (addresses[-1], threads[-1]) == (None, 4)
    assert "_unchanged_process" in request.fixturenames  # after every test
