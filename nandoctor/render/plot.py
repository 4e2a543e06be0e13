"""The loss over the run, in braille dots: which series, which axis, where it became non-finite; and a sparkline.

A braille cell is two by four dots. Every reading keeps its dot: per column of dots the smallest and the largest value
are drawn, and the line between columns as a plotter would. Non-finite readings break the line and show as `×` below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import le

import msgspec

from nandoctor.diagnosis import Diagnosis
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Reading, Run, Series
from nandoctor.readers.series import first_nonfinite, onset
from nandoctor.render.scale import Scale, counted, fit, number, step_text
from nandoctor.render.width import cut, cut_left, display_width, pad, wrap
from nandoctor.source import Location, printable

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.:-=+*#"
AFTER_ONSET = 0.04  # of the axis is left behind the onset when only NaN follows
TOLD_BY = ("nan_onset", "first_nonfinite_stage", "crash")  # observations that a message of the log can settle
TOLD_LENGTH = 160  # characters of a message

TOTALS = {"loss", "loss_running"}  # the same thing to the reader; a part needs its name


class Mark(msgspec.Struct, frozen=True):
    """Where something became non-finite; `x` on the curve's axis, None if it has no place there."""

    quantity: str
    reading: Reading
    file: str
    x: float | None
    role: str


class Curve(msgspec.Struct, frozen=True):
    """What a plot of the loss shows, before any drawing. `points` are (x, value) in order, non-finite ones too."""

    series: Series
    points: tuple[tuple[float, float], ...]
    by_step: bool  # x is the step as printed, else the line number
    start: float
    end: float
    last: float  # of the whole series; beyond `end` if only NaN follows there
    scale: Scale | None  # None: no finite value
    mark: Mark | None

    def across(self, x: float) -> float:
        """Position of `x` in [0, 1], left to right."""
        return (x - self.start) / (self.end - self.start) if self.end > self.start else 0.0


def loss_series(run: Run) -> Series | None:
    """The series that stands for the loss: raw total, else running total, else the largest part, else validation."""
    candidates = [
        run.of("loss"),
        run.of("loss_running"),
        sorted(run.of("loss_part"), key=_typical, reverse=True),
        run.of("validation_loss"),
    ]
    for enough in (3, 1):  # a total that was printed twice does not hide a component printed at each step
        for group in candidates:
            longest = max((s.count for s in group), default=0)
            best = next((s for s in group if s.count * 2 >= longest and len(s.finite()) >= enough), None)
            if best:
                return best
    return next((s for group in candidates for s in group), None)


def curve(run: Run) -> Curve | None:
    """The loss of a run as points with an axis; None if the run has no loss at all."""
    series = loss_series(run)
    if series is None or not series.readings:
        return None
    readings = series.readings
    steps = [r.step for r in readings if r.step is not None]
    by_step = len(steps) == len(readings) and all(map(le, steps, steps[1:]))
    by_step = by_step and (len(steps) == 1 or steps[0] != steps[-1])
    places = steps if by_step else [float(r.line) for r in readings]
    points = tuple(zip(places, [r.value for r in readings]))
    start = points[0][0]
    last = end = points[-1][0]
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if finite and finite[-1][0] < last:  # only NaN at the end: leave the room to the part with a course
        limit = finite[-1][0] + max((finite[-1][0] - start) * AFTER_ONSET, 0.0)
        behind = [x for x, _ in points if x > finite[-1][0]]
        end = max([x for x in behind if x <= limit], default=behind[0])
    scale = fit([y for _, y in finite]) if finite else None
    return Curve(series, points, by_step, start, end, last, scale, _mark(run, series, by_step, start, end))


