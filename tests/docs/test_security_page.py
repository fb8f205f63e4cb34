"""What the threat model names as proof is there: every test, every file."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.fences import DOCS

ROOT = DOCS.parent
PAGE = (DOCS / "security.md").read_text(encoding="utf-8")
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 15
    assert {name for name in named if f"def {name}(" not in TESTS} == set()


def test_every_file_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`((?:tests|simulator|collectors|harness)/[\w./]+)`", PAGE))
    assert len(named) > 5
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_target_that_the_page_names_exists() -> None:
    makefile = Path(ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([\w-]+)`", PAGE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
