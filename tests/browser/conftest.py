"""One Chromium for all tests of the page, and one small bench whose page they open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.driver import Browser
from tests.harness.page_results import make_results


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bench of four tables of every kind, four agents, two budgets."""
    folder = tmp_path_factory.mktemp("browser")
    return make_results(
        folder, seeds=5, trials=20, budgets=[400, 1000], vary_examples=[10],
        vary_noise=["bootstrap"],
    )  # fmt: skip


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    browser = Browser(binary, driver, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium: Browser, out: Path) -> Iterator[Browser]:
    """The page, open on a desktop in light colours; no error may be left on the console."""
    chromium.open(out / "index.html")
    yield chromium
    assert chromium.console() == []


@pytest.fixture(scope="session")
def screenshots() -> Path:
    folder = Path(__file__).parents[2] / "results" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
