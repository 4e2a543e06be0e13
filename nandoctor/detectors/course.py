"""The course of the loss: what came before the NaN, growth, plateau, ceiling, spikes, zero, the accuracy beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from nandoctor.detectors.onset import ADVERSARIAL, Args
from nandoctor.detectors.view import View
from nandoctor.diagnosis import CouldNotCheck, Evidence, Note
from nandoctor.readers import series as curves
from nandoctor.readers.facts import Reading, Series
from nandoctor.readers.series import median

SATURATION = 87.3365  # -ln(FLT_MIN): Caffe's softmax loss with the true class at probability 0
FLOOR_1E20 = 46.0517  # -ln(1e-20): MultinomialLogistic and old Infogain losses
HUGE = 1e4  # real Caffe runs: 1e4 and more means sums, raw targets, raw inputs or a wrong filler
LEAP, MIN_CALM = 1e6, 8  # times the level before; readings
SMALL_LOSS = 1e-2
MIN_BELOW = 4  # readings
# Names of losses that are sums of squares, of absolute values or of -log p: below zero they are computed wrongly.
NEVER_NEGATIVE = r"bce|cross|mse|mae|huber|hinge|(?:^|[_/ ])(?:ce|l1|l2)(?:$|[_/ ])"
RISEN = 30.0  # times the level of the start: no curve that learns climbs so far
JUMP_IN_COURSE = 4.0  # a peak this many times the level before and after is a spike, not noise


def loss_before_nan(view: View) -> Iterator[Evidence]:
    """How the loss behaved before the NaN."""
    if view.start is None or view.loss is None:
        return
    before = view.before
    if not before:
        if view.epochs_only or not view.from_start:
            return  # a whole epoch happened before this number, or the log is an excerpt
        at = view.start[1]
        trust = 0.95 if at.step is None or at.step <= 2 or view.interval <= 2 else 0.6
        yield view.seen("loss_before_nan", "nothing_before", "nothing-before", at=at, trust=trust)
        return
    approach = view.approach
    assert approach is not None
    last, calm, ratio = before[-1], approach.calm, approach.ratio
    grew = approach.steps_growing
    args: Args = {"last": approach.last, "calm": calm, "ratio": ratio, "steps": grew}
    if len(before) == 1:
        if abs(last.value) >= HUGE:
            odds = {"growing": 0.3, "sudden_jump": 0.4, "falling": 0.05, "flat": 0.1, "nothing_before": 0.15}
            yield view.seen("loss_before_nan", "sudden_jump", "one-huge-before", at=last, likelihoods=odds, args=args)
        else:
            odds = {"growing": 0.15, "sudden_jump": 0.15, "falling": 0.15, "flat": 0.3, "nothing_before": 0.25}
            yield view.seen("loss_before_nan", "flat", "one-before", at=last, likelihoods=odds, args=args)
        return
    if ratio >= curves.GROWTH_FACTOR and grew >= 3:
        odds = {"growing": 0.9, "sudden_jump": 0.2 if grew <= 4 else 0.06, "falling": 0.01, "flat": 0.01}
        yield view.seen("loss_before_nan", "growing", "growing", at=last, likelihoods=odds, args=args)
    elif ratio >= curves.JUMP_FACTOR:
        odds = {"growing": 0.45, "sudden_jump": 0.85, "falling": 0.02, "flat": 0.02}
        yield view.seen("loss_before_nan", "sudden_jump", "jump", at=last, likelihoods=odds, args=args)
    elif ratio >= 2.0 and grew >= 2:
        odds = {"growing": 0.6, "sudden_jump": 0.2, "falling": 0.12, "flat": 0.2}
        yield view.seen("loss_before_nan", "growing", "growing", at=last, likelihoods=odds, args=args)
    else:
        tail = median([r.value for r in before[-min(5, len(before) // 2) :]])
        head = median([r.value for r in before[: max(1, min(5, len(before) // 4))]])
        if abs(tail) >= RISEN * max(abs(head), 1e-3):
            # It exploded earlier and stayed up there, so that the last rise is small.
            odds = {"growing": 0.9, "sudden_jump": 0.15, "falling": 0.01, "flat": 0.02}
            args |= {"head": head, "tail": tail}
            yield view.seen("loss_before_nan", "growing", "risen", at=last, likelihoods=odds, args=args)
            return
        fell = head - tail > 0.1 * abs(head)
        if fell:
            odds = {"falling": 0.9, "flat": 0.15, "growing": 0.03, "sudden_jump": 0.03}
            args |= {"head": head, "tail": tail}
            yield view.seen("loss_before_nan", "falling", "falling", at=last, likelihoods=odds, args=args)
        else:
            few = len(before) < 8
            odds = {"flat": 0.85, "falling": 0.35 if few else 0.15, "growing": 0.06, "sudden_jump": 0.05}
            args |= {"count": len(before)}
            yield view.seen("loss_before_nan", "flat", "flat", at=last, likelihoods=odds, args=args)


def growth_sufficiency(view: View) -> Iterator[Evidence]:
    """Whether the measured growth reaches the overflow by the iteration of the NaN: n = (ln M - ln L) / ln r.

    A squared quantity overflows at half the exponent, and divergence accelerates (each step multiplies the ratio too),
    so four printed steps of the last ratio up to sqrt(FLT_MAX) count as enough. With many iterations between two
    prints a rise can hide between them, and the test says less.
    """
    if view.start is None or view.approach is None or len(view.before) < 2:
        return
    approach, last = view.approach, view.before[-1]
    previous = max(abs(view.before[-2].value), 1e-12)
    rate = max(approach.per_step, abs(last.value) / previous)
    needed = (
        curves.steps_to_overflow(last.value, rate, math.sqrt(curves.FLOAT32_MAX)) if approach.ratio >= 3 else math.inf
    )
    hidden = 0.95 if view.interval <= 2 else 0.85 if view.interval <= 10 else 0.7 if view.interval <= 50 else 0.6
    if view.epochs_only:
        hidden = 0.55
    whole = max(1, math.ceil(needed)) if math.isfinite(needed) else "?"  # prints are whole
    args: Args = {"rate": rate, "needed": whole, "ratio": approach.ratio}
    calm = len(view.before) - approach.steps_growing
    if approach.ratio >= LEAP and approach.steps_growing <= 2 and view.interval <= 2 and calm > MIN_CALM:
        # One step from calm to astronomical is no growth: one batch did it, or one update.
        odds = {"explains": 0.5, "does_not_explain": 0.5}
        yield view.seen("growth_sufficiency", "does_not_explain", "leap", at=last, likelihoods=odds, args=args)
    elif approach.ratio >= 10 and needed <= 4:
        yield view.seen("growth_sufficiency", "explains", "growth-explains", at=last, trust=0.95, args=args)
    elif approach.ratio >= 10:
        odds = {"explains": 0.6, "does_not_explain": 0.4}
        yield view.seen("growth_sufficiency", "explains", "growth-partly", at=last, likelihoods=odds, args=args)
    elif approach.ratio < 3:
        yield view.seen("growth_sufficiency", "does_not_explain", "growth-does-not", at=last, trust=hidden, args=args)


def loss_saturated(view: View) -> Iterator[Evidence]:
    """Whether the loss sits at a ceiling: 87.3365 or 46.0517, times a printed weight."""
    best: tuple[int, Reading, Series, float] | None = None
    total = 0
    for series in view.run.of("loss", "loss_part", "loss_running"):
        weight = abs(series.weight or 1.0) or 1.0
        total += series.count
        least, most = 0.9 * FLOOR_1E20 * min(weight, 1.0), 1.1 * SATURATION * max(weight, 1.0)
        readings = [r for r in series.readings if least <= abs(r.value) <= most]  # mostly none
        for ceiling in (SATURATION, FLOOR_1E20):
            hits = [r for r in readings if abs(abs(r.value) / weight - ceiling) < 0.002 * ceiling]
            hits = hits or [r for r in readings if abs(abs(r.value) - ceiling) < 0.002 * ceiling]
            if len(hits) >= 2 and (best is None or len(hits) > best[0]):
                best = (len(hits), hits[0], series, ceiling)
        # Part of a batch at the ceiling shows as a value below it (k / batch of 87.3365), print after print.
        if view.run.framework == "caffe" and best is None:
            near = [r for r in readings if 0.6 * SATURATION <= abs(r.value) / weight <= 1.002 * SATURATION]
            if len(near) >= 5 and len(near) >= 0.3 * series.count:
                best = (len(near), near[0], series, SATURATION)
    if best is not None:
        count, at, series, ceiling = best
        yield view.seen("loss_saturated", "yes", "saturated", at=at, series=series, count=count, ceiling=ceiling)
    elif total >= 3 and view.loss is not None and view.loss.readings:
        yield view.seen("loss_saturated", "no", "not-saturated", at=view.loss.readings[-1], trust=0.95)


def finite_course(view: View) -> Iterator[Evidence]:
    """For a loss that stays finite: does it learn, stand still, run away, or spike and recover?"""
    loss = view.loss
    if loss is None or view.start is not None or loss.count < 4:
        return
    readings = loss.finite()
    if len(readings) < 4:
        return
    values = [r.value for r in readings]
    head = median(values[: max(1, min(5, len(values) // 5))])
    tail = median(values[-max(2, min(20, len(values) // 5)) :])
    low, high = min(values), max(values)
    run = curves.divergence(readings)
    last = readings[-1]
    args: Args = {"head": head, "tail": tail, "low": low, "high": high}
    scale = max(abs(head), 1e-9)
    noise = median([abs(b - a) for a, b in zip(values, values[1:])])
    progress = head - tail > max(0.1 * scale, min(noise, 0.2 * scale))
    # A first value a few times the level that follows is a fast start; far above it, it is a bad one.
    fast_start = not progress and 1.3 * abs(tail) < values[0] <= 10 * abs(tail) and max(values[1:]) <= 1.5 * values[0]
    if run and run.stays and run.factor >= 10 and abs(tail) > 3 * max(abs(values[0]), 1e-9):
        args |= {"factor": run.factor}
        yield view.seen("finite_course", "diverged", "diverged", at=run.peak, series=loss, trust=0.95, args=args)
        yield view.seen("loss_before_nan", "growing", "diverged", at=run.peak, series=loss, trust=0.9, args=args)
    elif tail < -2.0 * scale and min(head, low) < 0 and tail < -1e3:
        yield view.seen("finite_course", "diverged", "below-bound", at=last, series=loss, trust=0.9, args=args)
    elif re.search(ADVERSARIAL, loss.quantity.lower()):
        return  # two nets that play against each other: up and down means nothing
    elif values[0] > 0 and _climbs(values):
        odds = {"diverged": 0.8, "erratic": 0.15, "stuck": 0.1, "spiky": 0.03, "learning": 0.01}
        yield view.seen("finite_course", "diverged", "climbs", at=last, series=loss, likelihoods=odds, args=args)
    elif _ends_in_flight(readings):
        odds = {"diverged": 0.8, "erratic": 0.2, "spiky": 0.1, "stuck": 0.03, "learning": 0.03}
        yield view.seen("finite_course", "diverged", "climbs", at=last, series=loss, likelihoods=odds, args=args)
    elif fast_start:
        odds = {"learning": 0.6, "stuck": 0.4, "erratic": 0.15, "spiky": 0.1, "diverged": 0.02}
        yield view.seen("finite_course", "learning", "learning", at=last, series=loss, likelihoods=odds, args=args)
    elif high > JUMP_IN_COURSE * max(abs(head), abs(tail), 1e-9):
        peak = max(readings, key=lambda r: r.value)
        if progress:
            odds = {"spiky": 0.85, "learning": 0.2, "erratic": 0.1, "stuck": 0.03, "diverged": 0.05}
            yield view.seen("finite_course", "spiky", "spiky", at=peak, series=loss, likelihoods=odds, args=args)
        else:
            odds = {"erratic": 0.85, "spiky": 0.15, "stuck": 0.2, "diverged": 0.15, "learning": 0.01}
            yield view.seen("finite_course", "erratic", "erratic", at=peak, series=loss, likelihoods=odds, args=args)
    elif progress and tail < 0 and tail < 2 * head:
        # Ever deeper below zero: a likelihood may do that, a loss that is bounded below only when it is wrong.
        odds = {"learning": 0.5, "diverged": 0.4, "stuck": 0.1, "erratic": 0.1, "spiky": 0.05}
        yield view.seen("finite_course", "learning", "learning", at=last, series=loss, likelihoods=odds, args=args)
    elif progress:
        odds = {"learning": 0.9, "stuck": 0.1, "spiky": 0.1, "erratic": 0.05, "diverged": 0.01}
        yield view.seen("finite_course", "learning", "learning", at=last, series=loss, likelihoods=odds, args=args)
    elif _climbs([-value for value in values], least=1.02):
        odds = {"learning": 0.8, "stuck": 0.3, "spiky": 0.05, "erratic": 0.05, "diverged": 0.01}
        yield view.seen("finite_course", "learning", "learning", at=last, series=loss, likelihoods=odds, args=args)
    elif high - low > 0.5 * abs(head) and len(values) >= 8:
        odds = {"erratic": 0.7, "stuck": 0.3, "learning": 0.2, "spiky": 0.1, "diverged": 0.1}
        yield view.seen("finite_course", "erratic", "erratic", at=last, series=loss, likelihoods=odds, args=args)
    else:
        flat = (high - low) < 1e-3 * max(abs(high), 1e-9) and len(values) >= 8
        odds = {"stuck": 0.9, "learning": 0.05 if flat else 0.3, "spiky": 0.05, "diverged": 0.03, "erratic": 0.2}
        yield view.seen("finite_course", "stuck", "stuck", at=last, series=loss, likelihoods=odds, args=args)


def _ends_in_flight(readings: Sequence[Reading]) -> bool:
    """Whether a positive curve breaks off in the middle of a rise: four readings upward, to three times its level."""
    rise = curves.approach(readings)
    highest = max(r.value for r in readings)
    return bool(
        rise
        and rise.steps_growing >= 4
        and rise.ratio >= 3
        and rise.last == highest > 1.5 * readings[0].value
        and min(r.value for r in readings) > 0
    )


def _climbs(values: Sequence[float], least: float = 1.5) -> bool:
    """Whether a curve of one sign rises all the way: each fifth above the one before, and by `least` times in all."""
    size = len(values) // 5
    if size < 2 or min(values) * max(values) <= 0:
        return False
    levels = [median(values[n * size : (n + 1) * size]) for n in range(5)]
    ratio = levels[-1] / levels[0] if levels[0] > 0 else levels[0] / levels[-1]
    return ratio > least and all(b > a for a, b in zip(levels, levels[1:]))


def loss_below_zero(view: View) -> Iterator[Evidence]:
    """A training loss that becomes negative after having been positive (GAN and likelihood losses may)."""
    adversarial = any(re.search(ADVERSARIAL, s.quantity.lower()) for s in view.run.of("loss", "loss_part"))
    for series in view.run.of("loss", "loss_part"):
        finite = series.finite()
        negative = [r for r in finite if r.value < 0]
        if len(negative) >= MIN_BELOW and not adversarial and _falls_without_bound(finite):
            yield view.seen("loss_below_zero", "without_bound", "without-bound", at=finite[-1], series=series,
                            value=finite[-1].value, trust=0.99)  # fmt: skip
            return
        if negative and not adversarial and len(negative) >= 2:
            at = negative[0]
            bounded = re.search(NEVER_NEGATIVE, series.quantity.lower())
            trust = 0.97 if bounded else 0.9 if series.readings[0].value > 0 else 0.7
            yield view.seen("loss_below_zero", "yes", "below-zero", at=at, series=series, value=at.value, trust=trust)
            return
    if view.loss is not None and view.loss.count >= 3:
        yield view.seen("loss_below_zero", "no", "not-below-zero", at=view.loss.readings[-1], trust=0.95)


def _falls_without_bound(finite: Sequence[Reading]) -> bool:
    """Far below zero at the end, and ever faster: the second half falls further than the first, and nothing rises."""
    values = [r.value for r in finite]
    half = values[len(values) // 2]
    rises = sum(b > a for a, b in zip(values, values[1:]))
    return values[-1] < -1e3 and half - values[-1] > values[0] - half > 0 and 5 * rises <= len(values)


def loss_exactly_zero(view: View) -> Iterator[Evidence]:
    """Loss exactly 0: empty targets, or Hugging Face's hidden NaN when the gradient norm beside it is nan."""
    if view.hidden_onset is not None:
        series, reading = view.hidden_onset
        yield view.seen("loss_exactly_zero", "with_nan_gradient", "hidden", at=reading, series=series)
        return
    blown_up = _blown_up(view.loss)
    for series in view.run.of("loss", "loss_part"):
        zeros = [r for r in _sudden_zeros(series.finite()) if r.line not in blown_up]
        if zeros:
            yield view.seen("loss_exactly_zero", "yes", "exactly-zero", at=zeros[0], series=series, count=len(zeros),
                            trust=0.9 if len(zeros) > 1 else 0.7)  # fmt: skip
            return
    if view.loss is not None and view.loss.count >= 3:
        yield view.seen("loss_exactly_zero", "no", "never-zero", at=view.loss.readings[0], trust=0.95)


