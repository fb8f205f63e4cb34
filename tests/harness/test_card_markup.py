"""Cards of tables travel between people: on the page they are text and plain links alone."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from harness.report import assets

PLAIN = {
    "a", "blockquote", "code", "em", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"href", "title", "rel", "class", "start"}
LINKS = ("https://", "http://", "//", "mailto:", "#")


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "card",
    [
        "[a](JavaScript:alert(1))",
        "[a](&#106;avascript:alert(1))",
        "[a](java\tscript:alert(1))",
        "<javascript:alert(1)>",
        "[a]: javascript:alert(1)\n\n[a]",
        "![i](javascript:x)",
        "[a](data:text/html,<script>1</script>)",
        "[a](vbscript:x)",
        "[a](file:///etc/passwd)",
        '[x](https://a.example "\\" onmouseover=alert(1) \\"")',
        '[x](<https://a.example/"onmouseover=alert(1)>)',
        "`<img src=x onerror=alert(1)>`",
        "```html\n<script>alert(1)</script>\n```",
        '```"><script>alert(1)</script>\nx\n```',
        "<svg/onload=alert(1)>",
        "<!-- --><script>alert(1)</script>",
        "# <img src=x onerror=1>",
        "| <b onclick=x>a</b> |\n|-|\n| [x](javascript:y) |",
        '![">  <script>alert(1)</script>](https://x.example/"><script>alert(1)</script>)',
        "<iframe src=https://x.example></iframe>\n\n<style>p{}</style>\n\n<base href=//x>",
        "[ok](https://example.org) <a@b.example> *a* **b**\n\n- x\n\n1. y\n\n> z\n\n---\n",
    ],
)
def test_no_markup_of_a_card_reaches_the_page(card: str) -> None:
    for tag, attributes in Elements(str(assets.card(card))).found:
        assert tag in PLAIN
        assert set(attributes) <= ATTRIBUTES
        assert str(attributes.get("href", "#")).startswith(LINKS)


def test_plain_markdown_is_shown() -> None:
    tags = {tag for tag, _ in Elements(str(assets.card("*a* [b](https://c.example)\n\n- d"))).found}
    assert {"em", "a", "li"} <= tags
