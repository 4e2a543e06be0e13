"""Learning rate, gradient norm, loss scale: their values, their trend, their first bad line."""

from __future__ import annotations

import math
from collections.abc import Iterator

from nandoctor.detectors.onset import skips_steps
from nandoctor.detectors.view import View
from nandoctor.diagnosis import CouldNotCheck, Evidence, Note
from nandoctor.readers import series as curves
from nandoctor.readers.facts import Reading, Series
from nandoctor.readers.series import median

Args = dict[str, str | float | int]
# Learning rates by framework: (usual up to, large up to), after published defaults (AdamW 1e-3 .. 5e-5, SGD 0.01 .. 0.1
# with batch norm). Optimizers are seldom printed, so the states are graded.
USUAL = {"hf": (1e-3, 2e-2), "llm_trainer": (2e-3, 3e-2), "keras": (1e-2, 2e-1)}
CLIMBED = 100.0  # times its first value: the norm exploded, whatever it did afterwards
USUAL_DEFAULT = (5e-2, 5e-1)


def _learning_rate(view: View) -> Series | None:
    return max(view.run.of("lr"), key=lambda s: s.count, default=None)


def lr_value(view: View) -> Iterator[Evidence | CouldNotCheck]:
    """What the log prints for the learning rate: finite, non-finite, zero or negative."""
    series = _learning_rate(view)
    if series is None:
        yield CouldNotCheck("lr_value", Note("unchecked:no-lr"), Note("how:print-lr"))
        return
    if series.first_nonfinite is not None:
        at = series.first_nonfinite
        before = view.start is None or at.line <= view.start[1].line + 1
        yield view.seen("lr_value", "nonfinite", "lr-nonfinite", at=at, series=series, value=at.value, trust=0.997)
        yield view.seen("schedule", "becomes_nonfinite", "lr-nonfinite", at=at, series=series, value=at.value,
                        trust=0.99 if before else 0.8)  # fmt: skip
        return
    negative = [r for r in series.readings if r.value < 0]
    if negative:
        at = negative[0]
        yield view.seen("lr_value", "zero_or_negative", "lr-negative", at=at, series=series, value=at.value)
        yield view.seen("schedule", "becomes_negative", "lr-negative", at=at, series=series, value=at.value)
        return
    zeros = [r for r in series.readings[1:-1] if r.value == 0.0]
    last = series.readings[-1]
    if len(zeros) >= max(3, len(series.readings) // 3):
        yield view.seen("lr_value", "zero_or_negative", "lr-zero", at=zeros[0], series=series, trust=0.85)
        return
    yield view.seen("lr_value", "finite", "lr-finite", at=last, series=series, value=last.value)


def lr_trend(view: View) -> Iterator[Evidence]:
    """How the learning rate moves: constant, falling, or rising beyond a warm-up."""
    series = _learning_rate(view)
    if series is None:
        return
    readings = [r for r in series.finite() if r.value > 0]
    if len(readings) < 3:
        return
    values = [r.value for r in readings]
    low, high = min(values), max(values)
    first, last = values[0], values[-1]
    at = readings[-1]
    args: Args = {"first": first, "last": last}
    if high <= 1.01 * low:
        yield view.seen("lr_trend", "constant", "lr-constant", at=at, series=series, args=args)
        if view.run.of("lr")[0].first_nonfinite is None:
            yield view.seen("schedule", "valid", "lr-constant", at=at, series=series, trust=0.9, args=args)
        return
    ups = sum(b > a * 1.0001 for a, b in zip(values, values[1:]))
    downs = sum(b < a * 0.9999 for a, b in zip(values, values[1:]))
    rising = last >= 0.99 * high and last > 2.0 * first and ups > 5 * max(downs, 0) and ups >= 2
    if rising:
        ratios = [b / a for a, b in zip(values, values[1:]) if a > 0]
        geometric = median(ratios[len(ratios) // 2 :]) > 1.03
        # A warm-up rises linearly and stops; growth by a factor at every print, or far beyond, is no warm-up.
        endless = last == high > USUAL_DEFAULT[1] and high > 20 * first  # far beyond any rate, and still rising
        if endless or (geometric and high > 20 * first):
            yield view.seen("lr_trend", "rising", "lr-rising", at=at, series=series, trust=0.95, args=args)
            yield view.seen("schedule", "grows", "lr-rising", at=at, series=series, trust=0.95, args=args)
        else:
            odds = {"rising": 0.5, "constant": 0.25, "falling": 0.25}
            yield view.seen("lr_trend", "rising", "lr-warming", at=at, series=series, likelihoods=odds, args=args)
            yield view.seen("warmup", "yes", "lr-warming", at=at, series=series, trust=0.75, args=args)
    elif last < first or downs > ups:
        yield view.seen("lr_trend", "falling", "lr-falling", at=at, series=series, args=args)
        peak = values.index(high)
        if 2 <= peak < len(values) - 2 and high > 1.5 * first:
            yield view.seen("warmup", "yes", "lr-warmed", at=readings[peak], series=series, trust=0.9, args=args)


def lr_size(view: View) -> Iterator[Evidence]:
    """The printed learning rate against what is usual, the optimizer being unknown (Caffe's solver check is surer)."""
    series = _learning_rate(view)
    if series is None or view.run.framework in ("caffe", "darknet"):
        return
    values = [r.value for r in series.finite() if r.value > 0]
    if not values:
        return
    if view.start is not None:
        early = [r.value for r in series.finite() if r.value > 0 and r.line <= view.start[1].line]
        values = early or values[:1]
    if any(item.observation == "schedule" and item.state == "grows" for item in lr_trend(view)):
        values = values[:1]  # a schedule that grows makes the rate huge later on; what was chosen is the first value
    top = max(values)
    usual, large = USUAL.get(view.run.framework, USUAL_DEFAULT)
    if top <= usual / 1000:
        odds = {"tiny": 0.8, "usual": 0.3, "large": 0.02, "huge": 0.01}
    elif top <= usual:
        odds = {"tiny": 0.05, "usual": 0.85, "large": 0.2, "huge": 0.03}
    elif top <= large:
        odds = {"tiny": 0.01, "usual": 0.2, "large": 0.8, "huge": 0.15}
    else:
        odds = {"tiny": 0.01, "usual": 0.03, "large": 0.3, "huge": 0.9}
    state = max(odds, key=lambda s: odds[s])
    at = next(r for r in series.readings if r.value == top)
    yield view.seen("lr_size", state, f"lr-{state}", at=at, series=series, likelihoods=odds, value=top)


def grad_norm_before_nan(view: View) -> Iterator[Evidence | CouldNotCheck]:
    """How the gradient norm behaved before the NaN."""
    gradient = view.gradient
    if gradient is None:
        if view.start is not None:
            yield CouldNotCheck("grad_norm_before_nan", Note("unchecked:no-grad-norm"), Note("how:print-grad-norm"))
        return
    first = gradient.readings[0]
    skipping = view.start is None and skips_steps(view, gradient)
    if not math.isfinite(first.value) and skipping:
        return  # a dynamic loss scale that starts too high skips its first steps
    if not math.isfinite(first.value):
        early = first.step is None or first.step <= 10 * max(view.interval, 1) or len(view.before) <= 1
        trust = 0.95 if early else 0.6
        yield view.seen("grad_norm_before_nan", "nonfinite_from_start", "grad-from-start", at=first, series=gradient,
                        trust=trust)  # fmt: skip
        yield view.seen("gradient_scale_at_start", "nonfinite", "grad-from-start", at=first, series=gradient, trust=0.9)
        return
    state = "huge" if first.value > 1e4 else "zero" if first.value == 0.0 else "usual"
    yield view.seen("gradient_scale_at_start", state, f"grad-start-{state}", at=first, series=gradient, trust=0.9,
                    value=first.value)  # fmt: skip
    stop = min((r.line for r in (gradient.first_nonfinite, view.start[1] if view.start else None) if r), default=None)
    before: list[Reading] = [r for r in gradient.finite() if stop is None or r.line <= stop]
    if len(before) < 2:
        return
    approach = curves.approach(before)
    assert approach is not None
    args: Args = {"first": before[0].value, "last": approach.last, "ratio": approach.ratio}
    late = median([abs(r.value) for r in before[-5:]])
    climbed = late >= CLIMBED * max(abs(before[0].value), 1e-30) and late > 1e3
    # In a run that broke off before any NaN a norm counts as exploding if it is huge, or rose to the end without pause.
    broke_off = approach.steps_growing >= 4 and approach.ratio >= 20
    if climbed or (approach.ratio >= 10 and (view.start is not None or approach.last > 1e4 or broke_off)):
        yield view.seen(
            "grad_norm_before_nan", "exploding", "grad-exploding", at=before[-1], series=gradient, args=args
        )
    elif abs(approach.last) < 1e-7 * max(before[0].value, 1e-30) or approach.last == 0.0:
        yield view.seen("grad_norm_before_nan", "vanishing", "grad-vanishing", at=before[-1], series=gradient,
                        trust=0.85, args=args)  # fmt: skip
    else:
        yield view.seen("grad_norm_before_nan", "steady", "grad-steady", at=before[-1], series=gradient, trust=0.93,
                        args=args)  # fmt: skip


def loss_scale(view: View) -> Iterator[Evidence]:
    """What the mixed-precision loss scale does, where it is printed."""
    series = max(view.run.of("loss_scale"), key=lambda s: s.count, default=None)
    if series is None or len(series.readings) < 2:
        return
    values = [r.value for r in series.finite() if r.value >= 0]
    if len(values) < 2:
        return
    falls = sum(b < 0.9 * a for a, b in zip(values, values[1:]))
    rises = sum(b > 1.1 * a for a, b in zip(values, values[1:]))
    at = series.readings[-1]
    args: Args = {"first": values[0], "last": values[-1], "falls": falls}
    if max(values) <= 1.0:
        return  # a constant 1 means that scaling is off
    if values[-1] <= max(1.0, values[0] / 2**8) and falls > 3 * rises:
        yield view.seen("loss_scale", "collapsing", "scale-collapsing", at=at, series=series, trust=0.95, args=args)
    elif falls:
        yield view.seen("loss_scale", "occasional_skips", "scale-skips", at=at, series=series, trust=0.9, args=args)
    else:
        yield view.seen("loss_scale", "steady", "scale-steady", at=at, series=series, trust=0.9, args=args)


DETECTORS = (lr_value, lr_trend, lr_size, grad_norm_before_nan, loss_scale)