def _blown_up(loss: Series | None) -> set[int]:
    """The lines on which the loss is far above its start: a component that is 0 there died in a net already lost."""
    if loss is None or not loss.readings:
        return set()
    most = 100.0 * max(abs(loss.readings[0].value), 1e-6)
    return {r.line for r in loss.readings if not abs(r.value) <= most}


def _sudden_zeros(finite: Sequence[Reading]) -> list[Reading]:
    """Zeros that do not follow a small value: a loss that has come down to nothing rounds to 0.0000 when printed."""
    found: list[Reading] = []
    last = math.inf
    for reading in finite:
        if reading.value != 0.0:
            last = abs(reading.value)
        elif last > SMALL_LOSS:
            found.append(reading)
    return found


def accuracy_course(view: View) -> Iterator[Evidence]:
    """Accuracy: frozen at one value, exactly 1 together with NaN, or rising."""
    for series in view.run.of("metric", "validation_metric"):
        if not re.search(r"acc|top.?1|precision", series.quantity.lower()):
            continue
        values = [r.value for r in series.finite()]
        if len(values) < 3:
            continue
        if view.start is not None:
            late = [r.value for r in series.finite() if r.line > view.start[1].line]
            early = [r.value for r in series.finite() if r.line < view.start[1].line]
            if len(late) >= 2 and set(late) in ({1.0}, {100.0}):
                yield view.seen("accuracy_course", "perfect", "accuracy-perfect", at=series.readings[-1], series=series)
            elif len(late) >= 3 and max(late) - min(late) < 1e-6:
                yield view.seen("accuracy_course", "frozen", "accuracy-frozen", at=series.readings[-1], series=series,
                                value=late[-1], trust=0.9)  # fmt: skip
            elif len(early) >= 3 and early[-1] > early[0] + 0.1 * max(abs(early[-1]), 1e-9):
                yield view.seen("accuracy_course", "learning", "accuracy-learning", at=series.readings[-1],
                                series=series, trust=0.9)  # fmt: skip
        elif max(values) - min(values) < 1e-9 and len(values) >= 4:
            yield view.seen("accuracy_course", "frozen", "accuracy-frozen", at=series.readings[-1], series=series,
                            value=values[-1], trust=0.8)  # fmt: skip
        elif values[-1] > 1.2 * values[0] or (min(values) > 0 and values[-1] > values[0] + 0.1 * max(values)):
            yield view.seen("accuracy_course", "learning", "accuracy-learning", at=series.readings[-1], series=series,
                            trust=0.85)  # fmt: skip
        return


def no_loss(view: View) -> Iterator[CouldNotCheck]:
    """A log without any loss answers nothing about the course."""
    if view.loss is None:
        yield CouldNotCheck("loss_before_nan", Note("unchecked:no-loss"), Note("how:print-loss"))


DETECTORS = (
    loss_before_nan,
    growth_sufficiency,
    loss_saturated,
    finite_course,
    loss_below_zero,
    loss_exactly_zero,
    accuracy_course,
    no_loss,
)
