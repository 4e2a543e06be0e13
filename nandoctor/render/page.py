"""Lines of a terminal page: spans with a style, aligned by display width, coloured only at the very end."""

from __future__ import annotations

from typing import Literal

from nandoctor.render.width import cut, cut_left, display_width, pad, wrap
from nandoctor.render.words import clean

Style = Literal["", "bold", "dim", "red", "green", "yellow", "cyan", "bold red", "bold green", "bold yellow"]
Span = tuple[str, Style]

SGR: dict[str, str] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}
ASCII = str.maketrans("·…×┊–—“”’", '-~x:--""\'')
NARROW = 80  # below this, places stand on a line of their own


class Page:
    """Collects lines of at most `width` columns. Code and patches are the exception: they are there to be copied."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._lines: list[list[Span]] = []

    @property
    def lines(self) -> tuple[tuple[Span, ...], ...]:
        """The lines as spans, for a view that paints them itself; no blank ones at the end."""
        end = len(self._lines)
        while end and not self._lines[end - 1]:
            end -= 1
        return tuple(map(tuple, self._lines[:end]))

    def line(self, *spans: Span) -> None:
        """A line as it is, but for control characters: whatever reaches the terminal passes here."""
        self._lines.append([(clean(text), style) for text, style in spans if text])

    def blank(self) -> None:
        """An empty line, never two in a row and none at the top."""
        if self._lines and self._lines[-1]:
            self._lines.append([])

    def heading(self, text: str, right: str = "") -> None:
        """A section's name, with column titles at the right edge."""
        self.blank()
        room = self.width - display_width(right) - 2
        if right and display_width(text) > room:
            right = ""
        for first, line in enumerate(wrap(text, self.width if not right else room)):
            self.line((line, "bold"))
            if right and not first:
                gap = self.width - display_width(line) - display_width(right)
                self._lines[-1] += [(" " * gap, ""), (right, "dim")]

    def text(self, text: str, indent: int = 0, style: Style = "", label: str = "", label_width: int = 0) -> None:
        """Wrapped text with an indent and, in front of its first line, a label."""
        inner = indent + (label_width + 2 if label_width else 0)
        for n, line in enumerate(wrap(text, self.width - inner)):
            head = pad(label, label_width + 2) if label_width and not n else " " * (inner - indent)
            self.line((" " * indent, ""), (head, "dim"), (line, style))

    def row(
        self, text: str, right: str, *, indent: int, label: str = "", label_width: int = 0,
        place: str = "", place_width: int = 0, right_width: int = 0, style: Style = "", one_line: bool = False,
    ) -> None:  # fmt: skip
        """Label, wrapped text, place, and a short right column. Narrow pages put the place under the text.

        `one_line` cuts the text instead of wrapping it: for what the page has said in full before.
        """
        start = indent + (label_width + 2 if label_width else 0)
        tail = right_width + 2 if right_width else 0
        beside = place_width > 0 and self.width >= NARROW
        room = self.width - start - tail - (place_width + 2 if beside else 0)
        lines = [cut(text, room)] if one_line else wrap(text, room)
        after = bool(place) and not beside and display_width(lines[-1]) + 2 + display_width(place) <= room
        for n, line in enumerate(lines):
            head = pad(label, label_width + 2) if label_width and not n else " " * (start - indent)
            spans: list[Span] = [(" " * indent, ""), (head, "dim"), (line, style)]
            used = display_width(line)
            if after and n == len(lines) - 1:
                spans.append(("  " + place, "cyan"))
                used += 2 + display_width(place)
            if not n and (right or (beside and place)):
                spans.append((" " * (room - used), ""))
                if beside:
                    spans += [("  ", ""), (pad(cut_left(place, place_width), place_width), "cyan")]
                spans.append((pad(right, tail, right=True), ""))
            self.line(*spans)
        if place and not beside and not after:
            self.line((" " * start, ""), (cut_left(place, self.width - start), "cyan"))

    def code(self, text: str, indent: int) -> None:
        """Code as it is, never wrapped."""
        for line in text.rstrip("\n").split("\n"):
            self.line((" " * indent, ""), (line, "cyan"))

    def change(self, sign: str, text: str, indent: int, place: str = "", place_width: int = 0) -> None:
        """A `-` or `+` line of an edit, cut to the page, with its place at the right."""
        beside = bool(place) and self.width >= NARROW
        room = self.width - indent - 2 - (place_width + 2 if beside else 0)
        shown = cut(text, room)
        spans: list[Span] = [(" " * indent, ""), (f"{sign} {shown}", "red" if sign == "-" else "green")]
        if beside:
            gap = room - display_width(shown)
            spans += [(" " * (gap + 2), ""), (cut_left(place, place_width), "cyan")]
        self.line(*spans)

    def render(self, *, colour: bool, ascii_only: bool) -> str:
        """The page as text, lines without trailing blanks."""
        while self._lines and not self._lines[-1]:
            self._lines.pop()
        out = []
        for spans in self._lines:
            plain = "".join(text for text, _ in spans)
            if not colour:
                out.append(plain.rstrip())
                continue
            end = len(plain.rstrip())
            painted, at = [], 0
            for text, style in spans:
                kept = text[: max(0, end - at)]
                at += len(text)
                codes = ";".join(SGR[word] for word in style.split())
                painted.append(f"\x1b[{codes}m{kept}\x1b[0m" if codes and kept.strip() else kept)
            out.append("".join(painted))
        text = "\n".join(out).replace("\u00a0", " ") + "\n"
        return text.translate(ASCII) if ascii_only else text
