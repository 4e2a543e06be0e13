"""Reads a stretch of lines of known shapes at once, with the same result as line by line."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import attrgetter, itemgetter

import msgspec

from nandoctor.readers.collect import PART, Gathered
from nandoctor.readers.dialect import number
from nandoctor.readers.facts import LayerReading
from nandoctor.readers.runstate import RunState
from nandoctor.readers.shape import Shape

MAX_SHAPES = 24  # of one kind of line

Steps = Sequence[float | None]


class _Plan(msgspec.Struct, frozen=True):
    """Lines of one shape: their numbers and what the shape's groups hold."""

    shape: Shape
    lines: list[int]
    rows: list[tuple[bytes, ...]]


class _Batch(msgspec.Struct, frozen=True):
    """Readings of one series."""

    target: Gathered
    rows: list[tuple[float | None, int, bytes]]


class Sweep:
    """One stretch of lines.

    Attributes:
        told: (line, step) of the lines that carry a step, in order.
        before: the step carried into the stretch.
        counts: dialect id -> number of lines.
    """

    def __init__(self, run: RunState, lines: Sequence[bytes], base: int) -> None:
        self.run = run
        self.lines = lines
        self.base = base
        self.told: list[tuple[int, float]] = []
        self.before = run.place.step
        self.counts: dict[str, int] = {}
        self._told_lines: list[int] = []
        self._gap = run.place.gap
        self._plans: list[_Plan] = []
        self._batches: dict[int, _Batch] = {}
        self._mixed: set[int] = set()  # series fed by lines of several shapes

    def read(self, kinds: Mapping[bytes, list[int]]) -> bool:
        """Reads the lines whose indexes stand under their keys; False, and nothing is read, if some line fits no shape.

        Args:
            kinds: key -> indexes into the chunk's lines, ascending; every key must have a shape in the run.
        """
        for shapes, indexes in self._grouped(kinds):
            joined = b"\n".join([self.lines[i] for i in indexes])
            for shape in shapes:
                rows = shape.findall(joined)
                if len(rows) == len(indexes):
                    self._plans.append(_Plan(shape, [self.base + 1 + i for i in indexes], rows))
                    break
            else:
                if len(shapes) == 1 or not self._divided(shapes, indexes):
                    return False
        try:
            placed = self._places()
        except ValueError:  # signs and digits that are no number
            return False
        if placed is None:
            return False
        self._gather(placed)
        for plan in self._plans:
            name = plan.shape.pattern.dialect.id
            self.counts[name] = self.counts.get(name, 0) + len(plan.lines)
        return True

    def _grouped(self, kinds: Mapping[bytes, list[int]]) -> list[tuple[list[Shape], list[int]]]:
        """The indexes of each kind with its shapes; kinds with the same shape together, in the order of lines."""
        found: list[tuple[list[Shape], list[int]]] = []
        shared: dict[Shape, list[int]] = {}
        for key, indexes in kinds.items():
            shapes = self.run.shapes[key]
            if len(shapes) > 1 or not shapes[0].texts:
                found.append((shapes, indexes))
            else:
                shared.setdefault(shapes[0], []).extend(indexes)
        return [*found, *(([shape], sorted(indexes)) for shape, indexes in shared.items())]

    def step_at(self, line: int) -> float | None:
        """The step carried to a line of the stretch."""
        at = bisect_right(self._told_lines, line)
        return self.told[at - 1][1] if at else self.before

    def _divided(self, shapes: list[Shape], indexes: list[int]) -> bool:
        """Lines of one kind that have several shapes (`loss1` and `loss2`)."""
        parts: dict[int, _Plan] = {}
        for i in indexes:
            for position, shape in enumerate(shapes):
                match = shape.search(self.lines[i])
                if match is not None:
                    part = parts.setdefault(position, _Plan(shape, [], []))
                    part.lines.append(self.base + 1 + i)
                    part.rows.append(match.groups())
                    break
            else:
                return False
        self._plans += parts.values()
        return True

    # --- where the lines stand

    def _places(self) -> list[tuple[Steps, str]] | None:
        """Steps and unit of every plan; None where only reading in order tells them (then nothing has changed)."""
        place = self.run.place
        own_epoch = [p for p in self._plans if p.shape.epoch >= 0]
        carriers = [p for p in self._plans if p.shape.pattern.pattern.carries_step]
        if own_epoch:
            others = [p for p in self._plans if p.shape.epoch < 0 and p.shape.step < 0]
            if others or carriers:
                return None
        for plan in carriers:
            total = plan.shape.steps if plan.shape.step >= 0 else plan.shape.iters
            if total >= 0 and {float(row[total]) for row in plan.rows} != {place.total}:
                return None
        counted = self._iterations()
        steps = [self._own_steps(plan, counted.get(number)) for number, plan in enumerate(self._plans)]
        if own_epoch:
            latest = max(own_epoch, key=lambda plan: plan.lines[-1])
            place.set_epoch(float(latest.rows[-1][latest.shape.epoch]))
        for plan, own in zip(self._plans, steps):
            if own is not None and plan.shape.pattern.pattern.carries_step:
                self.told += zip(plan.lines, own[0])  # type: ignore[arg-type]
        self.told.sort()
        self._told_lines = [line for line, _ in self.told]
        _, unit = self.run.carried()
        placed: list[tuple[Steps, str]] = [
            own if own is not None else (self._carried(plan), "iteration" if self.told else unit)
            for plan, own in zip(self._plans, steps)
        ]
        if not self.told and place.step is None and place.epoch is not None:
            epoch = place.epoch
            placed = [
                own if own is not None else ([epoch] * len(plan.lines), "epoch")
                for plan, own in zip(self._plans, steps)
            ]
        if self.told:
            place.step = self.told[-1][1]
            self.run.told(self.told[0][1])
        return placed

    def _carried(self, plan: _Plan) -> Steps:
        """The steps that lines above carry to the rows."""
        if plan.shape.pattern.pattern.step_follows == "always":
            return [None] * len(plan.lines)  # told by a line below
        return list(map(self.step_at, plan.lines))

    def _iterations(self) -> dict[int, list[float]]:
        """Number of the plan -> steps, for plans that count within epochs: whether one turns over, only order tells."""
        place = self.run.place
        plans = {n: plan for n, plan in enumerate(self._plans) if plan.shape.step < 0 <= plan.shape.iter}
        steps: dict[int, list[float]] = {number: [] for number in plans}
        rows = [(line, n, row) for n, plan in plans.items() for line, row in zip(plan.lines, plan.rows)]
        if len(plans) > 1:
            rows.sort(key=itemgetter(0))
        for _, plan_number, row in rows:
            shape = plans[plan_number].shape
            if shape.epoch >= 0:
                place.set_epoch(float(row[shape.epoch]))
            total = float(row[shape.iters]) if shape.iters >= 0 else 0.0
            steps[plan_number].append(place.within(id(shape.pattern), float(row[shape.iter]), total))
        return steps

    def _own_steps(self, plan: _Plan, counted: list[float] | None) -> tuple[Steps, str] | None:
        """The steps that the rows print themselves; `counted`: those that had to be counted in order."""
        shape, place = plan.shape, self.run.place
        if counted is not None:
            return counted, "iteration"
        if shape.step >= 0:
            return [float(row[shape.step]) for row in plan.rows], "iteration"
        if shape.epoch >= 0:
            place.step = None
            return [float(row[shape.epoch]) for row in plan.rows], "epoch"
        return None

    # --- the numbers

    def _gather(self, placed: list[tuple[Steps, str]]) -> None:
        """Hands the numbers over, each series in the order of lines."""
        layers: list[LayerReading] = []
        waits: set[int] = set()  # lines of layers whose step is still to come
        for plan, (own, unit) in zip(self._plans, placed):
            shape = plan.shape
            steps = own
            waiting: set[int] = set()
            if shape.pattern.pattern.step_follows:
                steps, waiting = self._told_after(plan, own)
            if shape.texts:
                layers += _layers(plan, steps)
                waits |= waiting
                continue
            if shape.name >= 0:
                self._named(plan, steps, unit)
            table = list(zip(*plan.rows)) if shape.columns else []
            for group, target in shape.columns:
                self._add(target, list(zip(steps, plan.lines, table[group])), unit)
                if waiting:
                    self.run.waiting.append(target)
        for identity, batch in self._batches.items():
            if identity in self._mixed:
                batch.rows.sort(key=lambda row: row[1])
            batch.target.extend(batch.rows)
        layers.sort(key=attrgetter("line"))
        if waits:
            waiting_now = [(r.line % PART, r.phase, r.layer, r.blob, r.value) for r in layers if r.line in waits]
            self.run.layers_waiting += waiting_now
            layers = [reading for reading in layers if reading.line not in waits]
        if layers:
            if layers[-1].line >= PART:
                layers = [msgspec.structs.replace(reading, line=reading.line % PART) for reading in layers]
            self.run.layers.extend(layers)

    def _add(self, target: Gathered, rows: list[tuple[float | None, int, bytes]], unit: str) -> None:
        if self._gap and target.items and target.items[-1][0] is not None:
            rows = [row for row in rows if row[0] is not None]
            if not rows:
                return
            self.run.place.gap = False
        target.unit = unit
        batch = self._batches.get(id(target))
        if batch is None:
            self._batches[id(target)] = _Batch(target, rows)
        else:
            batch.rows.extend(rows)
            self._mixed.add(id(target))

    def _told_after(self, plan: _Plan, own: Steps) -> tuple[Steps, set[int]]:
        """Steps of lines whose step is printed by the next line that carries one; and the lines that still wait."""
        told, told_lines = self.told, self._told_lines
        after = [bisect_left(told_lines, line) for line in plan.lines]
        if plan.shape.pattern.pattern.step_follows == "always":
            steps = [told[at][1] if at < len(told) else None for at in after]
            return steps, {line for line, at in zip(plan.lines, after) if at == len(told)}
        steps = list(own)
        waiting: set[int] = set()
        for i, (line, at) in enumerate(zip(plan.lines, after)):
            above = line - self.base - 2
            if self.lines[above].strip() if above >= 0 else self.run.cleared != line - 1:
                continue
            if at < len(told):
                steps[i] = told[at][1]
            else:
                waiting.add(line)
        return steps, waiting

    def _named(self, plan: _Plan, steps: Steps, unit: str) -> None:
        """Rows that print the quantity's name."""
        shape = plan.shape
        by_name: dict[bytes, list[int]] = {}
        for i, row in enumerate(plan.rows):
            by_name.setdefault(row[shape.name], []).append(i)
        for name, rows in by_name.items():
            target = self.run.target(shape.pattern, name.decode("utf-8", "replace"))
            if isinstance(target, Gathered):
                self._add(target, [(steps[i], plan.lines[i], plan.rows[i][shape.value]) for i in rows], unit)


def _layers(plan: _Plan, steps: Steps) -> list[LayerReading]:
    """Rows of layers' magnitudes, with the full line number."""
    phase, layer, blob = plan.shape.texts
    value = plan.shape.value
    text = _text
    return [
        LayerReading(step, line, text(row[phase]), text(row[layer]), text(row[blob]), _number(row[value]))
        for step, line, row in zip(steps, plan.lines, plan.rows)
    ]


@lru_cache(maxsize=4096)
def _text(raw: bytes) -> str:
    """Names of layers and blobs come again and again."""
    return raw.decode("utf-8", "replace")


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return number(text.decode())
