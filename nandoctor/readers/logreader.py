"""Reads one log line by line, or many lines at a time.

Recognition is per line. The letters of a line (its key) tell the kinds of lines apart: the first line of a kind is held
against all patterns, the following ones only against the pattern that took the first, and many at a time where their
shape is known. A number that turns into `nan` changes the letters, so it is never missed by that.
"""

from __future__ import annotations

import re

import msgspec

from nandoctor.readers.collect import PART
from nandoctor.readers.dialect import Event, Lexicon, Line
from nandoctor.readers.dumps import Dump
from nandoctor.readers.facts import Run
from nandoctor.readers.kinds import DROPPED, LOWER, Keys, Kind, has_pairs, keys_of
from nandoctor.readers.lines import overprinted, text_of, without_marks
from nandoctor.readers.runstate import LOSSES, RunState
from nandoctor.readers.shaping import shape_of
from nandoctor.readers.sweep import MAX_SHAPES, Sweep
from nandoctor.remark import Remark

MAX_KEYS = 50_000  # kinds of lines remembered
MARKDOWN_WITHIN = 1 << 18  # bytes: copies from forums are short, and the search for their marks is not free
_MARKDOWN = re.compile(rb"[=:] \*\*[-+\dniNI]|\(\\\*|\n> ")
MIN_GLUED = 6  # characters
TRIES = 3  # lines of one kind held against all patterns before the kind is given up
STRETCH = 12  # lines; shorter stretches are read line by line


class _Chunk(msgspec.Struct, frozen=True):
    """Keys and lines of a piece of the file; `base` is the number of the line before."""

    keys: list[bytes]
    lines: list[bytes]
    base: int


