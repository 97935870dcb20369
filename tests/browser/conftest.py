"""Headless Chromium for the tests of pages, if the machine has one.

`CHROMIUM` names it. Without one the tests are skipped, and say so; with `REQUIRE_BROWSER=1` they fail instead.
`SCREENSHOTS=folder` keeps a picture of every page in every width and colour scheme, for people to look at.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.pages import PAGES

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def _chromium() -> str | None:
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


class SharedBrowser:
    """A browser with the event loop of Playwright, which runs in a greenlet of this thread until the browser closes.

    While no test uses the browser, that loop is hidden from asyncio, so that other tests can run their own.
    """

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self._loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)

    @contextmanager
    def at_work(self) -> Iterator[Browser]:
        """Make the browser usable inside the block."""
        asyncio._set_running_loop(self._loop)
        try:
            yield self.browser
        finally:
            asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def shared_browser() -> Iterator[SharedBrowser]:
    """Start one browser for all tests of a process."""
    chromium = _chromium()
    if chromium is None:
        words = (
            "no Chromium was found: install one (Debian: apt-get install chromium), or name it in CHROMIUM"
        )
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(words)
        pytest.skip(words)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    playwright = sync_playwright().start()
    shared_browser = SharedBrowser(
        playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if is_root else [], timeout=60_000
        )
    )
    yield shared_browser
    with shared_browser.at_work() as browser:
        browser.close()
        playwright.stop()


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that writes a page of PAGES by its name, once, and returns its file."""
    folder = tmp_path_factory.mktemp("pages")
    written: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in written:
            file = folder / f"{len(written)}.html"
            file.write_text(PAGES[name](), encoding="utf-8", errors="replace")
            written[name] = file
        return written[name]

    return write


class Opened:
    """A page in the browser; it notes what a page must not do: complain, and send requests."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._address = file.as_uri()
        page.on("console", lambda message: self.complaints.append(f"console: {message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._refuse)
        page.on("request", lambda request: self.requests.append(request.url.split("#")[0]))
        page.goto(self._address)

    def _refuse(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def evaluate(self, script: str) -> Any:
        """Run a script in the page and return its answer."""
        return self.page.evaluate(script)

    def check(self) -> None:
        """Assert that the page did nothing but show itself."""
        assert self.complaints == []
        assert [url for url in self.requests if url != self._address and not url.startswith("blob:")] == []


@pytest.fixture
def opened(
    shared_browser: SharedBrowser, page_file: Callable[[str], Path]
) -> Iterator[Callable[..., Opened]]:
    """Return a function that opens a page of PAGES in a fresh context, with options of Playwright."""
    contexts: list[BrowserContext] = []

    def open_page(name: str, *, width: int = 1280, **options: Any) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        return Opened(context.new_page(), page_file(name))

    with shared_browser.at_work() as browser:
        yield open_page
        for context in contexts:
            context.close()
