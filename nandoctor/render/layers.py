"""What per-layer magnitudes (Caffe's debug_info, a probe) show: the first layer gone bad, and the way there.

No opinion: a table of values as printed, chosen so that the rise through depth and time can be seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from nandoctor.readers.facts import LayerReading

ROWS_SHOWN = 8


class Pass(msgspec.Struct, frozen=True):
    """One forward and backward pass as printed. `number` counts from 1; `step` as printed, if known."""

    number: int
    step: float | None
    readings: tuple[LayerReading, ...]


class LayerRow(msgspec.Struct, frozen=True):
    """A layer's value in the chosen passes (None: not printed). `over_time`: last clean pass against the first;
    `over_depth`: against the row before, in the last pass in which both are finite. `skipped`: rows left out before it.
    """

    layer: str
    values: tuple[float | None, ...]
    over_time: float | None
    over_depth: float | None
    bad: bool
    skipped: int = 0


class LayerSummary(msgspec.Struct, frozen=True):
    """The table. `weights_bad`: whether the first bad layer has a non-finite parameter in that pass; None: unknown."""

    phase: str
    passes: tuple[Pass, ...]
    rows: tuple[LayerRow, ...]
    first_bad: LayerReading | None
    weights_bad: bool | None


def summary(layers: Sequence[LayerReading], *, rows: int = ROWS_SHOWN) -> LayerSummary | None:
    """The first pass, the last clean one and the one that went bad, layer by layer; None without readings.

    The phase shown is the one with the first non-finite value: forward outputs, backward gradients or updates.
    """
    if not layers:
        return None
    passes = split(layers)
    bad_pass, bad = next(((p, r) for p in passes for r in p.readings if not math.isfinite(r.value)), (None, None))
    phase = _phase(bad.phase) if bad else "forward"
    before = [p for p in passes if bad_pass is None or p.number < bad_pass.number]
    chosen = list(dict.fromkeys([*before[:1], *before[-1:], *([bad_pass] if bad_pass else [])]))
    table = [_values(p, phase) for p in chosen]
    order: dict[str, None] = {}
    for column in reversed(table):
        order.update(dict.fromkeys(column))
    clean = [n for n, p in enumerate(chosen) if p is not bad_pass]
    made: list[LayerRow] = []
    for layer in order:
        values = tuple(column.get(layer) for column in table)
        first, last = (values[clean[0]], values[clean[-1]]) if len(clean) > 1 else (None, None)
        depth = _ratio(values, made[-1].values) if made else None
        made.append(LayerRow(layer, values, _over(last, first), depth, bad is not None and layer == bad.layer))
    weights = [
        r.value
        for r in (bad_pass.readings if bad_pass and bad else ())
        if bad and r.layer == bad.layer and _phase(r.phase) == "forward" and r.blob.startswith("param")
    ]
    weights_bad = not all(map(math.isfinite, weights)) if weights else None
    return LayerSummary(phase, tuple(chosen), tuple(_select(made, rows)), bad, weights_bad)


def split(layers: Sequence[LayerReading]) -> list[Pass]:
    """Passes: a new one begins with forward after backward, a new step in forward, or a blob printed again."""
    passes: list[list[LayerReading]] = []
    seen: set[tuple[str, str, str]] = set()
    for reading in layers:
        key = (reading.phase, reading.layer, reading.blob)
        last = passes[-1][-1] if passes else None
        if (
            last is None
            or key in seen
            or (_phase(reading.phase) == "forward" and (_phase(last.phase) != "forward" or last.step != reading.step))
        ):
            passes.append([])
            seen.clear()
        passes[-1].append(reading)
        seen.add(key)
    return [Pass(n, p[0].step, tuple(p)) for n, p in enumerate(passes, 1)]


def _phase(word: str) -> str:
    return word.strip().lower()


def _values(one: Pass, phase: str) -> dict[str, float]:
    """Layer -> its output's (gradient's, update's) value; of several blobs the non-finite or largest one."""
    values: dict[str, float] = {}
    for reading in one.readings:
        if _phase(reading.phase) != phase or (phase == "forward" and reading.blob.startswith("param")):
            continue
        held = values.get(reading.layer)
        if held is None or (math.isfinite(held) and not reading.value <= held):
            values[reading.layer] = reading.value
    return values


def _over(last: float | None, first: float | None) -> float | None:
    if last is None or first is None or not (math.isfinite(last) and math.isfinite(first)) or first <= 0:
        return None
    ratio = last / first
    return ratio if math.isfinite(ratio) else None


def _ratio(values: tuple[float | None, ...], before: tuple[float | None, ...]) -> float | None:
    return next((r for r in map(_over, reversed(values), reversed(before)) if r is not None), None)


def _select(made: Sequence[LayerRow], rows: int) -> list[LayerRow]:
    """The rows that tell most, in the order of the net: the bad one and its neighbours, then the largest growth."""
    if len(made) <= rows:
        return list(made)
    bad = next((n for n, row in enumerate(made) if row.bad), None)
    wanted = [] if bad is None else [n for n in (bad, bad - 1, bad - 2, bad + 1) if 0 <= n < len(made)]
    wanted += [0]
    by_growth = sorted(range(len(made)), key=lambda n: (-_notable(made[n]), n))
    keep = sorted(list(dict.fromkeys(wanted + by_growth))[:rows])
    out, last = [], -1
    for n in keep:
        out.append(msgspec.structs.replace(made[n], skipped=n - last - 1))
        last = n
    return out


def _notable(row: LayerRow) -> float:
    return max(abs(math.log(r)) if r else 0.0 for r in (row.over_time, row.over_depth))
