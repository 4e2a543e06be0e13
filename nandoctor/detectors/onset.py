"""The onset: when, which quantity, which value, what comes after, how the log ends."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from nandoctor.detectors.debug import first_bad_of
from nandoctor.detectors.view import View
from nandoctor.diagnosis import Evidence, Note
from nandoctor.readers.facts import Reading, Run, Series
from nandoctor.source import Location

Args = dict[str, str | float | int]
MANY_STEPS = 7  # finite steps from which on their number says no more
EARLY = 100  # the observation's "within the first 100 iterations"
HUGE_RATIO = 30.0  # times the expected value (or times 10 where nothing is known) at which "huge" is as likely as not
HUGE = 1e4  # real Caffe runs: 1e4 and more means sums, raw targets, raw inputs or a wrong filler
ASSERTIONS = ("check-failed", "device-assert-triggered")
# A ValueError or KeyError is no assertion on the data: its message says what it means, the end itself little. The
# probability of such an end, given the state; `none` is small because a program seldom dies while nothing is wrong.
PLAIN_EXCEPTION = {"none": 0.01, "assertion": 0.6, "segfault_without_nan": 0.05, "abort_after_nan": 0.05}
ADVERSARIAL = r"loss_?[gd]\b|[gd]_loss|[gd] loss|gen|disc|adv|^[dg]$"
_PARTS = (
    ("ctc", "ctc"),
    ("kl_or_latent", r"kl|kld|latent|kl_loss|vq|commit"),
    ("box_or_regression", r"box|bbox|reg|loc|giou|iou|xy|wh|smooth|dfl|landm"),
    ("objectness_or_mask", r"obj|conf|mask|dice"),
    ("auxiliary", r"aux|loss[12]/"),
    ("generator_or_discriminator", ADVERSARIAL),
    ("classification", r"cls|class|ce\b|softmax|label"),
)


def nan_onset(view: View) -> Iterator[Evidence]:
    """When the first NaN appears, counted in iterations since the start of the run."""
    if view.start is None:
        if view.loss is not None and view.loss.count >= 2:
            last = view.loss.readings[-1]
            # With a layer that is not finite, a finite loss is luck: Caffe's losses clamp what they are given.
            trust = 0.6 if first_bad_of(view) else 0.985
            yield view.seen("nan_onset", "never", "no-nan", at=last, series=view.loss, trust=trust,
                            count=view.loss.count)  # fmt: skip
        return
    series, reading = view.start
    earlier = len(view.before)
    first = series.readings[0]
    relative = _steps_since_start(view, series, reading)
    note: Args = {} if reading.step is None else {"step": reading.step}
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
        elif reading.step is not None and reading.step <= 1:
            odds = {"first_iteration": 0.97, "within_100": 0.025, "later": 0.005, "never": 0.001}
        else:
            odds = {"first_iteration": 0.9, "within_100": 0.08, "later": 0.02, "never": 0.001}
    elif view.epochs_only:
        odds = {"first_iteration": 0.02, "within_100": 0.3, "later": 0.7, "never": 0.001}
    elif relative is not None and relative <= EARLY:
        odds = {"first_iteration": 0.05, "within_100": 0.93, "later": 0.02, "never": 0.001}
    else:
        odds = {"first_iteration": 0.01, "within_100": 0.06, "later": 0.93, "never": 0.001}
    state = max(odds, key=lambda s: odds[s])
    told = "onset" if note else "onset-unplaced"
    yield view.seen("nan_onset", state, told, at=reading, series=series, likelihoods=odds, args=note)


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
    if view.told_onset is not None:
        series, reading = view.told_onset
        yield view.seen("nonfinite_where", "loss", "loss-nonfinite", at=reading, series=series, name=series.quantity,
                        trust=0.9)  # fmt: skip
        return
    gradient = view.gradient
    if gradient is not None and gradient.first_nonfinite is not None and not skips_steps(view, gradient):
        yield view.seen("nonfinite_where", "gradients_only", "gradient-nonfinite", at=gradient.first_nonfinite,
                        series=gradient, count=gradient.nonfinite_count, trust=0.9)  # fmt: skip
        return
    for role, state in (("validation_loss", "validation_only"), ("validation_metric", "metric_only"),
                        ("metric", "metric_only"), ("other", "metric_only")):  # fmt: skip
        for series in run.of(role):  # type: ignore[arg-type]
            if series.first_nonfinite is not None:
                score = role == "validation_loss" and _beside_a_finite_one(series, run)  # val_mae beside val_loss
                part = "metric_only" if score else state
                trust = 0.97 if role == "other" else 0.985  # of an unknown name nobody can say what it measures
                yield view.seen("nonfinite_where", part, part.replace("_", "-"), at=series.first_nonfinite,
                                series=series, name=series.quantity, trust=trust)  # fmt: skip
                return
    layer = first_bad_of(view)
    if layer is not None:
        args: Args = {"layer": layer.reading.layer, "blob": layer.reading.blob}
        odds = {"gradients_only": 0.5, "loss": 0.5, "one_loss_of_several": 0.2, "validation_only": 0.02,
                "metric_only": 0.005, "none": 0.01}  # fmt: skip
        where = (Location(run.files[0], layer.reading.line),)
        yield view.seen(
            "nonfinite_where", "gradients_only", "layer-nonfinite", where=where, likelihoods=odds, args=args
        )
        return
    if view.loss is not None and view.loss.count >= 2:
        yield view.seen("nonfinite_where", "none", "all-finite", at=view.loss.readings[-1], series=view.loss)


def skips_steps(view: View, gradient: Series) -> bool:
    """Whether non-finite gradients are those of single steps that a loss scaler leaves out."""
    bad, good = gradient.nonfinite_count, gradient.finite_after_nonfinite
    if view.run.of("loss_scale"):
        return good > bad
    return bad <= 0.2 * gradient.count and (bad <= 5 or good > 3 * bad)


def _beside_a_finite_one(series: Series, run: Run) -> bool:
    """Whether another validation loss of the same file, with the plain name, stays finite."""
    return "loss" not in series.quantity.lower() and any(
        "loss" in other.quantity.lower() and other.first_nonfinite is None and other.count > 1
        for other in run.of("validation_loss")
        if other.file == series.file
    )


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
    elif any(e.kind in ASSERTIONS or e.fields.get("exception") == "AssertionError" for e in view.run.events):
        state = "assertion"
    else:
        yield view.seen("crash", "assertion", "crash-assertion", where=where, likelihoods=PLAIN_EXCEPTION)
        return
    yield view.seen("crash", state, f"crash-{state}", where=where, trust=0.98)


def finite_steps(view: View) -> Iterator[Evidence]:
    """How many finite steps came before the NaN, where the log shows every step from the first."""
    if view.start is None or view.loss is None or not view.before or view.epochs_only:
        return
    shown = view.before if len(view.before) >= MANY_STEPS else [*view.before, view.start[1]]
    steps = [r.step for r in shown[:MANY_STEPS]]
    known = [step for step in steps if step is not None]
    if len(known) < len(steps) or known[0] > 1 or any(b - a != 1 for a, b in zip(known, known[1:])):
        return
    count = len(view.before)
    state = "one" if count == 1 else "few" if count < MANY_STEPS else "many"
    yield view.seen("finite_steps", state, f"finite-{state}", at=view.before[-1], trust=0.95, count=count)


DETECTORS = (
    nan_onset,
    onset_kind,
    first_loss,
    after_nan,
    gradient_at_nan,
    poisoned_display,
    which_part,
    nonfinite_where,
    nan_sign,
    resumed_at_onset,
    finite_steps,
    crash,
)
