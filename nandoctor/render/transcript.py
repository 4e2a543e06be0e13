"""Transcripts: a consultation recorded as it goes, readable as a text, and run again by `replay`."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from nandoctor import interview as conversation
from nandoctor.consultation import Consultation
from nandoctor.errors import NandoctorError
from nandoctor.interview import Interview, Leave, ReadFiles, SaveReport, Turn, record
from nandoctor.interview.record import ENDED, INTERRUPTED, STOPPED, TITLE, VISIT, Visit
from nandoctor.interview.replies import Result
from nandoctor.interview.resuming import load, restore
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render.speech import speak
from nandoctor.render.words import Words
from nandoctor.source import printable

WIDTH = 96  # columns, whatever the width of the screen
Sink = Callable[[str], None]


class Recording:
    """A conversation that writes itself down: every view and the replay drive this, and nothing else.

    Each call hands the new text to `sink` at once, so that a crash loses nothing.
    """

    def __init__(self, now: Interview, sink: Sink | None = None, *, base: str = ".") -> None:
        self.now = now
        self.sink = sink
        self.base = base
        self._closed: tuple[str, ...] = ()
        self._since: Interview | None = None  # the state before a later run that is being read

    @property
    def words(self) -> Words:
        """The texts in the language spoken now."""
        return Words(self.now.consultation.kb, self.now.lang)

    def open(self) -> Turn:
        """The opening of a visit, with its header."""
        now = self.now
        lines = [TITLE if now.visit == 1 else f"\n{VISIT}{now.visit}", f"language: {now.lang}", f"base: {self.base}"]
        given = now.consultation if now.visit == 1 else Consultation(now.consultation.kb)
        self._write([*lines, *(f"{key}: {value}" for key, value in record.header(given, now.wanted))])
        empty = now.having(consultation=Consultation(now.consultation.kb), later=())
        return self._take(conversation.opening(now), empty if now.visit == 1 else now)

    def line(self, text: str) -> Turn:
        """One line of the owner."""
        self._write(["", *record.owner_lines(text)])
        return self._take(conversation.turn(self.now, text), self.now)

    def read(self, consultation: Consultation) -> Turn:
        """The files of a `ReadFiles` effect were read."""
        return self._take(conversation.after_reading(self.now, consultation), self.now)

    def stop_reading(self) -> Turn:
        """The owner stopped the reading."""
        self._write([STOPPED])
        return self._take(conversation.stopped_reading(self.now), self.now)

    def saved(self, path: str, error: str = "") -> Turn:
        """The report of a `SaveReport` effect was written, or could not be."""
        return self._take(conversation.after_saving(self.now, path, error), self.now)

    def end(self, *, interrupted: bool = False) -> None:
        """The owner left without a word: end of input, or Ctrl+C."""
        self._write(["", INTERRUPTED if interrupted else ENDED])
        self._close(left=True)

    def _take(self, turn: Turn, old: Interview) -> Turn:
        self.now = turn.interview
        since = self._since or old
        # While a later run is being read nothing is settled: it may turn out to be unreadable, or the run of last time.
        self._since = since if self.now.rerun else None
        if not self.now.rerun:
            self._write(record.changes(since, self.now))
        if turn.replies:
            text = speak(turn.replies, turn.interview.choices, self.words, WIDTH).render(colour=False, ascii_only=False)
            self._write(["", *map(_guarded, text.rstrip("\n").split("\n"))])
        if any(isinstance(reply, Result) for reply in turn.replies) or isinstance(turn.effect, Leave):
            self._close(left=isinstance(turn.effect, Leave))
        return turn

    def _close(self, *, left: bool = False) -> None:
        """What is believed and planned, unless it stands there already; what is unanswered when the owner has left."""
        closing = tuple(record.closing(self.now)) if self.now.consultation.events else ()
        told = [] if closing == self._closed else list(closing)
        told += record.left_open(self.now) if left else []
        if told:
            self._write(["", *told])
        self._closed = closing

    def _write(self, lines: list[str]) -> None:
        if self.sink is not None and lines:
            self.sink("\n".join(lines) + "\n")


def _guarded(line: str) -> str:
    """A line of the program never looks like one of the owner or a record."""
    return " " + line if line.startswith((">", "[", "===")) else line


# --- files


class TranscriptFile:
    """An append-only file, flushed at every event. A failure to write is told once and does not end anything.

    Attributes:
        error: why nothing is recorded (any more); "" while all is well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", newline="\n")
        except OSError as exc:
            self.error = f"{printable(str(path))}: {exc.strerror}"

    def __call__(self, text: str) -> None:
        """Appends and flushes."""
        if self.error:
            return
        try:
            self._file.write(text.encode("utf-8", "replace").decode("utf-8"))
            self._file.flush()
        except OSError as exc:
            self.error = f"{printable(str(self.path))}: {exc.strerror}"

    def close(self) -> None:
        """Closes the file."""
        if not self.error:
            self._file.close()


