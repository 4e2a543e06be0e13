"""Width of text on a terminal, and lines broken where Latin, Chinese and Korean allow it.

East Asian wide and full-width characters take two columns, combining marks none, everything else one; braille and
box-drawing characters are narrow (Unicode Standard Annex 11). Ambiguous characters count as one, as terminals do.
"""

from __future__ import annotations

import unicodedata

# Characters that may not begin or end a line (the common core of JIS X 4051 and GB/T 15834).
NOT_FIRST = frozenset("，。、；：？！）》」』】〉…％,.;:?!)]}%’”·")
NOT_LAST = frozenset("（《「『【〈([{‘“")


def display_width(text: str) -> int:
    """Columns that `text` takes; it holds no control characters."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if char < "\u0300":
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """`text`, shortened at its end to `width` columns; the ellipsis shows that something is missing."""
    if display_width(text) <= width:
        return text
    kept = _fitting(text, width - display_width(ellipsis))
    return "" if kept is None else kept + ellipsis


def cut_left(text: str, width: int, ellipsis: str = "…") -> str:
    """`text`, shortened at its beginning: of a path, the end tells more."""
    if display_width(text) <= width:
        return text
    kept = _fitting(text[::-1], width - display_width(ellipsis))
    return "" if kept is None else ellipsis + kept[::-1]


def _fitting(text: str, room: int) -> str | None:
    """The beginning of `text` that fits into `room` columns; None if there is not even room for nothing."""
    if room < 0:
        return None
    used = 0
    for at, char in enumerate(text):
        used += _char_width(char)
        if used > room:
            return text[:at]
    return text


def pad(text: str, width: int, *, right: bool = False) -> str:
    """`text` with spaces up to `width` columns, on the left if `right` (aligned to the right)."""
    space = " " * max(0, width - display_width(text))
    return space + text if right else text + space


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns, at least one line.

    Breaks at spaces and between Chinese characters, never before closing or after opening punctuation; Korean words
    stay whole, no-break spaces hold. A word longer than a line is broken anywhere. Line ends in `text` are kept.
    """
    width = max(width, 2)
    lines = []
    for paragraph in text.split("\n"):
        lines += _wrap_paragraph(paragraph, width)
    return lines


def _wrap_paragraph(text: str, width: int) -> list[str]:
    if display_width(text) <= width:
        return [text.rstrip()]
    lines: list[str] = []
    line, used, gap = "", 0, ""
    for unit in _units(text):
        if unit.isspace() and unit != "\u00a0":
            gap = " " if line else ""
            continue
        size = display_width(unit)
        if line and used + len(gap) + size > width:
            lines.append(line)
            line, used, gap = "", 0, ""
        line, used, gap = line + gap + unit, used + len(gap) + size, ""
        while used > width:
            head = cut(line, width, "")
            lines.append(head)
            line = line[len(head) :]
            used = display_width(line)
    if line:
        lines.append(line)
    return lines


def _units(text: str) -> list[str]:
    """Runs that stay together: words, single ideographs with the punctuation that belongs to them, spaces."""
    units: list[str] = []
    glue = True  # nothing to break before the first character
    for char in text:
        if char.isspace() and char != "\u00a0":
            units.append(char)
            glue = True
            continue
        if not units or (units[-1].isspace() and units[-1] != "\u00a0"):
            units.append(char)
        elif glue or char in NOT_FIRST or not (_breaks(char) or _breaks(units[-1][-1])):
            units[-1] += char
        else:
            units.append(char)
        glue = char in NOT_LAST
    return units


def _breaks(char: str) -> bool:
    """Whether a line may end before or after this character inside a word: ideographs and kana, not Hangul."""
    if char < "\u2e80":
        return False
    hangul = "\uac00" <= char <= "\ud7af" or "\u3130" <= char <= "\u318f"
    return not hangul and unicodedata.east_asian_width(char) in "WF"
