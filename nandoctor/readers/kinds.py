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
_SAME = 256  # letters
_PAIR = re.compile(rb"\n(?<=\r\n)")  # three times as fast as a search for both bytes


def keys_of(chunk: bytes, pairs: bool = False) -> list[bytes]:
    """The key of every line of the chunk; `pairs` if there are line ends \\r\\n in it.

    A \\r counts as a line end of its own, because what stands between it and a \\n may be dropped.
    """
    return _lines(_letters(chunk, pairs), chunk)


def _letters(chunk: bytes, pairs: bool) -> bytes:
    if pairs:
        chunk = chunk.replace(b"\r\n", b"\n")
    return chunk.translate(LOWER, DROPPED)


def _lines(letters: bytes, chunk: bytes) -> list[bytes]:
    keys = letters.splitlines()
    if chunk[-1:] not in b"\r\n" and letters[-1:] in b"\n":
        keys.append(b"")  # an unfinished last line without letters
    return keys


class Keys:
    """The keys of a chunk's lines.

    Most chunks of a big log are a few lines again and again. Then only the first of them are looked at.

    Attributes:
        kinds: the distinct keys.
        lines: the number of lines.
    """

    __slots__ = ("_chunk", "_letters", "_list", "kinds", "lines")

    def __init__(self, chunk: bytes, pairs: bool = False) -> None:
        self._chunk = chunk
        self._letters = letters = _letters(chunk, pairs)
        self._list: list[bytes] | None = None
        period = letters.find(b"\n" + letters[:_SAME]) + 1
        if period and chunk[-1:] in b"\r\n" and letters.startswith(letters[:-period], period):
            self.kinds = set(letters[:period].splitlines())
            self.lines = letters.count(b"\n")
        else:
            self.kinds = set(self.in_order)
            self.lines = len(self.in_order)

    @property
    def in_order(self) -> list[bytes]:
        """The key of every line."""
        if self._list is None:
            self._list = _lines(self._letters, self._chunk)
        return self._list


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
