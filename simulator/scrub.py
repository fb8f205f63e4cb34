"""Keys out of texts: whatever is printed, raised, logged or recorded goes through here.

Here, since collectors, agents and the harness all need it and know no other room in common.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

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

_NAMES = re.compile(r"(?i)(?:^|_)(?:api_?key|key|token|secret|password|passwd|pat)(?:$|_)")


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the given secrets and without anything that has the form of a key.

    Lone surrogates, which no file and no server takes, become question marks.

    >>> scrub("401: wrong key sk-abc123def456; header Authorization: Bearer abcdef123")
    '401: wrong key [key]; header Authorization: [key]'
    """
    text = without(text.encode("utf-8", "replace").decode("utf-8"), secrets)
    text = _PATTERNS[0].sub(HIDDEN, text)
    text = _PATTERNS[1].sub(lambda m: m[1] + m[2] + HIDDEN if HIDDEN not in m[0] else m[0], text)
    for pattern in _PATTERNS[2:]:
        text = pattern.sub(HIDDEN, text)
    return text


def without(text: str, secrets: Iterable[str]) -> str:
    """`text` without the given secrets, the longest first; those under 4 characters are kept."""
    for secret in sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def held_secrets(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Values of the environment's variables that are named as keys, tokens and passwords are.

    Values under 8 characters are left out: they would blot out ordinary words.

    >>> held_secrets({"AGENTTTS_API_KEY": "an-odd-key", "HOME": "/home/me", "MAX_TOKENS": "1"})
    ('an-odd-key',)
    """
    environment = os.environ if environment is None else environment
    return tuple(v for n, v in environment.items() if len(v) >= 8 and _NAMES.search(n))


def hidden(data: Any, secrets: Iterable[str]) -> Any:
    """Plain data (of dicts, lists, texts and numbers) without the given secrets in its texts."""
    secrets = tuple(secrets)
    if isinstance(data, str):
        return without(data, secrets)
    if isinstance(data, dict):
        return {key: hidden(value, secrets) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [hidden(value, secrets) for value in data]
    return data


def one_line(text: str, limit: int = 300) -> str:
    """Printable text on one line, cut at `limit` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."
