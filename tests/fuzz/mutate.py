"""Damage: valid bytes, texts and structures with a few things wrong.

Valid input with one to four faults reaches far deeper into a reader than noise does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

HUGE = "9" * 5000
"""Python refuses to read an integer of so many digits from text: a `ValueError` of its own."""

NASTY: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2, -0.0, 0.5, 1e308, -1e308, float("nan"), float("inf"),
    float("-inf"), 2**31, 2**63, -(2**63), 2**64, 10**30, "", " ", "\n", "a\nb", "\x00", "\u2028",
    "\x1b[31m", "ü", "\ud800", "💥", "nan", "-inf", "1e999", "0x10", "²", "..", "../../etc/passwd",
    "/dev/null", "a" * 300, "{}", "[", "null", [], [[]], [None], [1, "a"], {}, {"": None},
    {"a": {"b": []}}, ["x"] * 50,
)  # fmt: skip

TOKENS: Sequence[bytes] = (
    b"", b"\x00", b"\n", b"\r\n", b"\n\n", b" ", b"\t", b'"', b"'", b",", b";", b":", b"=", b"[",
    b"]", b"{", b"}", b"[[", b"]]", b"#", b"\\", b"\\u0000", b"\\ud800", b"\xff", b"\xfe\xff",
    b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"nan", b"NaN", b"inf", b"-Infinity", b"-1", b"0", b"1e999",
    b"1e308", b"null", b"true", b"1979-05-27", b"0x10", b"1_000", b"2147483648",
    b"9223372036854775808", HUGE.encode(), b"[" * 3000, b"{" * 200, b'{"a":' * 2000, b"..",
    b"../", b"a" * 5000, b" " * 3000, b"\n" * 3000, b"```", b"<think>", b'""', b'"""',
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, sound: bytes, *, most: int = 4) -> bytes:
    """Bytes with one to `most` faults: flipped, cut, repeated, moved, overwritten, inserted."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, most))):
        size = len(data)
        at = draw(st.integers(0, max(0, size - 1)))
        kind = draw(st.integers(0, 7))
        length = draw(st.integers(1, 40))
        if kind == 0 and size:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == 1 and size:
            data[at] = draw(st.integers(0, 255))
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length] * draw(st.integers(1, 3))
        elif kind == 4:
            data[at:at] = draw(st.sampled_from(TOKENS))
        elif kind == 5:
            data[at : at + length] = draw(st.sampled_from(TOKENS))
        elif kind == 6:
            del data[at:]
        else:
            other = draw(st.integers(0, max(0, size - 1)))
            piece = data[at : at + length]
            data[at : at + length] = data[other : other + length]
            data[other : other + length] = piece
    return bytes(data)


@st.composite
def garbled(draw: st.DrawFn, sound: str, *, most: int = 4) -> str:
    """Text with one to `most` faults, lone surrogates among them."""
    data = draw(damaged(sound.encode(), most=most))
    return data.decode("utf-8", draw(st.sampled_from(("replace", "ignore", "surrogateescape"))))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every part of nested lists and mappings, the whole among them."""
    found = [path]
    if isinstance(value, Mapping):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*path, index))
    return found


@st.composite
def twisted(draw: st.DrawFn, sound: Any, *, most: int = 3, keep_top: bool = True) -> Any:
    """Plain data with one to `most` parts replaced, left out, doubled, wrapped or renamed."""
    value = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, most))):
        paths = places(value)[1 if keep_top else 0 :]
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        nasty = copy.deepcopy(draw(st.sampled_from(NASTY)))
        if not path:
            return nasty
        holder = value
        for step in path[:-1]:
            holder = holder[step]
        last = path[-1]
        kind = draw(st.integers(0, 6))
        if kind <= 2:
            holder[last] = nasty
        elif kind == 3:
            del holder[last]
        elif kind == 4:
            holder[last] = [holder[last]]
        elif isinstance(holder, list):
            holder.insert(last, copy.deepcopy(holder[last]) if kind == 5 else nasty)
        elif kind == 5:
            holder[str(nasty)[:20]] = holder.pop(last)
        else:
            holder[f"{last}x"] = nasty
    return value
