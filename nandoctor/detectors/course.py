"""The course of the loss: onset, what came before, what comes after, where, growth, jump, plateau."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from nandoctor.detectors.view import View
from nandoctor.diagnosis import CouldNotCheck, Evidence, Note
from nandoctor.readers import series as curves
from nandoctor.readers.facts import Reading, Series
from nandoctor.readers.series import median

Args = dict[str, str | float | int]
SATURATION = 87.3365  # -ln(FLT_MIN): Caffe's softmax loss with the true class at probability 0
FLOOR_1E20 = 46.0517  # -ln(1e-20): MultinomialLogistic and old Infogain losses
EARLY = 100  # the vocabulary's "within the first 100 iterations"
HUGE = 1e4  # CAFFE_FACTS: "1e4 and more means sums, raw targets, raw inputs or a wrong filler"


def nan_onset(view: View) -> Iterator[Evidence]:
    """When the first NaN appears, counted in iterations since the start of the run."""
    if view.start is None:
        if view.loss is not None and view.loss.count >= 2:
            last = view.loss.readings[-1]
            yield view.seen("nan_onset", "never", "no-nan", at=last, series=view.loss, count=view.loss.count)
        return
    series, reading = view.start
    earlier = len(view.before)
    first = series.readings[0]
    relative = _steps_since_start(view, series, reading)
    note: Args = {"step": "?" if reading.step is None else reading.step}
    if earlier == 0 and reading.line == first.line:
        if view.epochs_only:
            odds = {"first_iteration": 0.45, "within_100": 0.4, "later": 0.15, "never": 0.001}
        elif not view.from_start:
            late = relative is not None and relative > EARLY
            odds = {"first_iteration": 0.3, "within_100": 0.4 if not late else 0.25, "later": 0.3, "never": 0.001}
        elif relative is not None and relative > EARLY:
            odds = {"first_iteration": 0.3, "within_100": 0.4, "later": 0.3, "never": 0.001}
        elif relative is not None and relative > 2:
            odds = {"first_iteration": 0.45, "within_100": 0.52, "later": 0.03, "never": 0.001}
        else:
            odds = {"first_iteration": 0.9, "within_100": 0.08, "later": 0.02, "never": 0.001}
    elif view.epochs_only:
        odds = {"first_iteration": 0.02, "within_100": 0.3, "later": 0.7, "never": 0.001}
    elif relative is not None and relative <= EARLY:
        odds = {"first_iteration": 0.05, "within_100": 0.93, "later": 0.02, "never": 0.001}
    else:
        odds = {"first_iteration": 0.01, "within_100": 0.06, "later": 0.93, "never": 0.001}
    state = max(odds, key=lambda s: odds[s])
    yield view.seen("nan_onset", state, "onset", at=reading, series=series, likelihoods=odds, args=note)


def _steps_since_start(view: View, series: Series, reading: Reading) -> float | None:
    """Iterations from the start to the onset: printed steps where they rise, else readings times interval."""
    index = sum(1 for r in series.readings if r.line < reading.line)
    counted = index * view.interval
    steps = [r.step for r in series.readings if r.step is not None and r.line <= reading.line]
    if steps and reading.step is not None and all(b >= a for a, b in zip(steps, steps[1:])):
        start = steps[0] if view.run.resumed_from or steps[0] > 10 * max(view.interval, 1.0) else 0.0
        return max(reading.step - start, counted if index else 0.0)
    return counted if index or reading.step is None else max(reading.step, 0.0)


def onset_kind(view: View) -> Iterator[Evidence]:
    """Whether the first non-finite value is inf (an overflow, or -log 0) or nan."""
    if view.onset is not None:
        series, reading = view.onset
        state = "inf" if math.isinf(reading.value) else "nan"
        yield view.seen("onset_kind", state, "onset-kind", at=reading, series=series, value=state)


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
        tail = median([r.value for r in before[-5:]])
        head = median([r.value for r in before[: max(1, min(5, len(before) // 4))]])
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
    args: Args = {"rate": rate, "needed": needed, "ratio": approach.ratio}
    if approach.ratio >= 10 and needed <= 4:
        yield view.seen("growth_sufficiency", "explains", "growth-explains", at=last, trust=0.95, args=args)
    elif approach.ratio >= 10:
        odds = {"explains": 0.6, "does_not_explain": 0.4}
        yield view.seen("growth_sufficiency", "explains", "growth-partly", at=last, likelihoods=odds, args=args)
    elif approach.ratio < 3:
        yield view.seen("growth_sufficiency", "does_not_explain", "growth-does-not", at=last, trust=hidden, args=args)


def first_loss(view: View) -> Iterator[Evidence]:
    """Whether the first value is plausible for this loss."""
    loss = view.loss
    if loss is None or not loss.readings:
        return
    first = loss.readings[0]
    if not math.isfinite(first.value):
        if not view.epochs_only and view.from_start and (first.step is None or first.step <= 2 or view.interval <= 2):
            yield view.seen("first_loss", "nonfinite", "first-nonfinite", at=first, trust=0.95)
        return
    if not view.from_start:
        return
    value = abs(first.value)
    if value == 0.0 and view.hidden_onset is None:
        more = sum(1 for r in loss.readings[:5] if r.value == 0.0)
        yield view.seen("first_loss", "zero", "first-zero", at=first, trust=0.9 if more >= 2 else 0.6)
        return
    if view.hidden_onset is not None and first.line >= view.hidden_onset[1].line:
        return
    expected = _expected_first(view, loss)
    excess = value / expected if expected else value / 10.0
    # Published limits for "too large a first loss" differ a thousandfold, so the state is graded.
    huge = 1.0 / (1.0 + (HUGE_RATIO / max(excess, 1e-9)) ** 1.5)
    odds = {"huge": max(huge, 0.01), "normal": max(1.0 - huge, 0.01), "zero": 0.005, "nonfinite": 0.005}
    state = "huge" if huge >= 0.5 else "normal"
    args: Args = {"value": first.value, "expected": expected or 0.0}
    name = f"first-{state}" + ("-classes" if expected else "")
    yield view.seen("first_loss", state, name, at=first, likelihoods=odds, args=args)


HUGE_RATIO = 30.0  # times the expected value (or times 10 where nothing is known) at which "huge" is as likely as not


def _expected_first(view: View, loss: Series) -> float | None:
    """ln(classes) of the net's softmax loss, times its weight, if the net says so."""
    if view.net is None:
        return None
    sizes = {layer.tops[0]: layer.get("inner_product_param.num_output") or layer.get("convolution_param.num_output")
             for layer in view.net.layers if layer.tops}  # fmt: skip
    heads = [layer for layer in view.net.for_phase("TRAIN") if layer.type == "SoftmaxWithLoss" and layer.bottoms]
    if len(heads) != 1:
        return None
    classes = sizes.get(heads[0].bottoms[0])
    weight = heads[0].loss_weights[0] if heads[0].loss_weights else 1.0
    return math.log(classes) * weight if isinstance(classes, int) and classes > 1 and weight > 0 else None


