"""Big logs: only what matters is parsed, in one pass and constant memory.

Of every chunk the kinds of its lines are computed (two sweeps at memory speed). A kind never seen before (a NaN, a
warning, a new program's lines) has its chunk parsed in full, with those around it; so have the beginning and the end.
Of all other chunks the values of the main loss are read, and of each window its first lines and those around the
smallest and the largest loss are parsed, so that peaks survive. Beyond `ALL_VALUES` the losses of one chunk in three
are read: a peak of a few lines may be missed there, one whose number needs an exponent (or is no number) is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import isfinite

import msgspec

from nandoctor.readers.collect import Gathered
from nandoctor.readers.dialect import NUMBER, number
from nandoctor.readers.kinds import has_pairs, keys_of
from nandoctor.readers.log import LogReader
from nandoctor.readers.runstate import LOSSES

SMALL = 2 << 20  # bytes; a file up to this is parsed completely
HEAD = 1 << 18  # bytes of a big file that are parsed before scanning
WINDOW, WIDE = 8, 32  # chunks; the second in what is beyond `ALL_VALUES`
BEFORE, AFTER, END = 2, 1, 4  # chunks parsed in full before and after what is new, and at the end
LEARN = 300  # chunks parsed because of lines of an unknown kind that look harmless
MANY = 48  # new kinds in one chunk: the log is full of names, look at the chunk as a whole
ABOVE, BELOW = 3_000, 1_500  # bytes parsed before and after a place of interest
ALL_VALUES = 32 << 20  # bytes; from there on the losses of every third chunk are read
MIN_NEEDLE = 5  # letters of an event's literal that are worth a search
LOOK_FOR_PAIRS = 4  # chunks: in one of so many line ends \r\n are looked for, beside all that are parsed
MAX_SEEN = 200_000
_NONFINITE = rf"(?<![\w.])(?=[-+]?[nNiI]){NUMBER}"  # compiled when a log is full of names


class _Piece(msgspec.Struct, frozen=True):
    """A chunk not parsed yet. `values`: the main loss in it; `bad`: how many of them are not finite."""

    chunk: bytes
    lines: int
    values: list[float]
    bad: int


class Scanner:
    """Feeds a `LogReader` with what matters of a big log."""

    def __init__(self, reader: LogReader) -> None:
        self.reader = reader
        self._seen: set[bytes] = set()
        self._pending: list[_Piece] = []
        self._follow = 0  # chunks still to be parsed in full
        self._learned = 0
        self._bytes = 0
        self._chunks = 0
        self._needles: tuple[tuple[bytes, bytes], ...] = ()  # literals of events: their letters, and as they are
        self._values: Callable[[bytes], list[bytes]] | None = None
        self._finditer: Callable[[bytes], Iterator[re.Match[bytes]]] | None = None
        self._main: Gathered | None = None
        self._scanning = False

    def head(self, chunk: bytes) -> None:
        """A chunk of the beginning: parsed in full, its kinds remembered."""
        self.reader.feed(chunk)
        self._seen.update(keys_of(chunk, self.reader.pairs))

    def feed(self, chunk: bytes) -> None:
        """The next chunk."""
        if not self._scanning:
            if self.reader.in_dump:
                self.head(chunk)
                return
            self._prepare()
        self._chunks += 1
        if not self.reader.pairs and self._chunks % LOOK_FOR_PAIRS == 1 and b"\r" in chunk:
            self.reader.pairs = has_pairs(chunk)
        keys = keys_of(chunk, self.reader.pairs)
        kinds = set(keys)
        new = kinds - self._seen
        matters = bool(new) and self._matters(new, chunk, keys)
        if matters or self._follow or kinds & self.reader.border_keys:
            if matters or not self._follow:
                self._flush(len(self._pending) - BEFORE)
                self._follow = AFTER + 1
            self._parse_pending()
            self.reader.feed(chunk)
            self._follow -= 1
            self._see(kinds)
            self._learn_main()
            return
        self._see(new)
        self.reader.count_events(kinds, keys)
        self._bytes += len(chunk)
        skipped = self._bytes > ALL_VALUES and len(self._pending) % 3
        values = [] if skipped else self._losses(chunk)
        bad = 0 if isfinite(sum(values)) else len(values) - sum(map(isfinite, values))
        self._pending.append(_Piece(chunk, len(keys), values, bad))
        if len(self._pending) >= self._window + END:
            self._flush(self._window)

    def finish(self) -> None:
        """The end of the file: its last chunks are parsed in full."""
        self._flush(len(self._pending) - END)
        self._parse_pending()

    @property
    def _window(self) -> int:
        return WIDE if self._bytes > ALL_VALUES else WINDOW

    # --- what matters

    def _prepare(self) -> None:
        self._scanning = True
        events = self.reader.lexicon.events
        literals = {event.needs.encode() for event in events}
        words = {b"".join(keys_of(word.encode())) for event in events if not event.needs for word in event.needs_any}
        letters = ((b"".join(keys_of(literal)), literal) for literal in sorted(literals))
        needles = [*letters, *((word, b"") for word in sorted(words))]  # a word in any case: its letters must do
        self._needles = tuple(pair for pair in needles if len(pair[0]) >= MIN_NEEDLE)
        self._learn_main()

    def _see(self, kinds: Iterable[bytes]) -> None:
        if len(self._seen) > MAX_SEEN:
            self._seen.clear()
        self._seen.update(kinds)

    def _matters(self, new: set[bytes], chunk: bytes, keys: list[bytes]) -> bool:
        """Whether lines of these new kinds can hold a number that is not finite, an event, or numbers not known yet."""
        if len(new) <= MANY and self._learned < LEARN:
            self._learned += 1
            return True
        joined = b"\n".join(new)
        if any(letters in joined and literal in chunk for letters, literal in self._needles):
            return True
        if b"nan" not in joined and b"inf" not in joined:
            return False
        lines = chunk.splitlines()
        search = re.compile(_NONFINITE).search
        return any(
            search(lines[i].decode("utf-8", "replace"))
            for i, key in enumerate(keys)
            if key in new and (b"nan" in key or b"inf" in key)
        )

    # --- the main loss

    def _learn_main(self) -> None:
        """Which series is the main loss, and the words in front of its numbers."""
        run = self.reader.run
        if self._main is not None and self._values is not None and self._main in run.series.values():
            return
        best: tuple[int, int, Gathered, bytes] | None = None
        for shapes in run.shapes.values():
            for shape in shapes:
                for gathered, words in shape.words.items():
                    if gathered.role not in LOSSES or len(words) < 4:
                        continue
                    rank = (-LOSSES.index(gathered.role), gathered.count + len(gathered.items))
                    if best is None or rank > best[:2]:
                        best = (*rank, gathered, words)
        self._main, self._values, self._finditer = None, None, None
        if best is not None:
            self._main = best[2]
            regex = re.compile(re.escape(best[3]) + rb"[ \t]*([^\s,;'\")\]}(*|]+)")
            self._values, self._finditer = regex.findall, regex.finditer

    def _losses(self, chunk: bytes) -> list[float]:
        if self._values is None:
            return []
        found = self._values(chunk)
        try:
            return list(map(float, found))
        except ValueError:
            values = []
            for text in found:
                try:
                    values.append(number(text.decode("utf-8", "replace")))
                except ValueError:
                    continue
            return values

    # --- parsing

    def _parse_pending(self) -> None:
        """Parses the chunks that wait, in full."""
        for piece in self._pending:
            self.reader.feed(piece.chunk)
        self._pending = []

    def _flush(self, count: int) -> None:
        """Parses of the oldest `count` chunks only the first lines and those around smallest and largest loss."""
        if count <= 0:
            return
        pieces, self._pending = self._pending[:count], self._pending[count:]
        for start in range(0, len(pieces), self._window):
            self._sample(pieces[start : start + self._window])

    def _sample(self, pieces: list[_Piece]) -> None:
        """Parses a window's first lines and those around its smallest and largest loss."""
        low: tuple[float, int, int] | None = None
        high: tuple[float, int, int] | None = None
        for i, piece in enumerate(pieces):
            values = piece.values
            if piece.bad:
                values = [v for v in values if isfinite(v)]
            if not values:
                continue
            smallest, largest = min(values), max(values)
            if low is None or smallest < low[0]:
                low = smallest, i, piece.values.index(smallest)
            if high is None or largest > high[0]:
                high = largest, i, piece.values.index(largest)
        main = self._main
        held = main.held if main is not None else 0
        for i, piece in enumerate(pieces):
            wanted = sorted({found[2] for found in (low, high) if found is not None and found[1] == i})
            offsets = [] if i else [0]
            offsets += [self._offset(piece.chunk, at) for at in wanted]
            self._slices(piece, offsets)
        if main is not None:
            parsed = main.held - held
            total = sum(len(piece.values) for piece in pieces)
            every = len(pieces) / max(1, sum(bool(piece.values) for piece in pieces))
            main.passed(max(0, round(total * every) - parsed), round(sum(piece.bad for piece in pieces) * every))

    def _offset(self, chunk: bytes, index: int) -> int:
        """Where the loss of this number stands in the chunk."""
        assert self._finditer is not None
        match = next(islice(self._finditer(chunk), index, None), None)
        return match.start() if match is not None else 0

    def _slices(self, piece: _Piece, offsets: list[int]) -> None:
        """Parses the lines around these places of the chunk, leaves out the rest."""
        chunk = piece.chunk
        lines = at = 0
        for offset in offsets:
            start = max(at, _line_start(chunk, max(0, offset - ABOVE)))
            end = _line_start(chunk, min(len(chunk), offset + BELOW))
            if end <= start:
                continue
            left_out = len(chunk[at:start].splitlines())
            self.reader.skip(left_out)
            part = chunk[start:end]
            before = self.reader.line
            self.reader.feed(part)
            lines += left_out + self.reader.line - before
            at = end
        self.reader.skip(piece.lines - lines)


def _line_start(chunk: bytes, offset: int) -> int:
    """The first line start at or after `offset`."""
    if offset <= 0 or offset >= len(chunk):
        return max(0, min(offset, len(chunk)))
    end = chunk.find(b"\n", offset - 1)
    return len(chunk) if end < 0 else end + 1
