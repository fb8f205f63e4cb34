"""What a page is put together from: data as JSON, styles, scripts, Plotly, cards."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable
from importlib import resources
from typing import Any

from markupsafe import Markup

SCRIPTS = (
    "base.js", "tables.js", "leaderboard.js", "figures.js", "curves.js", "landscape.js",
    "across.js", "deployment.js",
)  # fmt: skip
"""In the order in which they run."""

_PLAIN = ("base.js", "tables.js", "leaderboard.js")


def embedded(data: Any) -> Markup:
    """Data for a script element of type application/json, safe whatever its texts hold.

    `<`, `>`, `&` and the line separators that scripts do not allow are written as escapes, so that
    no text can end the element or begin a comment; reading it gives the same data.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def scripts(*, plots: bool) -> Markup:
    """The page's own scripts, as one."""
    texts = [_static(name) for name in (SCRIPTS if plots else _PLAIN)]
    return Markup("\n".join(texts))  # noqa: S704 - the package's own files


def styles() -> Markup:
    """The page's style sheet."""
    return Markup(_static("page.css"))  # noqa: S704 - the package's own file


def _static(name: str) -> str:
    return (resources.files("harness.report") / "static" / name).read_text(encoding="utf-8")


def plotly() -> tuple[Markup, str] | None:
    """Plotly's script, gzipped in base64, and the hash that the page's policy allows it by.

    None without the extra `report`. It is the file of the Python package plotly (MIT licence),
    whose notice it keeps; the page unpacks it in the browser, so it is a third of its size.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        return None
    code = str(get_plotlyjs())
    packed = base64.b64encode(gzip.compress(code.encode(), 6, mtime=0)).decode()
    return Markup(packed), script_hash(code)  # noqa: S704 - base64


def script_hash(code: str) -> str:
    """A script's source as a content security policy allows it."""
    digest = hashlib.sha256(code.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def policy(hashes: Iterable[str]) -> str:
    """A content security policy: these scripts alone, and nothing from anywhere else."""
    allowed = " ".join(hashes) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def card(text: str) -> Markup:
    """A table's card, Markdown, as HTML: no markup of its own, no images, headings below h3."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("js-default", {"html": False, "linkify": False}).disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 3)}"
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "noopener noreferrer")
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - rendered so
