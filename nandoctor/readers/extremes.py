"""Numbers outside a range, found in text without reading every number.

A curve of millions of readings has few that lie above or below all before them. A regex tells them by their digits, at
the speed of a search for the words in front of the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from math import isfinite

Search = Callable[[bytes], "re.Match[bytes] | None"]
_ANY = r"[-+.\d]"
_ZERO = r"0(?:\.0*+)?(?![.\d])"


class Extremes:
    """The range of the numbers read so far, and a search for numbers outside of it.

    `words` is what stands in front of every number. `search` finds every number above the next number of two
    significant digits after the largest one so far (2.51 -> 2.6), or below the two digits of the smallest (2.51 ->
    2.5); what it finds may also be within. It looks at no exponents: `2.5e9` is taken for 2.5.
    """

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._low: float | None = None
        self._high = 0.0
        self.search: Search | None = None  # None before the first number

    def widen(self, values: list[float]) -> None:
        """These numbers were read."""
        finite = values if isfinite(sum(values)) else [value for value in values if isfinite(value)]
        if not finite:
            if values and self.search is None:
                self.search = _compiled(self._words, _ANY)
            return
        low, high = min(finite), max(finite)
        if self._low is not None:
            if low >= self._low and high <= self._high:
                return
            low, high = min(low, self._low), max(high, self._high)
        self._low, self._high = low, high
        self.search = _compiled(self._words, outside(low, high))


@lru_cache(maxsize=256)  # the ranges of neighbouring windows of a log are often the same to two digits
def _compiled(words: bytes, number: str) -> Search:
    return re.compile(re.escape(words) + rb"[ \t]*+" + number.encode()).search


def outside(low: float, high: float) -> str:
    """A regex for the printed numbers whose first digits do not prove that they are within [low, high].

    Within is what begins with digits from the first two of `low` to the first two of `high`.
    """
    inside = _within(max(low, 0.0), high) if high >= 0 else []
    if low < 0:
        inside += ["-" + number for number in _within(max(-high, 0.0), -low)]
    return f"(?!{'|'.join(inside)}){_ANY}"


def _within(low: float, high: float) -> list[str]:
    """Beginnings of the numbers from `low` to `high`, neither negative. The likely ones come first."""
    if high == 0:
        return [_ZERO]
    c, d, top = _first_digits(high)
    if low == 0:
        return [*_smaller(top), *_decimals(top, 1, c - 1), *_decimals(top, c, c, 0, d), _ZERO]
    a, b, bottom = _first_digits(low)
    if (a, bottom) == (c, top):
        return _decimals(top, a, a, b, d)
    ends = [*_decimals(bottom, a, a, b), *_decimals(top, c, c, 0, d)]
    if bottom == top:
        return [*_decimals(top, a + 1, c - 1), *ends]
    return [*_between(bottom + 1, top - 1), *_decimals(bottom, a + 1), *_decimals(top, 1, c - 1), *ends]


def _first_digits(value: float) -> tuple[int, int, int]:
    """First and second significant digit and the power of ten."""
    text = f"{value:.12e}"
    return int(text[0]), int(text[2]), int(text[15:])


def _decimals(power: int, low: int, high: int = 9, second_low: int = 0, second_high: int = 9) -> list[str]:
    """The numbers of a power of ten whose first and second digit are in these ranges."""
    if low > high:
        return []
    first, second = _digit(low, high), _digit(second_low, second_high)
    if power > 0:
        more = rf"\d{{{power - 1}}}" if power > 1 else ""
        return [rf"{first}{second}{more}(?!\d)"]
    lead = first if power == 0 else rf"0\.{'0' * (-power - 1)}{first}"
    if (second_low, second_high) == (0, 9):
        return [rf"{lead}(?!\d)" if power == 0 else lead]
    bare = [] if second_low else [rf"{lead}(?![.\d])"]  # the second digit is not printed
    return [rf"{lead}\.{second}" if power == 0 else f"{lead}{second}", *bare]


def _between(bottom: int, top: int) -> list[str]:
    """All numbers of these powers of ten."""
    found = [r"[1-9](?!\d)"] if bottom <= 0 <= top else []
    if top > 0 and bottom <= top:
        found.append(rf"[1-9]\d{{{max(bottom, 1)},{top}}}(?!\d)")
    if bottom < 0 and bottom <= top:
        found.append(rf"0\.0{{{max(-top, 1) - 1},{-bottom - 1}}}[1-9]")
    return found


def _smaller(power: int) -> list[str]:
    """All positive numbers of smaller powers of ten, some zeros among them."""
    if power > 0:
        return [rf"\d{{1,{power}}}(?!\d)"]
    return [rf"0\.{'0' * -power}\d"]


def _digit(low: int, high: int) -> str:
    return str(low) if low == high else f"[{low}-{high}]"
