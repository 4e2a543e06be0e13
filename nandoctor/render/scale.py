"""The value axis of a plot: logarithmic, symmetric-logarithmic or linear, and its tick marks and labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from nandoctor.source import significant

LOG_SPAN = 100.0  # more than two decades between the smallest and the largest value: logarithmic
LEAST_SPAN = 0.2  # of the largest magnitude; a linear axis never shows less
_LN10 = math.log(10.0)


class Scale(msgspec.Struct, frozen=True):
    """Value -> position in [0, 1], bottom to top. `unit` makes the arithmetic safe up to 1e308."""

    kind: Literal["log", "symlog", "linear"]
    unit: float  # linear: the largest magnitude; symlog: where it turns from linear to logarithmic
    low: float  # transformed bounds
    high: float

    def position(self, value: float) -> float:
        """Position of a finite value of the range."""
        return (_forward(self.kind, self.unit, value) - self.low) / (self.high - self.low)

    def value(self, position: float) -> float:
        """The value at a position."""
        t = self.low + position * (self.high - self.low)
        if self.kind == "log":
            return float(10.0 ** min(t, 308.25))
        if self.kind == "symlog":
            return self.unit * math.sinh(t * _LN10)
        return t * self.unit

    def ticks(self, count: int) -> list[float]:
        """About `count` round values between the bounds."""
        if count < 1:
            return []
        if self.kind == "log":
            return _decades(self.low, self.high, count)
        if self.kind == "symlog":
            top, bottom = self.value(1.0), self.value(0.0)
            floor = math.log10(self.unit)
            ticks = [0.0] if bottom < 0.0 < top else []
            if top > self.unit:
                ticks += _decades(floor, math.log10(top), max(1, count // (2 if bottom < -self.unit else 1)))
            if bottom < -self.unit:
                ticks += [-tick for tick in _decades(floor, math.log10(-bottom), max(1, count // 2))]
            return sorted(ticks)
        span = (self.high - self.low) / (count + 1)
        power = 10.0 ** math.floor(math.log10(span) + math.log10(self.unit))
        step = next((m * power for m in (1, 2, 5, 10) if m * power / self.unit >= span), math.inf)
        if not math.isfinite(step) or step / self.unit < 1e-12:
            return []
        first, last = math.ceil(self.low / (step / self.unit)), math.floor(self.high / (step / self.unit))
        return [n * step for n in range(first, min(last, first + 20) + 1)]


def fit(values: Sequence[float]) -> Scale:
    """The scale for finite values, at least one of them: logarithmic where they are positive and span two decades."""
    low, high = min(values), max(values)
    largest = max(abs(low), abs(high))
    if low > 0 and high / low > LOG_SPAN:
        return Scale("log", 1.0, math.log10(low), math.log10(high))
    sizes = sorted(abs(v) for v in values if v != 0.0)
    if sizes and low <= 0 and largest / sizes[0] > LOG_SPAN and largest / sizes[len(sizes) // 2] > LOG_SPAN / 10:
        unit = max(sizes[len(sizes) // 4], largest * 1e-12)
        return Scale("symlog", unit, _forward("symlog", unit, low), _forward("symlog", unit, high))
    unit = largest or 1.0
    low, high = low / unit, high / unit
    missing = LEAST_SPAN - (high - low)
    if missing > 0:  # nearly constant: a change of one per cent must not fill the picture
        low, high = low - missing / 2, high + missing / 2
    return Scale("linear", unit, low, high)


def number(value: float) -> str:
    """Three significant digits, exponents without padding: `2.3`, `1e38`, `NaN`, `-Inf`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return significant(value)


def counted(framework: str) -> str:
    """What the owner's program calls its steps: Caffe and Darknet count iterations; `step` is the neutral word."""
    return "iteration" if framework in ("caffe", "darknet") else "step"


def step_text(step: float) -> str:
    """A step as the log prints it: `11902`, `0.03125`; never grouped, so that it can be searched for."""
    return f"{step:.10g}" if abs(step) < 1e15 else f"{step:.4g}"


def _forward(kind: str, unit: float, value: float) -> float:
    if kind == "log":
        return math.log10(value)
    if kind == "symlog":
        return math.asinh(value / unit) / _LN10
    return value / unit


def _decades(low: float, high: float, count: int) -> list[float]:
    first, last = math.ceil(low), math.floor(high)
    stride = max(1, -(-(last - first + 1) // count))
    return [10.0**exponent for exponent in range(first, min(last, 307) + 1, stride)]
