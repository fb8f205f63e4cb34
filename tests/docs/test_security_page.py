"""What the threat model and the list of faults name as proof is there: every test, every file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.fences import DOCS

ROOT = DOCS.parent
PAGES = {name: (DOCS / name).read_text(encoding="utf-8") for name in ("security.md", "hammered.md")}
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_the_page_names_exists(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGES[page]))
    assert len(named) > 15
    assert {name for name in named if f"def {name}(" not in TESTS} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_the_page_names_exists(page: str) -> None:
    named = set(re.findall(r"`((?:tests|simulator|collectors|harness)/[\w./]+)`", PAGES[page]))
    assert len(named) > 5
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_target_that_the_page_names_exists(page: str) -> None:
    makefile = Path(ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([\w-]+)`", PAGES[page]):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