def loss_curve(
    run: Run, width: int, height: int, *, ascii_only: bool = False, lang: str, kb: KnowledgeBase
) -> list[str]:
    """The plot in at most `height` lines of at most `width` columns; a sentence where there is nothing to draw.

    Lines: title with the onset's place (one or two), at least two lines of dots, the axis, its ends.
    """
    view = curve(run)
    if view is None:
        return [" " + cut(kb.text("plot.no-loss", lang), width - 1)]
    finite = [y for _, y in view.points if math.isfinite(y)]
    if view.scale is None or len(finite) < 2:
        return [" " + line for text in _in_words(run, view, finite, lang, kb) for line in wrap(text, width - 1)]
    rows = max(2, height - 4)
    ticks = _tick_rows(view.scale, rows)
    margin = max(len(label) for label in ticks.values()) + 1
    columns = max(8, width - margin - 4)
    cells = _raster(view, columns, rows)
    column = _mark_column(view, columns)
    lines = _title(run, view, width, margin + 3, column, ascii_only=ascii_only, lang=lang, kb=kb)
    wall, tee, corner, floor = ("|", "+", "+", "-") if ascii_only else ("│", "┤", "└", "─")
    for number_, row in enumerate(cells):
        text = "".join(_cell(bits, j == column, ascii_only) for j, bits in enumerate(row))
        label = ticks.get(number_, "")
        lines.append(f" {label.rjust(margin)} {tee if label else wall}{text}".rstrip())
    bad = {_column(view, x, columns) for x, y in view.points if not math.isfinite(y) and x <= view.end}
    base = "".join(("x" if ascii_only else "×") if j in bad else floor for j in range(columns))
    lines.append(" " * (margin + 2) + corner + base)
    left, right = step_text(view.start), step_text(view.end)
    if view.last > view.end:
        right += f" {'...' if ascii_only else '…'} {step_text(view.last)}"
    middle = kb.text(unit_word(run) if view.by_step else "plot.line", lang)
    space = columns - len(left) - len(right)
    if space < display_width(middle) + 4:
        middle = ""
    before = max(1, (space - display_width(middle)) // 2)
    after = max(0, space - before - display_width(middle))
    lines.append(" " * (margin + 3) + cut(f"{left}{' ' * before}{middle}{' ' * after}{right}", columns))
    return lines


def spark(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """One line of bars, at most `width` columns: each the largest of its values; `×` where one is non-finite."""
    if not values or width < 1:
        return ""
    bars, cross = (ASCII_BARS, "x") if ascii_only else (BARS, "×")
    finite = [v for v in values if math.isfinite(v)]
    scale = fit(finite) if finite else None
    size = min(width, len(values))
    out = []
    for i in range(size):
        bucket = values[i * len(values) // size : (i + 1) * len(values) // size]
        if scale is None or not all(map(math.isfinite, bucket)):
            out.append(cross)
        else:
            out.append(bars[min(len(bars) - 1, int(scale.position(max(bucket)) * len(bars)))])
    return "".join(out)


def unit_word(run: Run) -> str:
    """Message id of the word for this run's steps."""
    return f"plot.{counted(run.framework)}"


def where(run: Run, reading: Reading, file: str, lang: str, kb: KnowledgeBase) -> str:
    """`iteration 150, train.log:412` in words, the place alone if the line has no step; the header names the folder."""
    place = str(Location(file_name(file), reading.line))
    if reading.step is None:
        return place
    step = kb.text(unit_word(run) + "-n", lang, step=step_text(reading.step))
    return kb.text("plot.where", lang, step=step, place=place)


def mark_text(run: Run, mark: Mark, lang: str, kb: KnowledgeBase, room: int = 200) -> str:
    """`NaN at iteration 150, train.log:412`, with the quantity in front if it is not the loss that is drawn."""
    value = number(mark.reading.value)
    place = where(run, mark.reading, mark.file, lang, kb)
    drawn = loss_series(run)
    same = drawn is not None and (
        drawn.quantity == mark.quantity
        or ({drawn.role, mark.role} <= TOTALS and drawn.first_nonfinite is not None)  # a finite curve holds no NaN
    )
    name = "" if same else printable(mark.quantity)
    text = kb.text("plot.mark", lang, what=f"{cut(name, 28)} {value}".strip(), where=place)
    return cut_left(text, room)


def told_text(diagnosis: Diagnosis, run: Run, lang: str, kb: KnowledgeBase) -> str:
    """What a message says of the end of the run, with its line, where no number shows it; "" otherwise."""
    if next(iter(first_nonfinite(run)), None) is not None:
        return ""
    events = {(event.location.file, event.location.line): event for event in run.events}
    for observation in TOLD_BY:
        for item in diagnosis.observations:
            if item.observation != observation or item.origin != "log":
                continue
            for place in item.locations:
                event = events.get((place.file, place.line))
                if event is not None:
                    name = str(Location(file_name(place.file), place.line))
                    return kb.text("plot.told", lang, where=name, text=cut(printable(event.text).strip(), TOLD_LENGTH))
    return ""


# --- the parts


def file_name(file: str) -> str:
    """A path's last part, whichever way its slashes lean."""
    return file.replace("\\", "/").rsplit("/", 1)[-1] or file


def _typical(series: Series) -> tuple[int, float]:
    sizes = [abs(r.value) for r in series.finite()]
    return (min(len(sizes), 3), sorted(sizes)[len(sizes) // 2] if sizes else 0.0)


def _mark(run: Run, series: Series, by_step: bool, start: float, end: float) -> Mark | None:
    found = onset(run)
    if found is None:
        found = next(iter(first_nonfinite(run)), None)
    if found is None:
        return None
    other, reading = found
    x: float | None = None
    if by_step:
        x = reading.step
    elif other.file == series.file:
        x = float(reading.line)
    if x is not None and not start <= x <= end:
        x = None
    return Mark(other.quantity, reading, other.file, x, other.role)


def _in_words(run: Run, view: Curve, finite: Sequence[float], lang: str, kb: KnowledgeBase) -> list[str]:
    readings = view.series.readings
    quantity = printable(view.series.quantity)
    if not finite:
        first, file = readings[0], view.series.file
        if view.mark and view.mark.quantity == view.series.quantity:
            # of several files, the one that the evidence cites
            first, file = view.mark.reading, view.mark.file
        place = where(run, first, file, lang, kb)
        count = view.series.count
        return [kb.text("plot.no-finite", lang, quantity=quantity, count=count, where=place)]
    only = next(r for r in readings if math.isfinite(r.value))
    place = where(run, only, view.series.file, lang, kb)
    lines = [kb.text("plot.one-value", lang, quantity=quantity, value=number(only.value), where=place)]
    if view.mark:
        lines.append(mark_text(run, view.mark, lang, kb))
    return lines


def _tick_rows(scale: Scale, rows: int) -> dict[int, str]:
    """Row -> label: the true bounds at the ends, round values between, never in adjacent rows."""
    labels = {0: number(scale.value(1.0)), rows - 1: number(scale.value(0.0))}
    middle = (rows - 1) / 2
    placed = [(_dot_row(scale, value, rows) // 4, value) for value in scale.ticks(rows)]
    for row, value in sorted(placed, key=lambda p: abs(p[0] - middle)):
        if all(abs(row - other) > 1 for other in labels):
            labels[row] = number(value)
    return labels


def _dot_row(scale: Scale, value: float, rows: int) -> int:
    dots = rows * 4 - 1
    return min(dots, max(0, round((1.0 - scale.position(value)) * dots)))


def _raster(view: Curve, columns: int, rows: int) -> list[list[int]]:
    scale = view.scale
    grid = [[0] * columns for _ in range(rows)]
    if scale is None:
        return grid
    last_dot = columns * 2 - 1
    before: tuple[int, int] | None = None
    i, points = 0, view.points
    while i < len(points):
        x, y = points[i]
        if x > view.end:
            break
        if not math.isfinite(y):
            before = None
            i += 1
            continue
        dot = round(view.across(x) * last_dot)
        values = [y]
        i += 1
        while i < len(points) and math.isfinite(points[i][1]) and round(view.across(points[i][0]) * last_dot) == dot:
            values.append(points[i][1])
            i += 1
        first, last = _dot_row(scale, values[0], rows), _dot_row(scale, values[-1], rows)
        low, high = _dot_row(scale, max(values), rows), _dot_row(scale, min(values), rows)
        if before is not None:
            _join(grid, before, (dot, first))
        for row in range(low, high + 1):
            grid[row // 4][dot // 2] |= DOTS[row % 4][dot % 2]
        before = (dot, last)
    return grid


def _join(grid: list[list[int]], start: tuple[int, int], stop: tuple[int, int]) -> None:
    across, down = stop[0] - start[0], stop[1] - start[1]
    count = max(abs(across), abs(down), 1)
    for i in range(count + 1):
        column, row = start[0] + round(across * i / count), start[1] + round(down * i / count)
        grid[row // 4][column // 2] |= DOTS[row % 4][column % 2]


def _column(view: Curve, x: float, columns: int) -> int:
    return round(view.across(x) * (columns * 2 - 1)) // 2


def _mark_column(view: Curve, columns: int) -> int | None:
    return _column(view, view.mark.x, columns) if view.mark and view.mark.x is not None else None


def _cell(bits: int, marked: bool, ascii_only: bool) -> str:
    if not bits:
        return (":" if ascii_only else "┊") if marked else " "
    if not ascii_only:
        return chr(0x2800 + bits)
    rows = [row for row, (left, right) in enumerate(DOTS) if bits & (left | right)]
    if len(rows) >= 3:
        return "|"
    return "'" if rows[-1] <= 1 else "." if rows[0] >= 2 else "-"


def _title(
    run: Run,
    view: Curve,
    width: int,
    margin: int,
    column: int | None,
    *,
    ascii_only: bool,
    lang: str,
    kb: KnowledgeBase,
) -> list[str]:
    scale = view.scale.kind if view.scale else "linear"
    title = kb.text(f"plot.title-{scale}", lang, quantity=cut(printable(view.series.quantity), max(12, width // 3)))
    if view.mark is None:
        return [" " + cut(title, width - 1)]
    dots = ":" if ascii_only else "┊"
    label = mark_text(run, view.mark, lang, kb, width - 4)
    size = display_width(label)
    if column is None:
        place, text = width - size, label
    elif margin + column - size - 1 > 0:
        place, text = margin + column - size - 1, f"{label} {dots}"
    else:
        place, text = min(margin + column, width - size - 2), f"{dots} {label}"
        if place != margin + column:
            place, text = width - size, label
    if display_width(title) + 3 <= place:
        return [pad(" " + title, place) + text]
    return [" " + cut(title, width - 1), " " * max(0, place) + text]
