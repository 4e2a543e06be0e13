"""The loss curve as an inline SVG that takes its colours from the page, or its own where it is taken out of it."""

from __future__ import annotations

import math
from html import escape

from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Run
from nandoctor.render.plot import Curve, curve, mark_text, unit_word
from nandoctor.render.scale import Scale, number, step_text
from nandoctor.source import printable

WIDTH, HEIGHT = 860, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 26, 30
TICK_GAP = 22
POINTS_PER_COLUMN = 4  # first, smallest, largest, last of a column of the picture: no extreme is lost


def loss_svg(run: Run, lang: str, kb: KnowledgeBase) -> str:
    """The curve of a run, or "" where there are fewer than two finite values."""
    view = curve(run)
    if view is None or view.scale is None or sum(math.isfinite(y) for _, y in view.points) < 2:
        return ""
    title = kb.text(f"plot.title-{view.scale.kind}", lang, quantity=printable(view.series.quantity))
    label = mark_text(run, view.mark, lang, kb) if view.mark else ""
    unit = kb.text(unit_word(run) if view.by_step else "plot.line", lang)
    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}. {label}")}">',
        *_grid(view.scale),
        f'<path class="axis" stroke="gray" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
        *(
            f'<polyline class="loss" fill="none" stroke="#0b5cad" points="{points}"/>'
            for points in _lines(view, view.scale)
        ),
        *_nonfinite(view),
        _text(LEFT, 14, title, "start"),
        _text(LEFT, HEIGHT - 8, step_text(view.start), "start"),
        _text(WIDTH - RIGHT, HEIGHT - 8, _end(view), "end"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, unit, "middle"),
    ]
    if view.mark:
        x = WIDTH - RIGHT if view.mark.x is None else _x(view, view.mark.x)
        if view.mark.x is not None:
            parts.append(f'<path class="onset" stroke="#b3261e" d="M{x:.1f} {TOP - 6}V{HEIGHT - BOTTOM}"/>')
        right = x > WIDTH / 2
        parts.append(
            _text(x - 6 if right else x + 6, 14 if right else TOP + 8, label, "end" if right else "start", "bad")
        )
    return "\n".join([*parts, "</svg>"])


def _x(view: Curve, x: float) -> float:
    return LEFT + view.across(x) * (WIDTH - LEFT - RIGHT)


def _y(scale: Scale, value: float) -> float:
    return TOP + (1.0 - scale.position(value)) * (HEIGHT - TOP - BOTTOM)


def _end(view: Curve) -> str:
    end = step_text(view.end)
    return f"{end} … {step_text(view.last)}" if view.last > view.end else end


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text{kind} font-size="12" fill="gray" {place}>{escape(text)}</text>'


def _grid(scale: Scale) -> list[str]:
    out: list[str] = []
    used: list[float] = []
    for value in [scale.value(1.0), scale.value(0.0), *scale.ticks(5)]:
        y = _y(scale, value)
        if any(abs(y - other) < TICK_GAP for other in used):
            continue
        used.append(y)
        out.append(f'<path class="grid" stroke="#d5dbe1" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        out.append(_text(LEFT - 6, y + 4, number(value), "end"))
    return out


def _lines(view: Curve, scale: Scale) -> list[str]:
    """Point lists, one per stretch of finite values, thinned to the extremes of each column."""
    stretches: list[list[tuple[float, float]]] = [[]]
    for x, y in view.points:
        if x > view.end:
            break
        if not math.isfinite(y):
            stretches.append([])
        else:
            stretches[-1].append((_x(view, x), _y(scale, y)))
    return [" ".join(f"{x:.1f},{y:.1f}" for x, y in _thin(stretch)) for stretch in stretches if stretch]


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(points) <= WIDTH * POINTS_PER_COLUMN:
        return points if len(points) > 1 else [*points, *points]
    columns: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        columns.setdefault(round(point[0]), []).append(point)
    out: list[tuple[float, float]] = []
    for column in columns.values():
        ends = {column[0], column[-1], min(column, key=lambda p: p[1]), max(column, key=lambda p: p[1])}
        out += sorted(ends)
    return out


def _nonfinite(view: Curve) -> list[str]:
    places = {round(_x(view, x)) for x, y in view.points if not math.isfinite(y) and x <= view.end}
    return [f'<circle class="nan" fill="#b3261e" cx="{x}" cy="{HEIGHT - BOTTOM}" r="3"/>' for x in sorted(places)]