def default_path() -> Path:
    """A new file in the user's state folder, named by the time."""
    import time

    root = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(root) / "nandoctor" / f"{time.strftime('%Y-%m-%d-%H%M%S')}.txt"


def recording(now: Interview, path: Path | None) -> tuple[Recording, TranscriptFile]:
    """A conversation recorded in `path`; by default in the transcript it continues, or a new file of the state folder.

    A consultation never overwrites the transcript of another: the new file gets a number then.
    """
    source = Path(now.source) if now.source else None
    target = path or source or default_path()
    continues = source is not None and target.absolute() == source.absolute()
    if not continues:
        target = _free(target)
    file = TranscriptFile(target)
    if source is not None and not continues:
        file(_moved(load(source).rstrip("\n") + "\n", source.parent, target.parent))
    try:
        base = os.path.relpath(".", target.parent)
    except ValueError:  # another drive
        base = str(Path.cwd())
    return Recording(now, file, base=base), file


def _moved(text: str, old: Path, new: Path) -> str:
    """A transcript's text for another folder: its relative paths still lead to the same files."""

    def base(found: re.Match[str]) -> str:
        try:
            return f"base: {os.path.relpath(old / found[1], new)}"
        except ValueError:  # another drive
            return f"base: {(old / found[1]).absolute()}"

    return re.sub(r"^base: (.+)$", base, text, flags=re.MULTILINE)


def _free(path: Path) -> Path:
    """The path, or with a number if there is such a file with something in it."""
    number, candidate = 1, path
    while candidate.exists() and candidate.stat().st_size:
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


# --- running again


class Difference(NamedTuple):
    """The first difference between a transcript and what the program says now."""

    file: str
    line: int
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: the transcript and this version differ\n  - {self.expected}\n  + {self.got}"


def replay(path: Path, kb: KnowledgeBase) -> Difference | None:
    """Runs a transcript again; None if every line is the same.

    Relative paths in it are looked up from its `base`, itself relative to the transcript.

    Raises:
        UnreadableError: the file is missing, or no transcript.
    """
    text = load(path)
    visits = record.parse(text, str(path))
    out: list[str] = []
    folder = path.parent.absolute()
    for number, visit in enumerate(visits):
        with _inside(folder / visit.value("base", ".")):
            _run(visit, visits[:number], kb, out, folder)
    got = "".join(out).rstrip("\n").split("\n")
    expected = text.rstrip("\n").split("\n")
    for number in range(max(len(expected), len(got))):
        old = expected[number] if number < len(expected) else "(end)"
        new = got[number] if number < len(got) else "(end)"
        if old.rstrip() != new.rstrip():
            return Difference(printable(str(path)), number + 1, old, new)
    return None


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Another working folder for a while: what is read is named as it was then."""
    before = Path.cwd()
    with contextlib.suppress(OSError):
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _run(visit: Visit, before: tuple[Visit, ...], kb: KnowledgeBase, out: list[str], folder: Path) -> None:
    inputs = record.inputs_of(visit)
    lang = visit.value("language", "en")
    if before:
        now = restore(before, kb, inputs, folder).having(lang=lang)
    else:
        try:
            consultation = Consultation.open(
                kb=kb,
                describe=visit.value("describe"),
                answers=dict(pair.split("=", 1) for pair in visit.values("answer") if "=" in pair),
                tried={r: how == "helped" for r, _, how in (v.partition("=") for v in visit.values("tried"))},
            )
        except NandoctorError as exc:
            out.append(f"{exc}\n")
            return
        now = conversation.begin(consultation, lang, inputs or None)
    again = Recording(now, out.append, base=visit.value("base", "."))
    pending = list(visit.said)
    turn = _settled(again, again.open(), pending)
    while pending and not isinstance(turn.effect, Leave):
        said = pending.pop(0).text
        if said in (ENDED, INTERRUPTED):
            again.end(interrupted=said == INTERRUPTED)
            return
        if said == STOPPED:
            continue
        turn = _settled(again, again.line(said), pending)


def _settled(again: Recording, turn: Turn, pending: list[record.Input]) -> Turn:
    """Effects carried out: files are read, reports taken as saved."""
    while turn.effect is not None and not isinstance(turn.effect, Leave):
        if isinstance(turn.effect, SaveReport):
            turn = again.saved(turn.effect.path)
        elif pending and pending[0].text == STOPPED:
            pending.pop(0)
            turn = again.stop_reading()
        elif isinstance(turn.effect, ReadFiles):
            turn = again.read(turn.interview.consultation.read(turn.effect.inputs))
    return turn
