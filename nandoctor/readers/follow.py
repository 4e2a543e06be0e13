"""A log that is still being written: what is new at each poll, through rotation, truncation, absence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from nandoctor.errors import UnreadableError, reason
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.dialect import Lexicon
from nandoctor.readers.facts import Run
from nandoctor.readers.logreader import LogReader
from nandoctor.readers.merge import has_loss
from nandoctor.remark import Remark

CHUNK = 1 << 20
UNNAMED_AFTER = 20  # lines without a loss: from then on any name may stand for it, until a loss is printed
LONGEST_LINE = 1 << 16  # bytes of an unfinished line that are held back


class Follower:
    """The run in a growing file. `poll` reads what was appended; `run` gives what is known so far.

    A file that becomes smaller was truncated or replaced: reading begins anew, as for another file of that name.
    A carriage return counts as a line end, so progress bars are seen as they move.
    """

    def __init__(self, path: str, kb: KnowledgeBase) -> None:
        self.path = path
        self.lexicon = Lexicon(kb)
        self.restarts = 0
        self._file: BinaryIO | None = None
        self._begin()

    def _begin(self) -> None:
        self.reader = LogReader(self.path, self.lexicon)
        self._held = b""
        self.bytes_read = 0

    def poll(self) -> int:
        """Reads everything appended since the last poll; the number of new bytes.

        Raises:
            UnreadableError: the path is a folder or may not be read. A file that is not there yet is no error.
        """
        try:
            if self._replaced():
                self._close()
                self._begin()
                self.restarts += 1
            if self._file is None:
                self._file = Path(self.path).open("rb")  # noqa: SIM115 - held open between polls
        except FileNotFoundError:
            return 0
        except OSError as exc:
            raise UnreadableError(
                Remark("{file} cannot be read: {reason}", file=self.path, reason=reason(exc))
            ) from None
        new = self._read(self._file)
        if new and not self.lexicon.last_resort and self.reader.line >= UNNAMED_AFTER and not has_loss(self.run()):
            self.lexicon = Lexicon(self.lexicon.kb, last_resort=True)
            self._begin()
            self._file.seek(0)
            self._read(self._file)
        return new

    def _read(self, file: BinaryIO) -> int:
        new = 0
        while chunk := file.read(CHUNK):
            new += len(chunk)
            self._take(chunk)
        self.bytes_read += new
        return new

    def _replaced(self) -> bool:
        """Whether another file has taken the name, or this one became smaller than what was read of it."""
        if self._file is None:
            return False
        here = os.fstat(self._file.fileno())
        if here.st_size < self.bytes_read:
            return True
        try:
            there = os.stat(self.path)  # noqa: PTH116 - beside fstat
        except FileNotFoundError:
            return False  # moved away by rotation: the new file comes in a moment
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _take(self, chunk: bytes) -> None:
        data = self._held + chunk
        # Hold back the unfinished line; a lone \r at the very end may be the first half of \r\n.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        if end == 0 and len(data) < LONGEST_LINE:
            self._held = data
            return
        end = end or len(data)
        self.reader.feed(data[:end])
        self._held = data[end:][-LONGEST_LINE:]

    def run(self) -> Run:
        """The run as far as it is written."""
        return self.reader.finish()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Lets go of the file."""
        self._close()
