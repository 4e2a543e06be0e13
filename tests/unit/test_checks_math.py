"""The mathematics behind the static checks, against simulation and brute force."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nandoctor.checks import run_checks
from nandoctor.checks.fillers import gain
from nandoctor.checks.material import Material
from nandoctor.checks.ranges import blob_ranges
from nandoctor.checks.signal import blob_scales
from nandoctor.kb.load import load_knowledge
from nandoctor.readers.caffe import read_net, read_solver
from nandoctor.readers.textproto import parse

KB = load_knowledge(cache=False)
DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 200 } } }\n'
LOSS = 'layer { name: "loss" type: "EuclideanLoss" bottom: "x" bottom: "data" top: "loss" }'


def material(text: str) -> Material:
    return Material(read_net(parse(text, "net")))


def dense(name: str, bottom: str, outputs: int, filler: str) -> str:
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" '
        f"inner_product_param {{ num_output: {outputs} weight_filler {{ {filler} }} }} }}\n"
    )


def rms(values: list[float]) -> float:
    return math.sqrt(sum(v * v for v in values) / len(values))


DRAWS = {
    'type: "gaussian" std: 0.3': lambda rng: rng.gauss(0, 0.3),
    'type: "gaussian"': lambda rng: rng.gauss(0, 1),
    'type: "uniform" min: -0.1 max: 0.1': lambda rng: rng.uniform(-0.1, 0.1),
    'type: "xavier"': lambda rng: rng.uniform(-1, 1) * math.sqrt(3 / 200),
    'type: "msra"': lambda rng: rng.gauss(0, math.sqrt(2 / 200)),
}


@pytest.mark.parametrize("filler", DRAWS)
def test_gain_of_zero_mean_fillers_against_simulation(filler: str) -> None:
    stuff = material(DATA + dense("x", "data", 100, filler) + LOSS)
    rng = random.Random(5)
    data = [rng.gauss(0, 1) for _ in range(200)]
    out = [sum(DRAWS[filler](rng) * v for v in data) for _ in range(400)]
    predicted, fan, exact = gain(stuff, stuff.learnable[0])
    assert (fan, exact) == (200, True)
    assert predicted == pytest.approx(rms(out) / rms(data), rel=0.15)


def test_gain_of_a_positive_filler_behind_a_relu() -> None:
    stuff = material(DATA + dense("x", "data", 100, 'type: "uniform"') + LOSS)
    rng = random.Random(5)
    data = [max(0.0, rng.gauss(0, 1)) for _ in range(200)]
    out = [sum(rng.random() * v for v in data) for _ in range(400)]
    assert gain(stuff, stuff.learnable[0])[0] == pytest.approx(rms(out) / rms(data), rel=0.1)


def test_sparse_gaussian() -> None:
    stuff = material(DATA + dense("x", "data", 100, 'type: "gaussian" std: 1 sparse: 10') + LOSS)
    assert gain(stuff, stuff.learnable[0])[0] == pytest.approx(math.sqrt(200 * 0.1), rel=0.01)


def test_scale_through_relu_layers_against_simulation() -> None:
    text, below = DATA, "data"
    for n in range(6):
        text += dense(f"f{n}", below, 200, 'type: "gaussian" std: 0.2')
        text += f'layer {{ name: "r{n}" type: "ReLU" bottom: "f{n}" top: "f{n}" }}\n'
        below = f"f{n}"
    stuff = material(text + dense("x", below, 200, 'type: "gaussian" std: 0.2') + LOSS)
    rng = random.Random(3)
    signal = [rng.gauss(0, 1) for _ in range(200)]
    start = rms(signal)
    for n in range(7):
        signal = [sum(rng.gauss(0, 0.2) * v for v in signal) for _ in range(200)]
        if n < 6:
            signal = [max(0.0, v) for v in signal]
    predicted = blob_scales(stuff)[id(stuff.learnable[-1])]
    assert math.log(predicted) == pytest.approx(math.log(rms(signal) / start), abs=0.7)


def test_residual_sums_grow_as_the_root_of_two() -> None:
    text = DATA + dense("x0", "data", 200, 'type: "gaussian" std: 0.0707')
    for n in range(10):
        text += dense(f"b{n}", f"x{n}", 200, 'type: "gaussian" std: 0.0707107')
        text += f'layer {{ name: "x{n + 1}" type: "Eltwise" bottom: "x{n}" bottom: "b{n}" top: "x{n + 1}" }}\n'
    stuff = material(text + dense("x", "x10", 200, 'type: "xavier"') + LOSS)
    assert blob_scales(stuff)[id(stuff.layers[-3])] == pytest.approx(math.sqrt(2) ** 10, rel=0.02)


# --- pooling: sizes measured in real runs of Caffe


def pooled(pool: str, kernel: int, stride: int, size: int, more: str = "") -> set[str]:
    window = f"kernel_size: {kernel} stride: {stride} {more}"
    text = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 '
        f"dim: {size} dim: {size} }} }} }}\n"
        'layer { name: "p" type: "Pooling" bottom: "data" top: "p" pooling_param { '
        f"pool: {pool} {window} }} }}\n"
        'layer { name: "ip" type: "InnerProduct" bottom: "p" top: "ip" inner_product_param { num_output: 2 } }'
    )
    return {f.check for f in run_checks(KB, net=read_net(parse(text, "net"))).findings if f.severity == "error"}


@pytest.mark.parametrize(
    ("kernel", "stride", "nan"),
    [
        (3, 5, {5, 10, 15, 20}),
        (1, 2, set(range(4, 21, 2))),
        (2, 3, {6, 9, 12, 15, 18}),
        (2, 4, {4, 8, 12, 16, 20}),
        (3, 4, {4, 8, 12, 16, 20}),
    ],
)
def test_average_pooling_sizes(kernel: int, stride: int, nan: set[int]) -> None:
    for size in range(4, 21):
        fired = "pooling-average-of-nothing" in pooled("AVE", kernel, stride, size)
        assert fired == (size in nan), size
        assert not pooled("AVE", kernel, stride, size, "pad: 1") - {"pooling-refused"}
        assert not pooled("AVE", kernel, stride, size, "round_mode: FLOOR") - {"shapes-do-not-fit"}


@pytest.mark.parametrize(("kernel", "stride"), [(3, 5), (2, 4), (1, 2), (2, 3)])
def test_max_pooling_sizes(kernel: int, stride: int) -> None:
    for size in range(max(kernel, 4), 21):
        fired = "pooling-maximum-of-nothing" in pooled("MAX", kernel, stride, size)
        assert fired == (size % stride == 0 or size % stride > kernel), size


# --- weight decay


@settings(max_examples=150, deadline=None)
@given(
    momentum=st.sampled_from([0.0, 0.5, 0.9, 0.99]),
    product=st.floats(0.05, 8.0),
)
def test_weight_decay_limit_is_that_of_the_recursion(momentum: float, product: float) -> None:
    limit = 2 * (1 + momentum)
    if abs(product - limit) < 0.05:
        return
    weight, velocity = 1.0, 0.0
    largest = 0.0
    for step in range(4000):
        velocity = momentum * velocity + product * weight
        weight -= velocity
        if step > 3900:
            largest = max(largest, abs(weight))
        if not math.isfinite(weight) or abs(weight) > 1e30:
            largest = math.inf
            break
    text = f'base_lr: 1 lr_policy: "fixed" momentum: {momentum} weight_decay: {product!r} max_iter: 10'
    found = {f.check for f in run_checks(KB, solver=read_solver(parse(text, "solver"))).findings}
    assert ("weight-decay-overshoots" in found) == (largest > 1.0)


# --- ranges


STEPS = {
    "ReLU": lambda x, _: max(x, 0.0),
    "AbsVal": lambda x, _: abs(x),
    "Sigmoid": lambda x, _: 1 / (1 + math.exp(-x)) if x > -700 else 0.0,
    "TanH": lambda x, _: math.tanh(x),
    "BNLL": lambda x, _: math.log1p(math.exp(-abs(x))) + max(x, 0.0),
    "Exp": lambda x, _: math.exp(min(x, 80.0)),
    "Threshold": lambda x, _: float(x > 0),
    "Power": lambda x, p: (p[1] + p[2] * x) ** p[0],
    "Leaky": lambda x, _: x if x > 0 else 0.1 * x,
    "ELU": lambda x, _: x if x > 0 else math.expm1(x),
}
powers = st.tuples(
    st.sampled_from([1, 2, 3]), st.sampled_from([0.0, 1.0, -2.0, 1e-3]), st.sampled_from([1.0, -1.0, 0.5])
)


@settings(max_examples=300, deadline=None)
@given(
    chain=st.lists(st.tuples(st.sampled_from(sorted(STEPS)), powers), min_size=1, max_size=5),
    value=st.floats(-50, 50),
)
def test_ranges_hold_what_the_layers_compute(chain: list[tuple[str, tuple[int, float, float]]], value: float) -> None:
    text = DATA + dense("c", "data", 4, 'type: "xavier"')
    below = "c"
    for n, (kind, p) in enumerate(chain):
        body = f"power_param {{ power: {p[0]} shift: {p[1]} scale: {p[2]} }}" if kind == "Power" else ""
        body = "relu_param { negative_slope: 0.1 }" if kind == "Leaky" else body
        name = {"Leaky": "ReLU"}.get(kind, kind)
        text += f'layer {{ name: "l{n}" type: "{name}" bottom: "{below}" top: "l{n}" {body} }}\n'
        below = f"l{n}"
    stuff = material(text)
    ranges = blob_ranges(stuff)
    for layer, (kind, p) in zip(stuff.layers[2:], chain, strict=True):
        value = STEPS[kind](value, p)
        if abs(value) > 1e30:
            return
        span = ranges[id(layer)]
        assert span.low - 1e-9 * abs(value) <= value <= span.high + 1e-9 * abs(value), (kind, p)


# --- the first loss tells the size of the input


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_first_loss_of_large_scores(size: float) -> None:
    """A softmax loss over scores of root mean square s is about s * sqrt(2 ln K) for large s, ln K for small."""
    rng = random.Random(7)
    classes, losses = 10, []
    for _ in range(4000):
        scores = [rng.gauss(0, size * 0.35) for _ in range(classes)]
        top = max(scores)
        log_sum = top + math.log(sum(math.exp(s - top) for s in scores))
        losses.append(log_sum - scores[rng.randrange(classes)])
    mean = sum(losses) / len(losses)
    if size == 1.0:
        assert mean < 1.5 * math.log(classes)
    else:
        assert mean > 4.0 * math.log(classes)
        assert mean == pytest.approx(size * 0.35 * math.sqrt(2 * math.log(classes)), rel=0.4)
