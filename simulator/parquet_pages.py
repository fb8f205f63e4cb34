"""Whether a Parquet file's pages can be what its footer says, before a library trusts them.

A page whose header counts fewer than no values makes Polars ask for more memory than any machine
has, which ends the process instead of raising. One damaged file in a thousand is such a file.
Reads the footer and the page headers alone (Thrift's compact protocol, as the Parquet format says).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

HEADER = 2**16
"""Bytes in which a page's header must end: counts, sizes, and statistics of two values."""

_DEEPEST = 32
_INT32_MAX = 2**31 - 1


class DamagedError(ValueError):
    """What is wrong with a Parquet file."""


def check_pages(path: Path) -> None:
    """Raises `DamagedError` where a page is out of the file or counts what cannot be, else nothing.

    `OSError` where the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            _check(file, file.seek(0, 2))
        except (IndexError, KeyError, TypeError, AttributeError, struct.error):
            raise DamagedError("its footer or a page's header is damaged") from None


def _check(file: BinaryIO, size: int) -> None:
    if size < 12:
        raise DamagedError("it is too short")
    file.seek(size - 8)
    length = int.from_bytes(file.read(4), "little")
    if file.read(4) != b"PAR1":
        raise DamagedError("it does not end as a Parquet file does")
    if length > size - 12:
        raise DamagedError("its footer is longer than the file")
    file.seek(size - 8 - length)
    footer = _Thrift(file.read(length)).struct()
    rows = 0
    for group in footer.get(4, []):
        rows += _whole(group[3], "rows of a row group")
        for chunk in group[1]:
            if 3 in chunk:
                _check_chunk(file, size - 8 - length, chunk[3])
    if _whole(footer[3], "rows") != rows:
        raise DamagedError(f"it promises {footer[3]:,} rows, and its row groups {rows:,}")


def _check_chunk(file: BinaryIO, end: int, chunk: dict[int, Any]) -> None:
    """Walk the pages of one column in one row group; they end before `end`."""
    left = _whole(chunk[5], "values of a column")
    first = _whole(chunk[9], "place of a column")
    at = min(first, _whole(chunk.get(11, first), "place of a dictionary") or first)
    end = min(end, at + _whole(chunk[7], "size of a column"))
    while left > 0:
        if at >= end:
            raise DamagedError(f"a column lacks {left:,} of its values")
        file.seek(at)
        read = _Thrift(file.read(min(HEADER, end - at)))
        page = read.struct()
        body = _whole(page[3], "size of a page")
        _whole(page[2], "size of a page", _INT32_MAX)
        at += read.at + body
        if at > end:
            raise DamagedError("a page reaches past its column")
        for kind in (5, 7, 8):
            if kind in page:
                count = _whole(page[kind][1], "values of a page", _INT32_MAX)
                if kind != 7 and count > left:
                    raise DamagedError("a column's pages hold more values than it has")
                left -= 0 if kind == 7 else count
                if kind == 8:
                    for part in (2, 3, 5, 6):
                        _whole(page[8][part], "counts of a page", max(count, body))


def _whole(value: Any, what: str, most: int = 2**62) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise DamagedError(f"the number of {what} is {value!r}")
    return value


class _Thrift:
    """Reads one value after the other; structs are mappings of field numbers."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while True:
            head = self._byte()
            if head == 0:
                return fields
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 15, depth)

    def _value(self, kind: int, depth: int, *, listed: bool = False) -> Any:
        if depth > _DEEPEST:
            raise DamagedError("its footer is nested too deeply")
        if kind in (1, 2):
            return self._byte() == 1 if listed else kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return struct.unpack("<d", self._take(8))[0]
        if kind == 8:
            return self._take(self._varint())
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            if count > len(self.data):
                raise DamagedError("a list of its footer is longer than the footer")
            return [self._value(head & 15, depth + 1, listed=True) for _ in range(count)]
        if kind == 12:
            return self.struct(depth + 1)
        raise DamagedError(f"its footer has a value of the unknown kind {kind}")

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise DamagedError("its footer ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 64:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise DamagedError("its footer has a number of more than 64 bits")

    def _signed(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
