"""Keys out of texts: whatever is printed, raised, logged or recorded goes through here."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "[key]"

_PATTERNS = (
    re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/*=-]{6,}"),
    re.compile(
        r"(?i)\b((?:x-)?api[-_ ]?key|authorization|access[-_]?token)(['\"]?\s*[:=]\s*['\"]?)"
        r"[^\s'\",;&}]{4,}"
    ),
    re.compile(r"\b(?:sk-|pk-|rk-|gsk_|hf_|xai-|nvapi-|AIza)[A-Za-z0-9_*.-]{8,}"),
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the given secrets and without anything that has the form of a key.

    >>> scrub("401: wrong key sk-abc123def456; header Authorization: Bearer abcdef123")
    '401: wrong key [key]; header Authorization: [key]'
    """
    for secret in sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _PATTERNS[0].sub(HIDDEN, text)
    text = _PATTERNS[1].sub(lambda m: m[1] + m[2] + HIDDEN if HIDDEN not in m[0] else m[0], text)
    for pattern in _PATTERNS[2:]:
        text = pattern.sub(HIDDEN, text)
    return text


def one_line(text: str, limit: int = 300) -> str:
    """Printable text on one line, cut at `limit` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."
