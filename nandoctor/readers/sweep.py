"""Reads a stretch of lines of known shapes at once, with the same result as line by line."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nandoctor.readers.collect import PART, Gathered
from nandoctor.readers.dialect import number
from nandoctor.readers.facts import LayerReading
from nandoctor.readers.runstate import RunState
from nandoctor.readers.shape import Shape

MAX_SHAPES = 24  # of one kind of line

Rows = list[tuple[bytes, ...]]


class _Plan(NamedTuple):
    shape: Shape
    lines: list[int]
    rows: Rows


def sweep(run: RunState, kinds: Mapping[bytes, list[int]], lines: Sequence[bytes], base: int) -> dict[str, int] | None:
    """Reads the lines whose indexes stand under their keys in `kinds`.

    Args:
        run: every key must have a shape in it.
        kinds: key -> indexes into `lines`, ascending.
        lines: the chunk's lines.
        base: number of the line before `lines[0]`.

    Returns:
        dialect id -> number of lines; None if some line fits no shape (then nothing was read).
    """
    plans: list[_Plan] = []
    for key, indexes in kinds.items():
        shapes = run.shapes[key]
        joined = b"\n".join([lines[i] for i in indexes])
        for shape in shapes:
            rows = shape.findall(joined)
            if len(rows) == len(indexes):
                plans.append(_Plan(shape, [base + 1 + i for i in indexes], rows))
                break
        else:
            if len(shapes) == 1 or not _divided(plans, shapes, indexes, lines, base):
                return None
    placed = _places(run, plans)
    if placed is None:
        return None
    _gather(run, plans, placed, lines, base)
    counts: dict[str, int] = {}
    for plan in plans:
        name = plan.shape.pattern.dialect.id
        counts[name] = counts.get(name, 0) + len(plan.lines)
    return counts


def _divided(plans: list[_Plan], shapes: list[Shape], indexes: list[int], lines: Sequence[bytes], base: int) -> bool:
    """Lines of one kind that have several shapes (`loss1` and `loss2`)."""
    parts: dict[int, _Plan] = {}
    for i in indexes:
        for position, shape in enumerate(shapes):
            match = shape.search(lines[i])
            if match is not None:
                part = parts.setdefault(position, _Plan(shape, [], []))
                part.lines.append(base + 1 + i)
                part.rows.append(match.groups())
                break
        else:
            return False
    plans += parts.values()
    return True


def _places(run: RunState, plans: list[_Plan]) -> list[tuple[Sequence[float | None], str]] | None:
    """Step of every row and the unit of every plan; None where only reading in order tells them.

    Changes `run.place` only when it succeeds.
    """
    place = run.place
    own_epoch = [p for p in plans if p.shape.epoch >= 0]
    carriers = [p for p in plans if p.shape.pattern.pattern.carries_step]
    without = [p for p in plans if p.shape.step < 0 and p.shape.iter < 0 and p.shape.epoch < 0]
    if own_epoch and (without or len(own_epoch) < sum(p.shape.iter >= 0 or p.shape.epoch >= 0 for p in plans)):
        return None
    if carriers and own_epoch:
        return None
    for plan in carriers:
        total = plan.shape.steps if plan.shape.step >= 0 else plan.shape.iters
        if total >= 0 and {float(row[total]) for row in plan.rows} != {place.total}:
            return None
    steps: dict[int, tuple[Sequence[float | None], str]] = {}
    for i, plan in enumerate(plans):
        found = _own_steps(run, plan)
        if found is not None:
            steps[i] = found
    told = sorted(
        (line, step)
        for i, plan in enumerate(plans)
        if plan.shape.pattern.pattern.carries_step and i in steps
        for line, step in zip(plan.lines, steps[i][0])
        if step is not None
    )
    told_lines = [line for line, _ in told]
    before, unit = run.carried()
    for i, plan in enumerate(plans):
        if i not in steps:
            carried = [
                told[at - 1][1] if at else before for at in (bisect_right(told_lines, line) for line in plan.lines)
            ]
            steps[i] = carried, "iteration" if told else unit
    if told:
        place.step = told[-1][1]
        if told_lines:
            run.told(told[0][1])
    run.swept_told = told
    return [steps[i] for i in range(len(plans))]


def _own_steps(run: RunState, plan: _Plan) -> tuple[Sequence[float | None], str] | None:
    """The steps that the rows print themselves."""
    shape, place = plan.shape, run.place
    if shape.step >= 0:
        if shape.epoch >= 0:
            place.set_epoch(float(plan.rows[-1][shape.epoch]))
        return [float(row[shape.step]) for row in plan.rows], "iteration"
    identity = id(shape.pattern)
    if shape.iter >= 0:
        steps = []
        for row in plan.rows:
            if shape.epoch >= 0:
                place.set_epoch(float(row[shape.epoch]))
            total = float(row[shape.iters]) if shape.iters >= 0 else 0.0
            steps.append(place.within(identity, float(row[shape.iter]), total))
        return steps, "iteration"
    if shape.epoch >= 0:
        epochs = [float(row[shape.epoch]) for row in plan.rows]
        place.set_epoch(epochs[0])
        place.set_epoch(epochs[-1])
        place.step = None
        return epochs, "epoch"
    return None


def _gather(
    run: RunState,
    plans: list[_Plan],
    placed: list[tuple[Sequence[float | None], str]],
    lines: Sequence[bytes],
    base: int,
) -> None:
    """Hands the numbers over, each series in the order of lines."""
    batches: dict[int, tuple[Gathered, list[tuple[float | None, int, bytes]]]] = {}
    seldom: set[int] = set()
    told: list[tuple[int, float]] = run.swept_told
    told_lines = [line for line, _ in told]
    for plan, (own, unit) in zip(plans, placed):
        shape = plan.shape
        steps = own
        follows = shape.pattern.pattern.step_follows
        waiting: set[int] = set()
        if follows:
            steps, waiting = _told_after(plan, own, told, told_lines, lines, base)
        if shape.texts:
            _layers(run, plan, steps, waiting)
            continue
        columns: list[tuple[Gathered, Sequence[bytes]]] = []
        if shape.name >= 0:
            _named(run, plan, steps, unit, batches, seldom)
        table = list(zip(*plan.rows)) if shape.columns else []
        for group, target in shape.columns:
            assert isinstance(target, Gathered)
            columns.append((target, table[group]))
        for target, texts in columns:
            target.unit = unit
            batch = batches.get(id(target))
            if batch is None:
                batches[id(target)] = (target, list(zip(steps, plan.lines, texts)))
            else:
                batch[1].extend(zip(steps, plan.lines, texts))
                seldom.add(id(target))
            if waiting:
                run.waiting.append(target)
    for identity, (target, batch_rows) in batches.items():
        if identity in seldom:
            batch_rows.sort(key=lambda row: row[1])
        target.extend(batch_rows)


def _told_after(
    plan: _Plan,
    own: Sequence[float | None],
    told: list[tuple[int, float]],
    told_lines: list[int],
    lines: Sequence[bytes],
    base: int,
) -> tuple[Sequence[float | None], set[int]]:
    """Steps of lines whose step is printed by the next line that carries one; and the lines that still wait."""
    steps = list(own)
    waiting: set[int] = set()
    always = plan.shape.pattern.pattern.step_follows == "always"
    for i, line in enumerate(plan.lines):
        if not always:
            above = lines[line - base - 2] if line - base >= 2 else b"x"
            if above.strip():
                continue
        at = bisect_left(told_lines, line)
        if at < len(told):
            steps[i] = told[at][1]
        else:
            waiting.add(line)
    return steps, waiting


def _named(
    run: RunState,
    plan: _Plan,
    steps: Sequence[float | None],
    unit: str,
    batches: dict[int, tuple[Gathered, list[tuple[float | None, int, bytes]]]],
    seldom: set[int],
) -> None:
    """Rows that print the quantity's name."""
    shape = plan.shape
    by_name: dict[bytes, list[int]] = {}
    for i, row in enumerate(plan.rows):
        by_name.setdefault(row[shape.name], []).append(i)
    for name, rows in by_name.items():
        target = run.target(shape.pattern, name.decode("utf-8", "replace"))
        if not isinstance(target, Gathered):
            continue
        target.unit = unit
        items = [(steps[i], plan.lines[i], plan.rows[i][shape.value]) for i in rows]
        batch = batches.get(id(target))
        if batch is None:
            batches[id(target)] = (target, items)
        else:
            batch[1].extend(items)
            seldom.add(id(target))


def _layers(run: RunState, plan: _Plan, steps: Sequence[float | None], waiting: set[int]) -> None:
    phase, layer, blob = plan.shape.texts
    value = plan.shape.value
    for step, line, row in zip(steps, plan.lines, plan.rows):
        reading = (
            line % PART,
            row[phase].decode(),
            row[layer].decode("utf-8", "replace"),
            row[blob].decode("utf-8", "replace"),
            _number(row[value]),
        )
        if line in waiting:
            run.layers_waiting.append(reading)
        else:
            run.layers.add(LayerReading(step, *reading))


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return number(text.decode())
