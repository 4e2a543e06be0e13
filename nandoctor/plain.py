"""The consultation line by line on standard input and output: for pipes, dumb terminals, screen readers, scripts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from nandoctor import interview as conversation
from nandoctor.consultation import Consultation
from nandoctor.dialogue import looks_like_log, looks_like_prototxt
from nandoctor.errors import ExitCode
from nandoctor.ingest import Inputs
from nandoctor.interview import Interview, Leave, ReadFiles, SaveReport, Turn
from nandoctor.interview.hearing import names
from nandoctor.render.saving import exit_code, write_report
from nandoctor.render.speech import speak
from nandoctor.render.transcript import Recording, recording

WIDTH = 96
PROMPT = "> "
TELL_AFTER = 1.0  # seconds of reading before progress is worth a line
TELL_EVERY = 5.0
PASTE_PAUSE = 0.25  # seconds without input that end a paste on a terminal
END_OF_PASTE = "."
SHORTEST_PASTED = 12  # characters; shorter first lines are answers


def run(
    start: Consultation | Interview,
    lang: str,
    stdin: TextIO,
    stdout: TextIO,
    *,
    transcript: Path | None = None,
    inputs: Inputs | None = None,
    width: int = WIDTH,
    colour: bool = False,
    ascii_only: bool = False,
) -> int:
    """Holds the consultation until the owner leaves or the input ends; gives the exit code.

    start: a new consultation, or one to continue (`interview.resume`). inputs: files to read first. transcript: where
    to record it; by default a new file in the user's state folder.
    """
    now = start if isinstance(start, Interview) else conversation.begin(start, lang, inputs)
    kept, file = recording(now, transcript)
    face = _Plain(kept, stdin, stdout, width=width, colour=colour, ascii_only=ascii_only)
    try:
        if file.error:
            face.tell(kept.words("say.not-recorded", detail=file.error))
        return face.hold()
    except KeyboardInterrupt:
        kept.end(interrupted=True)
        face.tell("\n" + kept.words("say.interrupted"))
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        kept.end()
        return exit_code(kept.now.consultation)
    finally:
        file.close()
        if not file.error:
            face.tell(kept.words("say.recorded", file=str(file.path)))


class _Plain:
    """Asks, prints, reads."""

    def __init__(
        self, kept: Recording, stdin: TextIO, stdout: TextIO, *, width: int, colour: bool, ascii_only: bool
    ) -> None:
        self.kept = kept
        self.stdin = stdin
        self.stdout = stdout
        self.width = width
        self.colour = colour
        self.ascii_only = ascii_only

    def hold(self) -> int:
        """Until the owner leaves or the input ends."""
        turn = self._settle(self.kept.open())
        while not isinstance(turn.effect, Leave):
            line = self._line()
            if line is None:
                self.kept.end()
                break
            turn = self._settle(self.kept.line(line))
        return exit_code(self.kept.now.consultation)

    def tell(self, text: str) -> None:
        """A line of the program."""
        try:
            self.stdout.write(text + "\n")
            self.stdout.flush()
        except (BrokenPipeError, ValueError):
            return

    def _line(self) -> str | None:
        """The owner's next line; a pasted log or net that arrives in many lines is taken as one. None: end of input."""
        self.stdout.write(PROMPT)
        self.stdout.flush()
        line = self.stdin.readline()
        if not line:
            self.stdout.write("\n")
            return None
        return _whole_paste(line, self.stdin).rstrip("\r\n")

    def _settle(self, turn: Turn) -> Turn:
        """Prints the replies and carries out the effects."""
        self._print(turn)
        while turn.effect is not None and not isinstance(turn.effect, Leave):
            if isinstance(turn.effect, ReadFiles):
                told = _Progress(self, turn.effect)
                turn = self.kept.read(turn.interview.consultation.read(turn.effect.inputs, told))
            elif isinstance(turn.effect, SaveReport):
                turn = self.kept.saved(turn.effect.path, write_report(turn.interview, turn.effect))
            self._print(turn)
        return turn

    def _print(self, turn: Turn) -> None:
        if turn.replies:
            page = speak(turn.replies, turn.interview.choices, self.kept.words, self.width)
            self.stdout.write("\n" + page.render(colour=self.colour, ascii_only=self.ascii_only) + "\n")
            self.stdout.flush()


class _Progress:
    """Says how far the reading is, where it takes long; nothing for files that are read at once."""

    def __init__(self, face: _Plain, effect: ReadFiles) -> None:
        self.face = face
        self.file = ", ".join(names(effect.inputs))
        self.next = time.monotonic() + TELL_AFTER

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + TELL_EVERY
        share = f"{100 * done // total} %" if total else ""
        self.face.tell(self.face.kept.words("say.reading-part", file=self.file, percent=share).rstrip())


def _whole_paste(line: str, stdin: TextIO) -> str:
    """The line, and if a log or net begins with it, everything up to the end of the paste.

    The end: a pause on a terminal; elsewhere a line that holds only a dot, or the end of input.
    """
    if not _begins_paste(line):
        return line
    lines = [line]
    more = _pauses(stdin)
    while more():
        following = stdin.readline()
        if not following or following.strip() == END_OF_PASTE:
            break
        lines.append(following)
    return "".join(lines)


def _begins_paste(line: str) -> bool:
    """Whether this is a line of a log or net rather than an answer: then many more are to come."""
    text = line.strip()
    if len(text) < SHORTEST_PASTED:
        return False
    return looks_like_log(f"{text}\n{text}\n") or looks_like_prototxt(text)


def _pauses(stdin: TextIO) -> Callable[[], bool]:
    """Whether more of a paste is to be expected now: on a terminal it follows at once."""
    try:
        handle = stdin.fileno()
        terminal = stdin.isatty()
    except (OSError, ValueError, AttributeError):
        return lambda: True
    if not terminal:
        return lambda: True
    import select

    def waiting() -> bool:
        try:
            return bool(select.select([handle], [], [], PASTE_PAUSE)[0])
        except (OSError, ValueError):  # consoles that cannot be waited for
            return False

    return waiting
