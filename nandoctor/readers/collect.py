"""Gathers readings, events and layer magnitudes while a log streams by, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import isfinite, isnan
from operator import itemgetter

from nandoctor.readers.dialect import number
from nandoctor.readers.facts import Event, LayerReading, Reading, Role, Series
from nandoctor.source import Location, printable

EDGE = 200  # readings kept untouched at the start, at the end and before the first non-finite one
AFTER = 50  # the same after it
BUCKETS = 500  # of the rest; each keeps its first, minimum and maximum
KEEP_ALL = 2 * EDGE + EDGE + AFTER + 3 * BUCKETS  # no down-sampling below
_FULL = 12_000  # readings held before a series is thinned out
_MAX_LAYERS = 200_000
PART = 1 << 40  # line numbers of the next part of a rotated log begin here, until `finish` tells them apart
_TEXT = 500  # characters of an event's line

_LINE, _VALUE = itemgetter(1), itemgetter(2)

Raw = tuple[float | None, int, float]


class Gathered:
    """One series in the making. `items` are (step, line, value) in file order."""

    __slots__ = (
        "count",
        "finite_after",
        "first",
        "items",
        "last",
        "mean",
        "nonfinite",
        "quantity",
        "refreshes",
        "role",
        "sign",
        "sticky",
        "unit",
        "weight",
    )

    def __init__(self, quantity: str, role: Role, refreshes: bool = False, keeps: bool = False) -> None:
        self.quantity = quantity
        self.role = role
        self.refreshes = refreshes
        self.items: list[Raw] = []
        self.count = 0
        self.nonfinite = 0
        self.finite_after = 0
        self.first: Raw | None = None
        self.sign = ""
        self.weight: float | None = None
        self.unit = ""
        self.mean: Gathered | None = None
        self.last = ""  # as printed, in a bar
        self.sticky = keeps and (role.startswith("validation") or quantity.endswith("epoch"))

    def add(self, step: float | None, line: int, text: str) -> None:
        """A reading as printed."""
        try:
            value = float(text)
        except ValueError:
            try:
                value = number(text)
            except ValueError:
                return
        items = self.items
        if self.refreshes:
            if items and text == self.last and (self.sticky or step in (0, items[-1][0])):
                return  # a bar shows the old value until there is a new one
            self.last = text
            if items and step is not None and items[-1][0] == step and isfinite(items[-1][2]) and isfinite(value):
                items[-1] = (step, line, value)
                return
        if not isfinite(value):
            self.nonfinite += 1
            if self.first is None:
                self.first = (step, line, value)
                if isnan(value) and text.startswith("-"):
                    self.sign = "-"
        elif self.nonfinite:
            self.finite_after += 1
        items.append((step, line, value))
        if len(items) >= _FULL:
            self.thin()

    def extend(self, rows: list[tuple[float | None, int, bytes]]) -> None:
        """Many readings as printed, in the order of lines."""
        if not self.refreshes:
            try:
                items = [(step, line, float(text)) for step, line, text in rows]
            except ValueError:
                items = []
            if items and isfinite(sum([item[2] for item in items])):
                self.items += items
                if self.nonfinite:
                    self.finite_after += len(items)
                if len(self.items) >= _FULL:
                    self.thin()
                return
        for step, line, text in rows:
            self.add(step, line, text.decode())

    @property
    def held(self) -> int:
        """Readings so far."""
        return self.count + len(self.items)

    def passed(self, readings: int, nonfinite: int) -> None:
        """Readings that were seen and not kept."""
        self.count += readings
        if self.nonfinite:
            self.nonfinite += min(nonfinite, readings)
            self.finite_after += readings - min(nonfinite, readings)

    def set_last_step(self, step: float) -> None:
        """The step of the last reading became known after it."""
        if self.items:
            _, line, value = self.items[-1]
            self.items[-1] = (step, line, value)
            if self.first is not None and self.first[1] == line:
                self.first = (step, line, self.first[2])

    def thin(self) -> None:
        """Thins out the readings far from start, end and onset."""
        self.count += len(self.items)
        self.items = thinned(self.items, self.first)
        self.count -= len(self.items)

    def finish(self, parts: Sequence[str], role: Role) -> Series:
        """The series as the detectors see it; `parts` are the files of a rotated log, or the one file."""
        total = self.count + len(self.items)
        items = thinned(self.items, self.first) if len(self.items) > KEEP_ALL else self.items
        file = parts[items[0][1] // PART] if items else parts[0]
        return Series(
            quantity=self.quantity,
            role=role,
            file=file,
            readings=tuple(_placed(item, parts, file) for item in items),
            count=total,
            first_nonfinite=_placed(self.first, parts, file) if self.first else None,
            nonfinite_count=self.nonfinite,
            finite_after_nonfinite=self.finite_after,
            weight=self.weight,
            sign="-" if self.sign else "",
            unit=self.unit,  # type: ignore[arg-type]
        )


def _placed(item: Raw, parts: Sequence[str], file: str) -> Reading:
    step, line, value = item
    if line < PART:
        return Reading(step, line, value)
    part = parts[line // PART]
    return Reading(step, line % PART, value, "" if part == file else part)


def thinned(items: list[Raw], first: Raw | None) -> list[Raw]:
    """Start, end and the neighbourhood of the onset whole; of the rest each bucket's first, minimum and maximum."""
    n = len(items)
    at = bisect_left(items, first[1], key=itemgetter(1)) if first is not None else n
    whole = sorted({(0, min(EDGE, n)), (max(0, at - EDGE), min(n, at + AFTER)), (max(0, n - EDGE), n)})
    size = max(1, -(-n // BUCKETS))
    kept: list[Raw] = []
    done = 0
    for start, end in whole:
        for low in range(done, start, size):
            kept += _bucket(items[low : min(low + size, start)])
        kept += items[max(start, done) : end]
        done = max(done, end)
    return kept


def _bucket(items: list[Raw]) -> list[Raw]:
    """First, minimum and maximum of a few readings, in their order."""
    if len(items) <= 3:
        return items
    finite = items if isfinite(sum([item[2] for item in items])) else [item for item in items if isfinite(item[2])]
    if not finite:
        return items[:1]
    kept = {id(item): item for item in (items[0], min(finite, key=_VALUE), max(finite, key=_VALUE))}
    return sorted(kept.values(), key=_LINE)


class GatheredEvent:
    """Repeats of one kind of event: the first one's place and words, the last one's line, the count."""

    __slots__ = ("count", "fields", "last", "line", "seen", "text")

    def __init__(self, line: int, text: str, fields: dict[str, str]) -> None:
        self.line = line
        self.last = line
        self.text = text
        self.fields = fields
        self.count = 1
        self.seen: set[str] = {text}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class Events:
    """The events of a run by kind; different texts of one kind stay apart up to a limit, repeats are counted."""

    APART = 8  # different messages kept of one kind

    def __init__(self) -> None:
        self._kinds: dict[str, dict[tuple[str, ...], GatheredEvent]] = {}

    def add(self, kind: str, line: int, text: str, fields: dict[str, str]) -> None:
        """One more line of this kind."""
        of_kind = self._kinds.setdefault(kind, {})
        key = tuple(v for k, v in fields.items() if k == "code_line" or not _is_number(v))
        event = of_kind.get(key)
        if event is None and len(of_kind) >= self.APART:
            event = next(iter(of_kind.values()))
        if event is None:
            of_kind[key] = GatheredEvent(line, printable(text.strip())[:_TEXT], fields)
            return
        event.count += 1
        event.last = line
        for name, value in fields.items():  # the last scale tells where a collapse ended
            if name in ("scale", "new") and value:
                event.fields["last_" + name] = value

    def repeat(self, kind: str, times: int) -> None:
        """More lines of a kind, not looked at."""
        of_kind = self._kinds.get(kind)
        if of_kind:
            next(iter(of_kind.values())).count += times

    def count(self, kind: str) -> int:
        """How many lines of this kind there were."""
        return sum(e.count for e in self._kinds.get(kind, {}).values())

    def finish(self, parts: Sequence[str]) -> tuple[Event, ...]:
        """All events in file order."""
        found = [(e.line, kind, e) for kind, of_kind in self._kinds.items() for e in of_kind.values()]
        return tuple(
            Event(
                kind=kind,
                location=Location(parts[line // PART], line % PART),
                text=e.text,
                fields=dict(e.fields),
                count=e.count,
            )
            for line, kind, e in sorted(found, key=lambda item: item[:2])
        )


class Layers:
    """`debug_info` readings; beyond a limit only the first two displayed iterations and those around the onset."""

    NEAR = 3  # displayed iterations kept before the first non-finite value, and from it on

    def __init__(self) -> None:
        self._first: list[LayerReading] = []
        self._recent: list[LayerReading] = []
        self._closed = False

    def add(self, reading: LayerReading) -> None:
        """One more line."""
        self._recent.append(reading)
        if len(self._recent) >= _MAX_LAYERS:
            self._thin()

    def extend(self, readings: list[LayerReading]) -> None:
        """Many lines."""
        self._recent += readings
        if len(self._recent) >= _MAX_LAYERS:
            self._thin()

    def _thin(self) -> None:
        """Keeps the first two iterations, and from the recent ones those around a first non-finite value."""
        steps = list(dict.fromkeys(r.step for r in self._recent))
        if not self._first:
            early = set(steps[:2])
            self._first = [r for r in self._recent if r.step in early]
        if self._closed:
            self._recent = []
            return
        bad = next((r.step for r in self._recent if not isfinite(r.value)), "none")
        if bad == "none":
            near = set(steps[-self.NEAR :])
            self._recent = [r for r in self._recent if r.step in near][-_MAX_LAYERS // 2 :]
            return
        at = steps.index(bad)  # type: ignore[arg-type]
        near = set(steps[max(0, at - self.NEAR) : at + self.NEAR])
        self._first += [r for r in self._recent if r.step in near and r.line > self._first[-1].line]
        self._recent, self._closed = [], True

    def finish(self) -> tuple[LayerReading, ...]:
        """All readings that were kept, in file order."""
        if self._closed or not self._first:
            return tuple(self._first or self._recent)
        return (*self._first, *(r for r in self._recent if r.line > self._first[-1].line))