class LogReader:
    """Takes chunks of one file and gathers a run. `finish` may be called at any time."""

    def __init__(self, name: str, lexicon: Lexicon) -> None:
        self.parts = [name]
        self.lexicon = lexicon
        self.line = 0  # plus PART for each rotated part before this one
        self.lines_before = 0
        self.filled = 0  # non-empty lines
        self.unrecognised = 0
        self.dialects: dict[str, int] = {}
        self.hints: dict[str, float] = {}
        self.runs: list[RunState] = []
        self.run = RunState(lexicon.roles, lexicon.last_resort)
        self.notes: list[str] = []
        self._kinds: dict[bytes, Kind | None] = {}
        self._dump: Dump | None = None  # of solver or net, open
        self.border_keys: set[bytes] = set()  # kinds whose lines begin or end a run: never skipped
        self._event_keys: set[bytes] = set()
        self.pairs = False  # whether lines end in \r\n
        self._looked = 0
        self._markdown = False
        self._started = 0  # line of the last start event

    # --- lines

    def feed(self, chunk: bytes) -> None:
        """Complete lines of the file, in order; the last chunk may end within a line."""
        if not self.pairs and b"\r" in chunk:
            self.pairs = has_pairs(chunk)
        keys = keys_of(chunk, self.pairs)
        lines = chunk.splitlines()
        base = self.line
        if b"\x1b" in chunk or b"\x08" in chunk or self._has_markdown(chunk):
            for key, raw in zip(keys, lines):
                self._marked(key, raw)
            return
        here = _Chunk(keys, lines, base)
        start = 0  # of the stretch of lines of known shapes
        stretch: dict[bytes, list[int]] = {}
        get = stretch.get
        for i, key in enumerate(keys):
            if (indexes := get(key)) is not None:
                indexes.append(i)
            elif not key and not lines[i].strip():
                if self._dump is not None:
                    self._dump_line(b"")
            elif self._dump is None and self._swept(key):
                stretch[key] = [i]
            else:
                self._stretch(stretch, here, start, i)
                self.line = base + i
                self._line(key, lines[i])
                start = i + 1
                stretch.clear()
        self._stretch(stretch, here, start, len(lines))
        self.line = base + len(lines)

    def _has_markdown(self, chunk: bytes) -> bool:
        """Whether the text is a copy with markdown; decided near the beginning."""
        if self._looked < MARKDOWN_WITHIN:
            self._looked += len(chunk)
            marked = b"**" in chunk or b"(\\*" in chunk or b"\n> " in chunk
            self._markdown = self._markdown or (marked and _MARKDOWN.search(chunk) is not None)
        return self._markdown

    def _swept(self, key: bytes) -> bool:
        """Whether lines of this key can be read many at a time."""
        kind = self._kinds.get(key, self)
        if kind is None:
            return True
        return key in self.run.shapes and not (isinstance(kind, Kind) and kind.border)

    def _stretch(self, stretch: dict[bytes, list[int]], here: _Chunk, start: int, end: int) -> None:
        """Reads the lines from `start` to `end`, all of known kinds or blank."""
        if end - start >= STRETCH and stretch and not self._needs_order(stretch):
            known = {key: indexes for key, indexes in stretch.items() if self._kinds.get(key) is not None}
            sweep = Sweep(self.run, here.lines, here.base)
            if sweep.read(known):
                for name, count in sweep.counts.items():
                    self.dialects[name] = self.dialects.get(name, 0) + count
                    self.filled += count
                ignored = sum(len(indexes) for key, indexes in stretch.items() if key not in known)
                self.filled += ignored
                self.unrecognised += ignored
                self._events_of(known, sweep)
                stretch = {}
            else:
                for key in known:
                    self._tire(key)
        if stretch:
            for i in range(start, end):
                self.line = here.base + i
                self._line(here.keys[i], here.lines[i])
        elif end > start and not here.lines[end - 1].strip():
            self.run.cleared = here.base + end

    def _needs_order(self, stretch: dict[bytes, list[int]]) -> bool:
        """Events among lines whose place is told by epochs: only reading in order tells an event's step."""
        return self.run.place.step is None and any(
            kind is not None and kind.events for kind in map(self._kinds.get, stretch)
        )

    def _tire(self, key: bytes) -> None:
        """A sweep failed: kinds whose lines keep changing shape are read line by line."""
        kind = self._kinds[key]
        if kind is not None:
            kind.unswept += 1
            if kind.unswept > MAX_SHAPES:
                self.run.shapes.pop(key, None)

    def _events_of(self, known: dict[bytes, list[int]], sweep: Sweep) -> None:
        """Events on lines that were swept."""
        last = self.run.place.step
        for key, indexes in known.items():
            kind = self._kinds[key]
            if kind is None or not kind.events:
                continue
            for i in indexes:
                line = sweep.base + i + 1
                text = text_of(sweep.lines[i])
                for event in kind.events:
                    if (match := event.search(text)) is not None:
                        self.run.place.step = sweep.step_at(line)
                        self._happened(event, match, text, line)
        self.run.place.step = last

    def _marked(self, key: bytes, raw: bytes) -> None:
        """A line of a chunk with colours, backspaces or markdown."""
        if b"\x08" in raw:
            self.line += 1
            line = self.line
            for piece in overprinted(text_of(raw)):
                self.line = line - 1
                text = without_marks(piece)
                self._line(text.encode("utf-8", "replace").translate(LOWER, DROPPED), text.encode("utf-8", "replace"))
            self.line = line
            return
        if b"\x1b" in raw or b"*" in raw or raw[:1] == b">":
            raw = without_marks(text_of(raw)).encode("utf-8", "replace")
            key = raw.translate(LOWER, DROPPED)
        self._line(key, raw)

    def next_part(self, name: str) -> None:
        """The log goes on in another file: its lines are counted anew."""
        self._close_dump()
        self.lines_before += self.line % PART
        self.parts.append(name)
        self.line = (len(self.parts) - 1) * PART

    def skip(self, lines: int) -> None:
        """Lines of the file that are not read."""
        if lines > 0:
            self._close_dump()
            self.line += lines
            self.run.skip()

    @property
    def in_dump(self) -> bool:
        """Whether the next line may belong to a dump of solver or net."""
        return self._dump is not None

    def count_events(self, keys: Keys) -> None:
        """Repeats of known events in a chunk that is not parsed."""
        for key in keys.kinds & self._event_keys:
            kind = self._kinds.get(key)
            for event in kind.events if kind is not None else ():
                if not event.pattern.by_digits:
                    self.run.events.repeat(event.pattern.id, keys.in_order.count(key))

    # --- one line

    def _line(self, key: bytes, raw: bytes) -> None:
        """The next line, by itself."""
        self.line += 1
        if self._dump is not None and self._dump_line(raw):
            return
        if not key and not raw.strip():
            self.run.cleared = self.line
            return
        self.filled += 1
        kind = self._kinds.get(key, self)
        if kind is None:
            self.unrecognised += 1
        elif isinstance(kind, Kind):
            self._known(key, kind, text_of(raw))
        else:
            self._learn(key, text_of(raw))

    def _known(self, key: bytes, kind: Kind, text: str) -> None:
        """A line of a kind that was met before."""
        for event in kind.events:
            match = event.search(text)
            if match is not None:
                self._happened(event, match, text, self.line)
        self._open_dump(kind)
        for pattern in kind.lines:
            if self.run.apply(pattern, text, self.line):
                self.dialects[pattern.dialect.id] += 1
                self._glued(kind)
                if not kind.border and kind.unswept <= MAX_SHAPES:
                    self._add_shape(key, pattern, text)
                return
        if kind.lines or not kind.events:
            self._learn(key, text, kind)

    def _add_shape(self, key: bytes, pattern: Line, text: str) -> None:
        shapes = self.run.shapes.setdefault(key, [])
        raw = text.encode("utf-8", "replace")
        if len(shapes) < MAX_SHAPES and not any(shape.search(raw) for shape in shapes):
            shape = shape_of(pattern, text, self.run)
            if shape is not None:
                shapes.append(shape)
            else:
                self._kinds[key].unswept += 1  # type: ignore[union-attr]
        if not shapes:
            del self.run.shapes[key]

    def _learn(self, key: bytes, text: str, kind: Kind | None = None) -> None:
        """A line of a new kind (or one that its kind's patterns refuse): held against everything."""
        fresh = kind is None
        if kind is None:
            kind = Kind()
            if len(self._kinds) < MAX_KEYS:
                self._kinds[key] = kind
        if fresh:
            self._learn_events(key, kind, text)
            kind.block = next((b for b in self.lexicon.blocks if b.needs in text and b.search(text)), None)
            kind.border = kind.border or kind.block is not None
            self._open_dump(kind)
        for pattern in self.lexicon.line_candidates(text, self.dialects):
            if self.run.apply(pattern, text, self.line):
                if pattern not in kind.lines:
                    kind.lines.append(pattern)
                kind.border = kind.border or pattern.pattern.records not in ("reading", "layer")
                self.dialects[pattern.dialect.id] = self.dialects.get(pattern.dialect.id, 0) + 1
                self._glued(kind)
                return
        self._unknown(key, text, kind)

    def _glued(self, kind: Kind) -> None:
        """Reads what stands on the line after a bar without numbers."""
        rest, self.run.glued = self.run.glued, ""
        if len(rest) >= MIN_GLUED:
            kind.border = True
            self.line -= 1
            raw = rest.encode("utf-8", "replace")
            self._line(raw.translate(LOWER, DROPPED), raw)

    def _learn_events(self, key: bytes, kind: Kind, text: str) -> None:
        for event in self.lexicon.event_candidates(text):
            match = event.search(text)
            if match is not None or event.pattern.by_digits:
                kind.events.append(event)
                kind.border = kind.border or event.is_border
                self._event_keys.add(key)
                if event.is_border:
                    self.border_keys.add(key)
            if match is not None:
                self._happened(event, match, text, self.line)

    def _unknown(self, key: bytes, text: str, kind: Kind) -> None:
        for hint, dialect in self.lexicon.hints:
            if hint in text:
                self.hints[dialect.framework] = self.hints.get(dialect.framework, 0.0) + dialect.weight
        if self._dump is not None and self._dump.start == self.line + 1:
            return
        self.run.read_header(text, self.line)
        if not kind.events:
            self.unrecognised += 1
            kind.tries += 1
            if key and kind.tries >= TRIES and not kind.lines and key in self._kinds:
                self._kinds[key] = None

    def _happened(self, event: Event, match: re.Match[str], text: str, line: int) -> None:
        if event.pattern.starts_run:
            self._start()
        self.run.happened(event, match, text, line)
        self.dialects[event.dialect.id] = self.dialects.get(event.dialect.id, 0) + 1

    def _start(self) -> None:
        """A new run begins, if the one so far has shown a loss."""
        if self.run.has_loss and self._started != self.line:
            self._close_dump()
            self.runs.append(self.run)
            self.run = RunState(self.lexicon.roles, self.lexicon.last_resort)
        self._started = self.line

    # --- dumps of solver and net

    def _dump_line(self, raw: bytes) -> bool:
        """Takes the line into the open dump; False, and the dump is closed, if it does not belong to it."""
        assert self._dump is not None
        if not self._dump.take(text_of(raw)):
            self._close_dump()
            return False
        self.filled += 1
        return True

    def _open_dump(self, kind: Kind) -> None:
        if kind.block is not None:
            self._close_dump()
            self._dump = Dump(kind.block, self.line + 1)

    def _close_dump(self) -> None:
        if self._dump is not None and (text := self._dump.read(self.parts)) is not None:
            if self._dump.of_solver:
                self.run.solver = text
            else:
                self.run.nets.append(text)
        self._dump = None

    # --- the result

    def finish(self) -> Run:
        """The last run with a loss in the file (or the last one). Changes nothing: a log may go on growing."""
        runs = [*self.runs, self.run]
        state = next((r for r in reversed(runs) if r.has_loss), self.run)
        run = state.finish(self.parts)
        if self._dump is not None and state is self.run and (text := self._dump.read(self.parts)) is not None:
            if self._dump.of_solver:
                run = msgspec.structs.replace(run, solver_text=text)
            else:
                run = msgspec.structs.replace(run, net_texts=(*run.net_texts, text))
        name = self.parts[0]
        notes = list(self.notes)
        if len(runs) > 1:
            number = runs.index(state) + 1
            notes.append(
                Remark(
                    "{file} holds {count} runs; run {number} is diagnosed", file=name, count=len(runs), number=number
                )
            )
        if not any(s.role in LOSSES for s in run.series):
            notes.append(Remark("{file}: no training loss was recognised in it", file=name))
        return msgspec.structs.replace(
            run,
            dialects=dict(sorted(self.dialects.items(), key=lambda item: -item[1])),
            framework=self._framework(),
            lines=self.lines_before + self.line % PART,
            unrecognised_share=self.unrecognised / self.filled if self.filled else 0.0,
            several_runs=len(runs),
            notes=tuple(notes),
        )

    def _framework(self) -> str:
        """By the lines that were recognised; where they say nothing, by names of packages in paths and messages."""
        votes: dict[str, float] = {}
        for name, count in self.dialects.items():
            dialect = self.lexicon.dialects[name]
            if dialect.framework:
                votes[dialect.framework] = votes.get(dialect.framework, 0.0) + count * dialect.weight
        votes = votes or self.hints
        return max(votes, key=lambda f: (votes[f], self.hints.get(f, 0.0))) if votes else ""
