"""Finding and starting the browser that the tests and the screenshots drive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str | None:
    """The browser to start: `CHROMIUM_PATH`, else one on the PATH; None means playwright's own."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM_PATH") or next((found for n in names if (found := shutil.which(n))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser.

    Playwright runs an event loop in this thread for as long as the browser lives, so callers keep
    it no longer than they need.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
