"""Is a built docs site whole, and does it ask the network for nothing?

Run as `python tests/docs/built_site.py SITE`; needs the standard library alone. Every link inside
the site must lead to a file, and every anchor to an element; scripts, styles, images and frames
must come from the site itself.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    "script": ("src",), "img": ("src", "srcset"), "iframe": ("src",), "source": ("src", "srcset"),
    "video": ("src", "poster"), "audio": ("src",), "embed": ("src",), "object": ("data",),
    "link": ("href",), "use": ("href",), "image": ("href",),
}  # fmt: skip
"""What a browser fetches by itself, by element."""

NOT_FETCHED = {"canonical", "next", "prev", "alternate", "license", "author"}
"""Relations of a `link` element that a browser does not fetch."""

_IN_STYLE = re.compile(
    r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)"
)

DORMANT = {
    "https://unpkg.com/mermaid@11/dist/mermaid.min.js": 'class="mermaid"',
    "https://unpkg.com/resize-observer-polyfill": "",
    "https://unpkg.com/iframe-worker/shim": "",
}
"""What the theme's own script would load, and the element that would make it (empty: nothing that a
browser of this decade lacks, or nothing that a page of this site has)."""


class Page(HTMLParser):
    """What one page loads, links to, and offers as anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.quotation, self.deepest_quotation = 0, 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag == "link" and set(given.get("rel", "").split()) & NOT_FETCHED:
            return
        self.loads += [given[name] for name in LOADED.get(tag, ()) if name in given]
        if tag == "blockquote":
            self.quotation += 1
            self.deepest_quotation = max(self.deepest_quotation, self.quotation)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if "style" in given:
            self.loads += ["".join(found) for found in _IN_STYLE.findall(given["style"])]

    def handle_endtag(self, tag: str) -> None:
        if tag == "blockquote":
            self.quotation -= 1


def outside(target: str) -> bool:
    """Whether a browser would ask another machine for it."""
    return bool(urlsplit(target).netloc)


def problems(site: Path) -> list[str]:
    """One line for each thing that is wrong."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    if not pages:
        return [f"{site}: no pages"]
    found = []
    for path, page in pages.items():
        where = path.relative_to(site)
        found += [f"{where}: loads {target}" for target in page.loads if outside(target)]
        if page.deepest_quotation > 1:
            found.append(f"{where}: a quotation in a quotation, as of a doctest without a fence")
        if where.name != "404.html":
            found += [f"{where}: {line}" for line in _dead(path, page, pages, site)]
    for style in sorted(site.rglob("*.css")):
        text = style.read_text(encoding="utf-8")
        found += [f"{style.relative_to(site)}: loads {''.join(m)}" for m in _IN_STYLE.findall(text)]
    scripts = "".join(path.read_text(encoding="utf-8") for path in sorted(site.rglob("*.js")))
    every = "".join(path.read_text(encoding="utf-8") for path in pages)
    for address in sorted(set(re.findall(r"['\"](https://unpkg\.com/[^'\"]+)", scripts))):
        trigger = DORMANT.get(address)
        if trigger is None or (trigger and trigger in every):
            found.append(f"a script loads {address}")
    return found


def _dead(path: Path, page: Page, pages: Mapping[Path, Page], site: Path) -> list[str]:
    """Links and files of one page that lead nowhere."""
    lines = []
    for target in [*page.links, *page.loads]:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        there = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
        if there.is_dir():
            there /= "index.html"
        if not there.is_relative_to(site) or not there.is_file():
            lines.append(f"dead link {target}")
        elif parts.fragment and there in pages:
            anchor = unquote(parts.fragment)
            if anchor not in pages[there].anchors:
                lines.append(f"no anchor for {target}")
    return lines


def main() -> int:
    """Print what is wrong, or what was checked."""
    site = Path(sys.argv[1]).resolve()
    found = problems(site)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        pages = [Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")]
        inside = sum(not outside(link) for page in pages for link in page.links)
        print(f"{site.name}: {len(pages)} pages, {inside} links inside, nothing from the network")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