def after_nan(view: View) -> Iterator[Evidence]:
    """What the loss does after its first non-finite value, judged on a raw series where there is one."""
    if view.start is None or view.loss is None:
        return
    series, _ = view.start
    judged = series if series.role in ("loss", "loss_part", "grad_norm") else view.loss
    if judged.first_nonfinite is None:
        return
    gradient = view.gradient
    if judged is not gradient and gradient is not None and not judged.finite_after_nonfinite:
        # Some loggers poison every later loss; a gradient that stays finite shows that the weights survived.
        later = [r for r in gradient.readings if r.line > judged.first_nonfinite.line]
        alive = [r for r in later if math.isfinite(r.value) and r.value > 0]
        if len(alive) >= 3 and len(alive) > len(later) / 2:
            yield view.seen("after_nan", "recovers", "gradient-alive", at=alive[0], series=gradient, trust=0.93)
            yield view.seen("regularity", "isolated_steps", "gradient-alive", at=alive[0], series=gradient, trust=0.8)
            return
    last = judged.readings[-1]
    after = judged.nonfinite_count + judged.finite_after_nonfinite - 1
    args: Args = {"finite": judged.finite_after_nonfinite, "nonfinite": judged.nonfinite_count}
    if judged.finite_after_nonfinite > max(1, judged.nonfinite_count // 20):
        back = next(r for r in judged.readings if r.line > judged.first_nonfinite.line and math.isfinite(r.value))
        yield view.seen("after_nan", "recovers", "recovers", at=back, series=judged, args=args)
        state = "once" if judged.nonfinite_count == 1 else "isolated_steps"
        if judged.nonfinite_count > judged.finite_after_nonfinite / 2 and judged.nonfinite_count > 3:
            state = "alternating"
        yield view.seen("regularity", state, "regularity", at=back, series=judged, trust=0.9, args=args)
    elif after <= 1:
        yield view.seen("after_nan", "run_ends", "run-ends", at=last, series=judged, trust=0.9, args=args)
    else:
        running = judged.role == "loss_running"
        if running and not view.epochs_only:
            return  # a running value may be poisoned although the training recovered
        yield view.seen("after_nan", "for_ever", "for-ever", at=last, series=judged, trust=0.97, args=args)
        yield view.seen("regularity", "every_step_after", "regularity", at=last, series=judged, trust=0.95, args=args)


def gradient_at_nan(view: View) -> Iterator[Evidence]:
    """The gradient norm printed with the first NaN loss: zero means that the NaN came from a mean over nothing."""
    gradient = view.gradient
    if gradient is None or view.onset is None:
        return
    line, step = view.onset[1].line, view.onset[1].step
    at = next((r for r in gradient.readings if r.line == line or (step is not None and r.step == step)), None)
    if at is None:
        return
    state = "nonfinite" if not math.isfinite(at.value) else "zero" if at.value == 0.0 else "finite"
    yield view.seen("gradient_at_nan", state, f"gradient-at-nan-{state}", at=at, series=gradient, value=at.value)


def poisoned_display(view: View) -> Iterator[Evidence]:
    """The running value stays non-finite although the raw value is finite again."""
    running = [s for s in view.run.of("loss_running") if s.first_nonfinite and not s.finite_after_nonfinite]
    raw = [s for s in view.run.of("loss", "loss_part") if s.finite_after_nonfinite or s.first_nonfinite is None]
    for bad in running:
        assert bad.first_nonfinite is not None
        good = [s for s in raw if any(r.line > bad.first_nonfinite.line for r in s.readings)]
        if good and len(good) == len(view.run.of("loss", "loss_part")):
            yield view.seen("poisoned_display", "yes", "poisoned", at=bad.first_nonfinite, series=bad)
            return


_PARTS = (
    ("ctc", "ctc"),
    ("kl_or_latent", r"kl|kld|latent|kl_loss|vq|commit"),
    ("box_or_regression", r"box|bbox|reg|loc|giou|iou|xy|wh|smooth|dfl|landm"),
    ("objectness_or_mask", r"obj|conf|mask|dice"),
    ("auxiliary", r"aux|loss[12]/"),
    ("generator_or_discriminator", r"loss_?[gd]\b|[gd]_loss|[gd] loss|gen|disc|adv"),
    ("classification", r"cls|class|ce\b|softmax|label"),
)


def which_part(view: View) -> Iterator[Evidence]:
    """Which of several losses becomes non-finite first, and whether the others stay finite."""
    parts = [s for s in view.run.of("loss_part") if s.count >= 1]
    names = {s.quantity for s in parts}
    if len(names) < 2:
        return
    bad = [s for s in parts if s.first_nonfinite is not None]
    if not bad:
        return
    first = min(bad, key=lambda s: s.first_nonfinite.line if s.first_nonfinite else 0)
    assert first.first_nonfinite is not None
    step, line = first.first_nonfinite.step, first.first_nonfinite.line
    together = [s for s in bad if s.first_nonfinite and _same_moment(s.first_nonfinite, step, line)]
    at = first.first_nonfinite
    if len(together) == len(parts):
        yield view.seen("first_bad_part", "all_at_once", "all-parts", at=at, series=first, count=len(parts), trust=0.9)
        return
    quantity = together[0].quantity if len(together) == 1 else ", ".join(s.quantity for s in together[:3])
    state = next((state for state, rx in _PARTS if re.search(rx, together[0].quantity.lower())), "total_only")
    if state != "total_only":
        yield view.seen("first_bad_part", state, "first-part", at=at, series=first, name=quantity, trust=0.9)


def _same_moment(reading: Reading, step: float | None, line: int) -> bool:
    return reading.line == line or (step is not None and reading.step == step)


def nonfinite_where(view: View) -> Iterator[Evidence]:
    """Which quantity is non-finite: the loss, one of several, a metric, the validation, the gradient, none."""
    run = view.run
    if view.onset is not None:
        series, reading = view.onset
        parts = {s.quantity: s for s in run.of("loss_part") if s.count > 1 or s.first_nonfinite}
        finite = [s for s in parts.values() if s.first_nonfinite is None]
        still = [
            s for s in parts.values()
            if s.first_nonfinite and reading.step is not None and s.first_nonfinite.step is not None
            and s.first_nonfinite.step > reading.step + 2 * view.interval
        ]  # fmt: skip
        bad = [s for s in parts.values() if s.first_nonfinite]
        if len(parts) >= 2 and bad and (finite or still):
            name = min(bad, key=lambda s: s.first_nonfinite.line if s.first_nonfinite else 0).quantity
            trust = 0.95 if finite else 0.75
            yield view.seen("nonfinite_where", "one_loss_of_several", "one-of-several", at=reading, series=series,
                            name=name, finite=len(finite) + len(still), trust=trust)  # fmt: skip
        else:
            yield view.seen(
                "nonfinite_where", "loss", "loss-nonfinite", at=reading, series=series, name=series.quantity
            )
        return
    if view.hidden_onset is not None:
        series, reading = view.hidden_onset
        odds = {"loss": 0.8, "gradients_only": 0.5, "one_loss_of_several": 0.1, "none": 0.001, "metric_only": 0.001,
                "validation_only": 0.001}  # fmt: skip
        yield view.seen("nonfinite_where", "loss", "hidden", at=reading, series=series, likelihoods=odds)
        return
    gradient = view.gradient
    if gradient is not None and gradient.first_nonfinite is not None:
        share = gradient.nonfinite_count / max(gradient.count, 1)
        if share > 0.2 or gradient.nonfinite_count > 5:
            yield view.seen("nonfinite_where", "gradients_only", "gradient-nonfinite", at=gradient.first_nonfinite,
                            series=gradient, count=gradient.nonfinite_count, trust=0.9)  # fmt: skip
            return
    for role, state in (("validation_loss", "validation_only"), ("validation_metric", "metric_only"),
                        ("metric", "metric_only")):  # fmt: skip
        for series in run.of(role):  # type: ignore[arg-type]
            if series.first_nonfinite is not None:
                yield view.seen("nonfinite_where", state, state.replace("_", "-"), at=series.first_nonfinite,
                                series=series, name=series.quantity, trust=0.985)  # fmt: skip
                return
    if view.loss is not None and view.loss.count >= 2:
        yield view.seen("nonfinite_where", "none", "all-finite", at=view.loss.readings[-1], series=view.loss)


def loss_saturated(view: View) -> Iterator[Evidence]:
    """Whether the loss sits at a ceiling: 87.3365 or 46.0517, times a printed weight."""
    best: tuple[int, Reading, Series, float] | None = None
    total = 0
    for series in view.run.of("loss", "loss_part", "loss_running"):
        weight = abs(series.weight or 1.0) or 1.0
        total += series.count
        for ceiling in (SATURATION, FLOOR_1E20):
            hits = [r for r in series.readings if abs(abs(r.value) / weight - ceiling) < 0.002 * ceiling]
            hits = hits or [r for r in series.readings if abs(abs(r.value) - ceiling) < 0.002 * ceiling]
            if len(hits) >= 2 and (best is None or len(hits) > best[0]):
                best = (len(hits), hits[0], series, ceiling)
        # Part of a batch at the ceiling shows as a value below it (k / batch of 87.3365), print after print.
        if view.run.framework == "caffe" and best is None:
            near = [r for r in series.readings if 0.6 * SATURATION <= abs(r.value) / weight <= 1.002 * SATURATION]
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
    elif progress:
        odds = {"learning": 0.9, "stuck": 0.1, "spiky": 0.1, "erratic": 0.05, "diverged": 0.01}
        yield view.seen("finite_course", "learning", "learning", at=last, series=loss, likelihoods=odds, args=args)
    elif high - low > 0.5 * abs(head) and len(values) >= 8:
        odds = {"erratic": 0.7, "stuck": 0.3, "learning": 0.2, "spiky": 0.1, "diverged": 0.1}
        yield view.seen("finite_course", "erratic", "erratic", at=last, series=loss, likelihoods=odds, args=args)
    else:
        flat = (high - low) < 1e-3 * max(abs(high), 1e-9) and len(values) >= 8
        odds = {"stuck": 0.9, "learning": 0.05 if flat else 0.3, "spiky": 0.05, "diverged": 0.03, "erratic": 0.2}
        yield view.seen("finite_course", "stuck", "stuck", at=last, series=loss, likelihoods=odds, args=args)


JUMP_IN_COURSE = 4.0  # a peak this many times the level before and after is a spike, not noise


def loss_below_zero(view: View) -> Iterator[Evidence]:
    """A training loss that becomes negative after having been positive (GAN and likelihood losses may)."""
    adversarial = any(re.search(_PARTS[5][1], s.quantity.lower()) for s in view.run.of("loss", "loss_part"))
    for series in view.run.of("loss", "loss_part"):
        negative = [r for r in series.finite() if r.value < 0]
        if negative and not adversarial and len(negative) >= 2:
            at = negative[0]
            trust = 0.9 if series.readings[0].value > 0 else 0.7
            yield view.seen("loss_below_zero", "yes", "below-zero", at=at, series=series, value=at.value, trust=trust)
            return
    if view.loss is not None and view.loss.count >= 3:
        yield view.seen("loss_below_zero", "no", "not-below-zero", at=view.loss.readings[-1], trust=0.95)


def loss_exactly_zero(view: View) -> Iterator[Evidence]:
    """Loss exactly 0: empty targets, or Hugging Face's hidden NaN when the gradient norm beside it is nan."""
    if view.hidden_onset is not None:
        series, reading = view.hidden_onset
        yield view.seen("loss_exactly_zero", "with_nan_gradient", "hidden", at=reading, series=series)
        return
    for series in view.run.of("loss", "loss_part"):
        zeros = [r for r in series.readings if r.value == 0.0]
        # A loss that has come down to nothing rounds to 0.0000 when printed; that is no sign of anything.
        nearby = [abs(r.value) for r in series.finite() if r.value != 0.0][-20:]
        if len(zeros) >= 1 and (not nearby or median(nearby) > 1e-2):
            yield view.seen("loss_exactly_zero", "yes", "exactly-zero", at=zeros[0], series=series, count=len(zeros),
                            trust=0.9 if len(zeros) > 1 else 0.7)  # fmt: skip
            return
    if view.loss is not None and view.loss.count >= 3:
        yield view.seen("loss_exactly_zero", "no", "never-zero", at=view.loss.readings[0], trust=0.95)


def nan_sign(view: View) -> Iterator[Evidence]:
    """Caffe on a CPU: `-nan` was computed (0/0, inf - inf), plain `nan` was read from data, weights or a prototxt."""
    if view.onset is None or view.run.framework != "caffe":
        return
    cpu = view.solver is not None and str(view.solver.get("solver_mode", "GPU")) in ("CPU", "0")
    cpu = cpu or any(e.kind in ("caffe-use-cpu", "use-cpu") for e in view.run.events)
    _, reading = view.onset
    first = next((s for s in view.run.of("loss", "loss_part", "loss_running")
                  if s.first_nonfinite and math.isnan(s.first_nonfinite.value)
                  and s.first_nonfinite.line <= reading.line + 3), None)  # fmt: skip
    if not cpu or first is None or first.first_nonfinite is None:
        return
    state = "computed" if first.sign == "-" else "read"
    yield view.seen("nan_sign", state, f"sign-{state}", at=first.first_nonfinite, series=first, trust=0.9)


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
        elif values[-1] > values[0]:
            yield view.seen("accuracy_course", "learning", "accuracy-learning", at=series.readings[-1], series=series,
                            trust=0.85)  # fmt: skip
        return


def resumed_at_onset(view: View) -> Iterator[Evidence]:
    """NaN within a few readings of loading a snapshot."""
    if not view.run.resumed_from or view.start is None:
        return
    soon = len(view.before) <= 3
    yield view.seen("resumed_at_onset", "yes" if soon else "no", "resumed", at=view.start[1], series=view.start[0],
                    name=view.run.resumed_from, trust=0.9)  # fmt: skip


def crash(view: View) -> Iterator[Evidence]:
    """How the log ends: whole, in an abort that follows the NaN, in a segmentation fault, in an exception."""
    ended = view.run.ended
    if not ended:
        return
    if ended != "crashed":
        yield Evidence("crash", "none", "log", (), Note("seen:ended-whole"), trust=0.97)
        return
    last = max(view.run.events, key=lambda e: e.location.line, default=None)
    segfault = next((e for e in view.run.events if e.kind == "segfault"), None)
    told = segfault or last
    where = (told.location,) if told else ()
    if view.start is not None:
        state = "abort_after_nan"
    elif segfault is not None:
        state = "segfault_without_nan"
    else:
        state = "assertion"
    yield view.seen("crash", state, f"crash-{state}", where=where, trust=0.98)


def no_loss(view: View) -> Iterator[CouldNotCheck]:
    """A log without any loss answers nothing about the course."""
    if view.loss is None:
        yield CouldNotCheck("loss_before_nan", Note("unchecked:no-loss"), Note("how:print-loss"))


DETECTORS = (
    nan_onset,
    onset_kind,
    loss_before_nan,
    growth_sufficiency,
    first_loss,
    after_nan,
    gradient_at_nan,
    poisoned_display,
    which_part,
    nonfinite_where,
    loss_saturated,
    finite_course,
    loss_below_zero,
    loss_exactly_zero,
    nan_sign,
    accuracy_course,
    resumed_at_onset,
    crash,
    no_loss,
)
