"""Chromium, watched: whatever goes wrong in a page, or asks anybody else than the server, is kept as a fault."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from refold.tests.browser.processes import PATIENCE_SECONDS

_TELL = (
    "addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`))"
)


@contextmanager
def chromium() -> Generator[Browser]:
    """The system's Chromium, without a window. A missing one is an error."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    assert found is not None, "there is no Chromium: `make system-deps` installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """What went wrong in the pages of a context."""

    def __init__(self, context: BrowserContext, origin: str):
        self.faults: list[str] = []
        self._origin = urlsplit(origin)[:2]
        context.add_init_script(_TELL)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))
        context.on("request", self._asked)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url)[:2] != self._origin and urlsplit(request.url).scheme not in ("data", "blob"):
            self.faults.append(f"asked elsewhere: {request.url}")

    def _failed(self, request: Request) -> None:
        # A browser gives up its own requests when it leaves a page, or keeps what comes as a file.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.faults.append(f"answered: {response.request.method} {response.url} {response.status}")


@contextmanager
def visitor(browser: Browser, origin: str, **options: Any) -> Generator[Page]:
    """A person with a browser of their own at `origin`; fails at the end if anything went wrong in a page."""
    context = browser.new_context(base_url=origin, reduced_motion="reduce", **options)
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    watch = Watch(context, origin)
    try:
        yield context.new_page()
        assert not watch.faults, watch.faults
    finally:
        context.close()
