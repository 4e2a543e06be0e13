"""Scalar values of the protobuf text format: words, numbers and strings as Python values."""

from __future__ import annotations

import math
import re

NONFINITE = {"inf": float("inf"), "infinity": float("inf"), "nan": float("nan")}
# Compiled when a string holds a backslash.
_ESCAPE = rb"\\(?:([abfnrtv\\'\"?])|[xX]([0-9a-fA-F]{1,2})|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
_SHORT_ESCAPE = r"(?s)\\(?:([xX]([0-9a-fA-F]{1,2})$|([0-7]{1,2})$)|.)"
_SIMPLE = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))


class Enum(str):
    """A bare identifier as a value, e.g. TRAIN. Equal to the same text as a string."""

    __slots__ = ()


def word_value(word: str) -> bool | float | Enum:
    """true and false, inf and nan in any case; every other word is an enum name."""
    if word == "true":
        return True
    if word == "false":
        return False
    lower = word.lower()
    return NONFINITE[lower] if lower in NONFINITE else Enum(word)


def number_value(lump: str) -> int | float | None:
    """The number a literal means; None for a malformed one (08). Integers beyond 64 bits become floats."""
    digits = lump.lstrip("-")
    sign = -1 if lump[0] == "-" else 1
    try:
        if digits[:2] in ("0x", "0X"):
            whole = int(digits[2:].rstrip("uUlL"), 16)
        else:
            digits = digits.rstrip("fFuUlL")
            if not digits.isdigit() or len(digits) > 20 or lump[-1] in "fF":
                return sign * float(digits)
            whole = int(digits, 8 if digits[0] == "0" else 10)
    except ValueError:
        return None
    if whole < 1 << 64:
        return sign * whole
    return sign * (float(whole) if whole.bit_length() < 1000 else math.inf)


def joined(bodies: list[str]) -> str:
    """Adjacent strings as one; a short escape at an end must not swallow digits of the next."""
    return "".join(re.sub(_SHORT_ESCAPE, _padded_escape, body) if "\\" in body else body for body in bodies)


def _padded_escape(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]  # an escaped character, a backslash among them
    return "\\%03o" % (int(match[2], 16) if match[2] else int(match[3], 8))


def unescaped(body: str) -> str:
    """A string without its escapes, which are bytes of UTF-8; an unknown one stays as it is, as in `D:\\data`."""
    if "\\" not in body:
        return body
    try:
        raw = body.encode("utf-8", "surrogateescape")  # bytes that were no UTF-8 in the file
    except UnicodeEncodeError:
        raw = body.encode("utf-8", "surrogatepass")
    return re.sub(_ESCAPE, _escape, raw).decode("utf-8", "surrogateescape")


def _escape(match: re.Match[bytes]) -> bytes:
    if match[1]:
        char = match[1][0]
        return bytes((_SIMPLE.get(char, char),))
    if match[2] or match[3]:
        return bytes(((int(match[2], 16) if match[2] else int(match[3], 8)) & 0xFF,))
    point = int(match[4] or match[5], 16)
    return chr(point).encode("utf-8", "surrogatepass") if point <= 0x10FFFF else match[0]
