"""Normalising, extracting and comparing short answers."""

from __future__ import annotations

import itertools
import json
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))
# Possessive: a long run of spaces must not be divided in every way.
_ANSWER = re.compile(r"answer\s*+(?:is\s*+)?[:=]\s*+(.+)", re.IGNORECASE)
_MOST_STARTS = 200
"""Brackets from which JSON is tried: a model that repeats one must not cost seconds."""

_FENCE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)


def normalise(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces: the SQuAD rule, with marks turned to
    spaces so that hyphenated names keep their parts.

    >>> normalise("The Mask of Fu-Manchu!")
    'mask of fu manchu'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, golds: Iterable[str]) -> float:
    """1 where the normalised answer equals a normalised gold answer."""
    normal = normalise(answer)
    return float(any(normal == normalise(gold) for gold in golds))


def contains_answer(answer: str, golds: Iterable[str]) -> float:
    """1 where a normalised gold answer stands, as whole words, in the normalised answer."""
    normal = f" {normalise(answer)} "
    return float(any(f" {gold} " in normal for g in golds if (gold := normalise(g))))


def token_f1(answer: str, golds: Iterable[str]) -> float:
    """Largest F1 of the answer's words with a gold answer's, words counted with repeats."""
    words = Counter(normalise(answer).split())
    return max((_counter_f1(words, Counter(normalise(gold).split())) for gold in golds), default=0)


def _counter_f1(left: Counter[str], right: Counter[str]) -> float:
    if not left and not right:
        return 1.0
    shared = (left & right).total()
    return 2 * shared / (left.total() + right.total()) if shared else 0.0


def set_f1(found: Iterable[Any], gold: Iterable[Any]) -> float:
    """F1 of two sets; 1 where both are empty.

    >>> set_f1({1, 2}, {2, 3})
    0.5
    """
    found, gold = set(found), set(gold)
    if not found and not gold:
        return 1.0
    return 2 * len(found & gold) / (len(found) + len(gold))


def multiset_f1(found: Iterable[str], gold: Iterable[str]) -> float:
    """F1 of two multisets; 1 where both are empty."""
    return _counter_f1(Counter(found), Counter(gold))


def short_answer(text: str) -> str | None:
    """The answer a model gave: what follows the last `Answer:`, otherwise the first full line.

    Surrounding quotes, emphasis and a closing full stop go. `None` where nothing is left.

    >>> short_answer("Let me think. **Answer:** 'Rome'.")
    'Rome'
    """
    found = _ANSWER.findall(text.replace("**", ""))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    chosen = found[-1] if found else (lines[0] if lines else "")
    chosen = chosen.strip().strip("*_`").rstrip(".").strip().strip("\"'“”").rstrip(".").strip()
    return chosen or None


def numbers(text: str, limit: int) -> tuple[int, ...] | None:
    """Distinct whole numbers from 1 to `limit` in the text, ascending; `None` where there is none.

    >>> numbers("Sentences [3], [1] and 99", 10)
    (1, 3)
    """
    found = {int(n) for n in re.findall(r"(?<![\w.-])\d{1,6}(?![\w]|\.\d)", text)}
    return tuple(sorted(n for n in found if 1 <= n <= limit)) or None


def json_value(text: str) -> Any | None:
    """The first JSON object or array in the text, in a fence or bare; `None` where there is none.

    >>> json_value('Here: {"nodes": [1]} done')
    {'nodes': [1]}
    """
    decoder = json.JSONDecoder()
    for body in [*_FENCE.findall(text), text]:
        for match in itertools.islice(re.finditer(r"[\[{]", body), _MOST_STARTS):
            try:
                value, _ = decoder.raw_decode(body, match.start())
                canonical(value)
            except (ValueError, RecursionError):
                # Also integers of thousands of digits, and what is too deep to be written again.
                continue
            return value
    return None


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal texts.

    Lone surrogates, which cannot be stored or sent, become question marks.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")


def code_blocks(text: str) -> list[str]:
    """Bodies of fenced blocks; an unclosed last fence counts."""
    return [body.strip("\n") for body in _FENCE.findall(text)]


def numbered(items: Sequence[str]) -> str:
    """Lines `[1] first`, `[2] second`, ..."""
    return "\n".join(f"[{i}] {item}" for i, item in enumerate(items, start=1))
