"""The shape of lines of one kind: a regex that reads many of them at a time."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from nandoctor.readers.collect import Gathered
from nandoctor.readers.dialect import Line


class Span(msgspec.Struct, frozen=True):
    """A part of the line that varies and is read. `what`: `column`, `value`, `name`, `text`, or a place."""

    start: int
    end: int
    what: str
    target: Gathered | None = None


class Shape:
    """A regex that reads one line each and what its groups are.

    Attributes:
        columns: (group, series its number goes to).
        name: group of a printed name that varies; its number is in group `value`.
        step, steps, epoch, iter, iters: groups, -1 if there is none.
        texts: groups of a layer's phase, name and blob.
        words: what stands in front of each series' number.
    """

    __slots__ = (
        "columns",
        "epoch",
        "findall",
        "iter",
        "iters",
        "name",
        "pattern",
        "search",
        "step",
        "steps",
        "texts",
        "value",
        "words",
    )

    def __init__(self, pattern: Line, regex: bytes, spans: list[Span]) -> None:
        self.pattern = pattern
        self.words: dict[Gathered, bytes] = {}
        made = re.compile(regex)
        self.findall: Callable[[bytes], list[tuple[bytes, ...]]] = made.findall
        self.search: Callable[[bytes], re.Match[bytes] | None] = made.search
        self.columns = tuple((i, span.target) for i, span in enumerate(spans) if span.target is not None)
        self.texts = tuple(i for i, span in enumerate(spans) if span.what == "text")
        group = {span.what: i for i, span in enumerate(spans)}
        self.name, self.value = group.get("name", -1), group.get("value", -1)
        self.step, self.steps = group.get("step", -1), group.get("steps", -1)
        self.epoch, self.iter, self.iters = (group.get(what, -1) for what in ("epoch", "iter", "iters"))
