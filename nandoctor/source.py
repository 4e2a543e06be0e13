"""Where something was read: file, line, column; and how that looks in a message."""

from __future__ import annotations

import bisect
import unicodedata

import msgspec


class Location(msgspec.Struct, frozen=True, order=True):
    """A place in an input. `line` and `column` are 1-based; 0 means unknown. Lines end at \\n, \\r\\n or a lone \\r."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        text = printable(self.file)
        if self.line:
            text += f":{self.line}"
            if self.column:
                text += f":{self.column}"
        return text


class LineIndex:
    """Offsets of line starts of a text, for offset -> (line, column). Lines end at \\n, \\r\\n or a lone \\r."""

    def __init__(self, text: str) -> None:
        starts = [0]
        if "\r" in text:
            import re

            starts += [match.end() for match in re.finditer(r"\r\n|\r|\n", text)]
        else:
            at = text.find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = text.find("\n", at + 1)
        self._starts = starts
        self._text = text

    def line_column(self, offset: int) -> tuple[int, int]:
        """1-based line and column (in characters) of a 0-based character offset."""
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line_text(self, line: int) -> str:
        """The text of a 1-based line without its end."""
        start = self._starts[line - 1]
        end = self._starts[line] if line < len(self._starts) else len(self._text)
        return self._text[start:end].rstrip("\r\n")


def significant(value: float, digits: int = 3) -> str:
    """A finite number with so many significant digits and an exponent without padding: `2.3`, `1e38`."""
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def printable(text: str) -> str:
    """`text` with control and format characters (escapes, bidi marks, NUL) replaced by U+FFFD or dropped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else " " if char in "\t\n\r" else "\ufffd"
        for char in text
        if unicodedata.category(char) not in ("Cf", "Cs") or char in "\t\n\r"
    )


def snippet(line: str, column: int, width: int = 72) -> str:
    """The line with a caret under `column` (1-based), cut to `width` around it. Two text lines."""
    line = printable(line)
    start = max(0, column - 1 - width * 3 // 4)
    shown = line[start : start + width]
    return f"{shown}\n{' ' * (column - 1 - start)}^"
