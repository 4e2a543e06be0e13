"""Detectors of the log, on small runs built by hand."""

import math

import pytest

from nandoctor.detectors import course, debug, onset, quantities
from nandoctor.detectors.view import View
from nandoctor.diagnosis import Evidence
from nandoctor.kb.load import load_knowledge
from nandoctor.readers.facts import LayerReading, Reading, Run, Series
from nandoctor.readers.log import read_text

NAN, INF = math.nan, math.inf
KB = load_knowledge()


def series(role: str, *values: float, quantity: str = "loss", step: float = 1.0, **more: object) -> Series:
    points = tuple(Reading(i * step, i + 1, v) for i, v in enumerate(values))
    first = next((r for r in points if not math.isfinite(r.value)), None)
    return Series(
        quantity=quantity,
        role=role,  # type: ignore[arg-type]
        file="train.log",
        readings=points,
        count=len(points),
        first_nonfinite=first,
        nonfinite_count=sum(not math.isfinite(v) for v in values),
        finite_after_nonfinite=sum(
            first is not None and r.line > first.line and math.isfinite(r.value) for r in points
        ),
        **more,  # type: ignore[arg-type]
    )


def seen(detector: object, *parts: Series, **more: object) -> dict[str, Evidence]:
    run = Run(files=("train.log",), dialects={}, series=parts, **more)  # type: ignore[arg-type]
    return {e.observation: e for e in detector(View(run)) if isinstance(e, Evidence)}  # type: ignore[operator]


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ((2, 2, 2, 2, 9, 80, 900, 1e4, 1e6, NAN), "growing"),
        ((5, 4, 3, 2, 1, 0.9, 0.8, 0.7, NAN), "falling"),
        ((2.3, 2.3, 2.31, 2.3, 2.29, 2.3, 2.3, 2.31, 2.3, NAN), "flat"),
        ((2.3, 2.2, 2.1, 2.0, 400.0, NAN), "sudden_jump"),
        ((NAN, NAN), "nothing_before"),
    ],
)
def test_loss_before_nan(values: tuple[float, ...], state: str) -> None:
    assert seen(course.loss_before_nan, series("loss", *values))["loss_before_nan"].state == state


@pytest.mark.parametrize(
    ("values", "step", "state"),
    [
        ((NAN, NAN), 1, "first_iteration"),
        ((2, 2, 2, NAN), 10, "within_100"),
        ((2, 2, 2, NAN), 100, "later"),
        ((2, 2, 2, 2), 1, "never"),
    ],
)
def test_nan_onset(values: tuple[float, ...], step: float, state: str) -> None:
    assert seen(onset.nan_onset, series("loss", *values, step=step))["nan_onset"].state == state


def test_growth_that_reaches_the_overflow_explains_it() -> None:
    found = seen(course.growth_sufficiency, series("loss", 2, 2, 2, 1e3, 1e9, 1e17, NAN))
    assert found["growth_sufficiency"].state == "explains"


def test_a_calm_loss_is_not_explained_by_growth() -> None:
    found = seen(course.growth_sufficiency, series("loss", 2, 1.9, 1.8, 1.7, NAN))
    assert found["growth_sufficiency"].state == "does_not_explain"


def test_one_nan_then_normal_recovers() -> None:
    found = seen(onset.after_nan, series("loss", 2, 2, NAN, 2, 2, 2))
    assert (found["after_nan"].state, found["regularity"].state) == ("recovers", "once")


def test_nan_for_ever() -> None:
    assert seen(onset.after_nan, series("loss", 2, 2, NAN, NAN, NAN))["after_nan"].state == "for_ever"


def test_loss_zero_beside_a_nan_gradient_is_a_hidden_nan() -> None:
    parts = (series("loss", 2.0, 0.0, 0.0), series("grad_norm", 1.0, NAN, NAN, quantity="grad_norm"))
    view = View(Run(files=("train.log",), dialects={}, series=parts))
    assert view.hidden_onset is not None
    assert seen(course.loss_exactly_zero, *parts)["loss_exactly_zero"].state == "with_nan_gradient"
    assert seen(onset.nonfinite_where, *parts)["nonfinite_where"].state == "loss"


def test_only_one_of_several_losses() -> None:
    parts = (
        series("loss", 3.0, NAN, NAN, quantity="total"),
        series("loss_part", 1.0, NAN, NAN, quantity="rpn_loss_box"),
        series("loss_part", 2.0, 1.9, 1.8, quantity="loss_cls"),
    )
    assert seen(onset.nonfinite_where, *parts)["nonfinite_where"].state == "one_loss_of_several"
    assert seen(onset.which_part, *parts)["first_bad_part"].state == "box_or_regression"


def test_a_nan_metric_alone_is_metric_only() -> None:
    parts = (series("loss", 3.0, 2.0, 1.0), series("metric", NAN, NAN, quantity="iou_7"))
    assert seen(onset.nonfinite_where, *parts)["nonfinite_where"].state == "metric_only"


@pytest.mark.parametrize("value", [87.3365, 87.3363, 87.3366])
def test_saturation(value: float) -> None:
    found = seen(course.loss_saturated, series("loss", 2.3, value, value, value))
    assert found["loss_saturated"].state == "yes"


def test_saturation_times_a_loss_weight() -> None:
    found = seen(course.loss_saturated, series("loss_part", 40.0, 1746.73, 1746.73, weight=20.0))
    assert found["loss_saturated"].state == "yes"


