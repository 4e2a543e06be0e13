"""What a check returns: where it looked, what it found, or why it could not tell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from nandoctor.diagnosis import Note
from nandoctor.readers.caffe import Layer
from nandoctor.source import Location, printable, significant

Arg = str | int | float
NAME_WIDTH = 60


class Match(msgspec.Struct, frozen=True):
    """One place that fires.

    layer: the layer, None for a solver or a whole net. at: the fields that say so. args: for the message.
    state, trust: override the check file's (a measured state, a reading less sure than usual).
    """

    layer: Layer | None
    at: tuple[Location, ...]
    args: Mapping[str, Arg] = {}
    state: str = ""
    trust: float = 0.0


class Look(msgspec.Struct, frozen=True):
    """What a check saw. at: the fields looked at, for the evidence that all is well.

    open: why it could not tell, and how the owner could find out; the check then neither fires nor clears.
    trust: of the evidence that all is well, where it is less sure than usual.
    """

    matches: tuple[Match, ...] = ()
    at: tuple[Location, ...] = ()
    open: tuple[Note, Note | None] | None = None
    trust: float = 0.0


def shown(value: object) -> str:
    """A number or name from a file for a message: four digits at most, no control characters, not endless."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if math.isfinite(value) and value == int(value) and abs(value) < 1e7:
            return str(int(value))
        return significant(value, 4)
    text = printable(str(value))
    return text if len(text) <= NAME_WIDTH else text[: NAME_WIDTH - 1] + "…"


def could_not(because: str, how: str = "", **args: Arg) -> tuple[Note, Note | None]:
    """The two sentences of something that could not be checked, as `checks.<id>` messages."""
    return Note(f"checks.{because}", args), Note(f"checks.{how}", args) if how else None
