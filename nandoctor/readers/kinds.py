"""Kinds of lines: told apart by their letters.

The letters of a line are its key. A number that turns into `nan` changes the letters; other numbers do not.
"""

from __future__ import annotations

import re

from nandoctor.readers.dialect import Block, Event, Line

# A key is the line's letters in lower case. Bytes of drawn bars (U+2500 to U+259F) go, other scripts stay.
LOWER = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ\r", b"abcdefghijklmnopqrstuvwxyz\n")
DROPPED = (
    bytes(c for c in range(256) if not (chr(c).isalpha() and c < 128) and not c >= 0xA0 and c not in b"\n\r(") + b"\xe2"
)
_PAIR = re.compile(rb"\n(?<=\r\n)")  # three times as fast as a search for both bytes


def keys_of(chunk: bytes, pairs: bool = False) -> list[bytes]:
    """The key of every line of the chunk; `pairs` if there are line ends \\r\\n in it.

    A \\r counts as a line end of its own, because what stands between it and a \\n may be dropped.
    """
    if pairs:
        chunk = chunk.replace(b"\r\n", b"\n")
    letters = chunk.translate(LOWER, DROPPED)
    keys = letters.splitlines()
    if chunk[-1:] not in b"\r\n" and letters[-1:] in b"\n":
        keys.append(b"")  # an unfinished last line without letters
    return keys


def has_pairs(chunk: bytes) -> bool:
    """Whether a line of the chunk ends in \\r\\n."""
    return _PAIR.search(chunk) is not None


class Kind:
    """What is known of lines with one key. `border`: they open or close something and are read in order."""

    __slots__ = ("block", "border", "events", "lines", "tries", "unswept")

    def __init__(self) -> None:
        self.block: Block | None = None  # the dump that begins after such a line
        self.lines: list[Line] = []
        self.events: list[Event] = []
        self.tries = 0
        self.border = False
        self.unswept = 0  # lines that fitted no shape