def test_a_poisoned_running_value() -> None:
    parts = (series("loss_running", 2, NAN, NAN, NAN), series("loss_part", 2, NAN, 2, 2, quantity="loss_raw"))
    assert seen(onset.poisoned_display, *parts)["poisoned_display"].state == "yes"


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ((3, 2.5, 2, 1.5, 1.2, 1.0, 0.8, 0.7), "learning"),
        ((1, 2, 40, 700, 1e4, 1e5, 2e5, 3e5), "diverged"),
        ((2.3026, 2.3026, 2.3025, 2.3026, 2.3026, 2.3026, 2.3026, 2.3026, 2.3026), "stuck"),
        ((1, 0.9, 500, 0.8, 0.7, 0.8, 0.7, 0.6, 0.6, 0.6), "spiky"),
    ],
)
def test_course_of_a_finite_loss(values: tuple[float, ...], state: str) -> None:
    assert seen(course.finite_course, series("loss", *values))["finite_course"].state == state


@pytest.mark.parametrize(
    ("values", "observation", "state"),
    [
        ((0.1, 0.1, NAN), "lr_value", "nonfinite"),
        ((0.1, 0.05, -0.01), "lr_value", "zero_or_negative"),
        ((0.1, 0.05, 0.01), "lr_trend", "falling"),
        ((0.1, 0.1, 0.1), "lr_trend", "constant"),
        ((0.001, 0.01, 0.1, 1.0, 10.0), "lr_trend", "rising"),
        ((0.001, 0.01, 0.1, 1.0, 10.0), "schedule", "grows"),
    ],
)
def test_learning_rate(values: tuple[float, ...], observation: str, state: str) -> None:
    parts = (series("lr", *values, quantity="lr"), series("loss", *([1.0] * len(values))))
    found = seen(quantities.lr_value, *parts) | seen(quantities.lr_trend, *parts)
    assert found[observation].state == state


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ((1, 2, 50, 4000, INF), "exploding"),
        ((1.0, 1.1, 0.9, 1.0, NAN), "steady"),
        ((NAN, NAN), "nonfinite_from_start"),
        ((1.0, 1e-3, 1e-9), "vanishing"),
    ],
)
def test_gradient_norm(values: tuple[float, ...], state: str) -> None:
    losses = [2.0] * (len(values) - 1) + [NAN]
    found = seen(quantities.grad_norm_before_nan, series("grad_norm", *values, quantity="g"), series("loss", *losses))
    assert found["grad_norm_before_nan"].state == state


def layer(phase: str, name: str, blob: str, value: float, line: int) -> LayerReading:
    return LayerReading(0.0, line, phase, name, blob, value)


DATA = layer("Forward", "data", "top blob data data", 1, 1)
TOP = layer("Forward", "c", "top blob c data", 1, 1)
STAGES = [
    ([layer("Forward", "data", "top blob data data", NAN, 1)], "input"),
    ([DATA, layer("Forward", "c", "param blob 0 data", NAN, 2)], "weights_at_start"),
    ([TOP, layer("Forward", "log", "top blob log data", INF, 2)], "forward"),
    ([TOP, layer("Forward", "loss", "top blob loss data", NAN, 2)], "loss"),
    ([TOP, layer("Backward", "c", "bottom blob d diff", NAN, 2)], "backward"),
]


@pytest.mark.parametrize(("layers", "stage"), STAGES)
def test_debug_info_names_the_stage(layers: list[LayerReading], stage: str) -> None:
    found = debug.first_bad(tuple(layers), frozenset({"loss"}), frozenset({"data"}))
    assert found is not None
    assert found.stage == stage


# --- a NaN that a message tells, and the end of the log

TRACEBACK = 'Traceback (most recent call last):\n  File "/home/u/train.py", line 88, in <module>\n'
DETECTRON = "[11/20 15:51:10 d2.utils.events]:  eta: 0:00:00  iter: {}  total_loss: {}  loss_cls: 2.307  lr: 0.02\n"


def read(text: str) -> dict[str, Evidence]:
    view = View(read_text(text, "train.log", KB))
    found = [item for detector in onset.DETECTORS for item in detector(view)]
    return {e.observation: e for e in found if isinstance(e, Evidence)}


@pytest.mark.parametrize("rest", ["", "loss_dict = {'loss_rpn_cls': nan, 'loss_rpn_loc': inf}\n"])
@pytest.mark.parametrize(("printed", "at", "state"), [((19,), 27, "within_100"), ((19, 39, 59), 5027, "later")])
def test_a_message_tells_when_the_loss_became_nonfinite(
    printed: tuple[int, ...], at: int, state: str, rest: str
) -> None:
    text = "".join(DETECTRON.format(step, 7.305) for step in printed)
    text += f"{TRACEBACK}FloatingPointError: Loss became infinite or NaN at iteration={at}!\n{rest}"
    found = read(text)
    assert found["nan_onset"].state == state
    assert found["nan_onset"].note is not None
    assert found["nan_onset"].note.args["step"] == str(at)
    assert found["nan_onset"].locations[0].line == len(printed) + 3
    assert found["nonfinite_where"].state in ("loss", "one_loss_of_several")
    assert found["crash"].state == "abort_after_nan"


def test_jax_stops_at_the_nan_it_names() -> None:
    text = f"step 1 loss 2.3\nstep 2 loss 2.1\n{TRACEBACK}FloatingPointError: invalid value (inf) encountered in log\n"
    found = read(text)
    assert found["crash"].state == "abort_after_nan"
    assert found["nan_onset"].state == "within_100"


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        ("ValueError: Invalid beta parameter at index 0: 1.9", True),
        ("ValueError: `momentum` must be a float between [0, 1].", True),
        ("AssertionError: labels out of range", False),
        ("RuntimeError: CUDA error: device-side assert triggered", False),
    ],
)
def test_an_exception_that_is_no_assertion_says_little(message: str, plain: bool) -> None:
    evidence = read(f"step 1 loss 2.3\nstep 2 loss 2.1\n{TRACEBACK}{message}\n")["crash"]
    assert bool(evidence.likelihoods) == plain
