"""A dump of a solver or net inside a log, taken line by line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nandoctor.readers.collect import PART
from nandoctor.readers.dialect import Block
from nandoctor.readers.facts import Embedded

MAX_DUMP = 200_000  # lines
_PHASE = re.compile(r"state\s*\{[^}]*phase:\s*(TRAIN|TEST)")


class Dump:
    """A dump that is being read. `start`: number of its first line, counted on through rotated parts."""

    __slots__ = ("_block", "_lines", "start")

    def __init__(self, block: Block, start: int) -> None:
        self._block = block
        self._lines: list[str] = []
        self.start = start

    @property
    def of_solver(self) -> bool:
        """Whether it is a solver, not a net."""
        return self._block.pattern.kind == "solver"

    def take(self, text: str) -> bool:
        """Takes the next line; False if it does not belong to the dump."""
        if not self._block.belongs(text) or len(self._lines) > MAX_DUMP:
            return False
        self._lines.append(text)
        return True

    def read(self, parts: Sequence[str]) -> Embedded | None:
        """The dump as far as it goes, None if it is blank; `parts` are the files of a rotated log, or the one file."""
        text = "\n".join(self._lines).rstrip() + "\n"
        if not text.strip():
            return None
        phase = _PHASE.search(text)
        file, line = parts[self.start // PART], self.start % PART
        return Embedded(text, file, line, phase[1] if phase and self._block.pattern.kind == "net" else "")
