"""An extension of the docs site's build: doctests in docstrings become code blocks.

Docstrings here are plain text, not of a style with named sections; Markdown would take `>>>` for
three quotations, one in another.
"""

from __future__ import annotations

from typing import Any

import griffe


class DoctestFences(griffe.Extension):  # type: ignore[misc]
    """Puts every doctest, with what it prints, between fences."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None and "```" not in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        self.on_object(obj=pkg)


def fenced(text: str) -> str:
    """`text` with each block that begins with `>>>` between fences; a blank line ends a block.

    >>> print(fenced("It adds.\\n\\n>>> 1 + 1\\n2"))
    It adds.
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    """
    lines: list[str] = []
    inside = False
    for line in [*text.splitlines(), ""]:
        if not inside and line.lstrip().startswith(">>> "):
            lines.append("```pycon")
            inside = True
        elif inside and not line.strip():
            lines.append("```")
            inside = False
        lines.append(line)
    return "\n".join(lines[:-1])
