"""Take the README's picture of a bench's page: its top, as a desktop shows it.

python -m tests.browser.picture results/index.html docs/page.png
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.browser.driver import Browser

WIDTH, HEIGHT = 1280, 960


def take(page: Path, picture: Path) -> None:
    """Write a PNG of the page's first screen, its figures drawn."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        raise SystemExit("this needs chromium and chromedriver")
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(binary, driver, Path(profile))
        try:
            browser.open(page, WIDTH, HEIGHT)
            browser.screenshot(picture, HEIGHT)
        finally:
            browser.quit()


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
