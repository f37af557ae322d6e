"""Chromium without a window, and what it notices on the pages that it opens."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.tiny_study import environment

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 120
"""Seconds that a page, or a server's start, may take on a machine that does other things, too."""

OF_MLFLOW = "ResizeObserver loop"
"""A browser's note on MLflow's charts, no fault."""


def find_chromium() -> str | None:
    """The browser's program."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator:
    """A browser; one of Playwright's own is never downloaded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(FLAGS), chromium_sandbox=False
        )
        yield browser
        browser.close()


class Visit:
    """A page, the errors on its console, and what it asked of others than its own origin.

    Args:
        browser: of :func:`chromium`.
        origin: what the address of every request begins with.
        options: of the browser's context: viewport, colour scheme.
    """

    def __init__(self, browser, origin: str, **options):
        self.origin = origin
        self.errors: list[str] = []
        self.strays: list[str] = []
        self._context = browser.new_context(**options)
        self._context.set_default_timeout(1000 * PATIENCE)
        self._context.on("console", self._hear)
        self._context.on("weberror", self._fail)
        self._context.on("request", self._follow)
        self.page = self._context.new_page()

    def _fail(self, found) -> None:
        self._note(str(found.error))

    def _hear(self, message) -> None:
        if message.type == "error":
            self._note(f"{message.text} ({message.location.get('url', '')})")

    def _note(self, error: str) -> None:
        if OF_MLFLOW not in error:
            self.errors.append(error)

    def _follow(self, request) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.strays.append(request.url)

    def close(self) -> None:
        """Leave the page, which must have been free of errors and strays."""
        self._context.close()
        assert not self.errors, self.errors
        assert not self.strays, self.strays


@contextmanager
def mlflow_ui(folder: Path) -> Iterator[str]:
    """The address at which ``vaebench ui`` says the runs of the workspace ``folder`` are."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with served(["vaebench", "ui", "--port", str(port)], port, folder, environment(folder)) as address:
        yield address


@contextmanager
def served(command: list[str], port: int, folder: Path, env: dict[str, str]) -> Iterator[str]:
    """The address that ``command``, which serves MLflow at ``port``, prints."""
    log = folder / ".vaebench/ui.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}", process, log)
        yield re.search(r"http://\S+", log.read_text(encoding="utf-8")).group()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the server's workers with it
        process.wait()


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(PATIENCE):
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=PATIENCE):
                return
        except OSError:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
                break
    raise AssertionError(f"{address} does not answer:\n{log.read_text(encoding='utf-8')}")
