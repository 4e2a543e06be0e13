"""Which values a blob can hold, by interval arithmetic over the training net; and operations that are singular there.

A range is sure where only layers shape it (a ReLU ends at 0, a softmax lies in 0..1 and reaches 0 by underflow); it is
not sure where the data or an unknown layer do.
"""

from __future__ import annotations

import math

from nandoctor.checks.look import Arg, Look, Match, shown
from nandoctor.checks.material import FILLER_BLOCKS, PASSING, Material, Range
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Layer

# exp of a C float overflows from here on; ln(FLT_MAX).
EXP_LIMIT = 88.72
_INF = math.inf
_WEIGHTS = frozenset({*FILLER_BLOCKS, "Scale", "Bias", "PReLU", "Parameter"})


ANYTHING = Range(-_INF, _INF, False)
_BY_TYPE = {
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "TanH": (-1.0, 1.0),
    "Threshold": (0.0, 1.0),
    "LSTM": (-1.0, 1.0),
    "RNN": (-1.0, 1.0),
    "BNLL": (0.0, _INF),
    "BatchNorm": (-_INF, _INF),
    "MVN": (-_INF, _INF),
    "Accuracy": (0.0, 1.0),
}
_SIGN_KEEPING = frozenset({"Pooling", "LRN", "Normalize", "Upsample", "Interp", "SPP", "ROIPooling"}) | PASSING


def singular(material: Material, check: Check) -> Look | None:
    """Layers that are singular for values they can receive.

    `params.operation`: log, root (power between, backward y/x), negative-root (forward nan), division (negative power),
    exp; `params.range`: `layers` where the range is sure, `data` where the data decide.
    """
    if not material.layers:
        return None
    ranges = blob_ranges(material)
    wanted_sure = check.params.get("range", "layers") == "layers"
    operation = str(check.params["operation"])
    matches = []
    for layer in material.layers:
        makers = material.makers(layer)
        inner = ranges[id(makers[0])] if makers and makers[0] is not None else ANYTHING
        if inner.sure != wanted_sure or not makers:
            continue
        found = _OPERATIONS[operation](material, layer, inner)
        if found is not None:
            fed = makers[0].name if makers[0] is not None else layer.bottoms[0]
            fed_type = makers[0].type if makers[0] is not None else "Input"
            args: dict[str, Arg] = {"from": shown(fed), "from_type": shown(fed_type), **found}
            path = {"Log": "log_param", "Exp": "exp_param"}.get(layer.type, "power_param.power")
            matches.append(Match(layer, (layer.where(path),), args))
    looked = tuple(layer.location for layer in material.layers if layer.type in ("Log", "Exp", "Power"))
    return Look(tuple(matches), looked)


def blob_ranges(material: Material) -> dict[int, Range]:
    """The range of each layer's tops, by the id of the layer."""
    ranges = material.ranges
    for layer in material.layers if not ranges else ():
        makers = material.makers(layer)
        made = [ranges[id(maker)] if maker is not None else ANYTHING for maker in makers]
        ranges[id(layer)] = _range(material, layer, made)
    return ranges


def learns(material: Material, layer: Layer) -> bool:
    """Whether a gradient must pass back through the layer: a weight lies before it."""
    known = material.learning
    if not known:
        for each in material.layers:
            makers = [maker for maker in material.makers(each) if maker is not None]
            known[id(each)] = any(maker.type in _WEIGHTS or known.get(id(maker), False) for maker in makers)
    return known.get(id(layer), False)


# --- operations


def _log(material: Material, layer: Layer, inner: Range) -> dict[str, Arg] | None:
    if layer.type != "Log":
        return None
    argument = _linear(inner, layer.number("log_param.scale", 1.0), layer.number("log_param.shift"))
    guarded = not inner.sure and layer.number("log_param.shift") > 0
    if argument.low > 0 or guarded:
        return None  # the owner knows the data better than the net does
    return {"low": shown(argument.low), "field": "log_param.shift", "epsilon": "1e-06"}


def _root(material: Material, layer: Layer, inner: Range) -> dict[str, Arg] | None:
    """power_layer.cpp computes the gradient as y / x for every power but 0, 1 and 2: 0/0 where x is 0."""
    if layer.type != "Power" or not learns(material, layer):
        return None
    power = _exponent(layer)
    argument = _power_argument(layer, inner)
    if power in (0.0, 1.0, 2.0) or power < 0 or not argument.low <= 0 <= argument.high:
        return None
    if argument.low < 0 and power != int(power):
        return None  # nan already in the forward pass: negative-root
    return {"power": shown(power), "epsilon": "1e-06"}


def _negative_root(material: Material, layer: Layer, inner: Range) -> dict[str, Arg] | None:
    if layer.type != "Power":
        return None
    power = _exponent(layer)
    argument = _power_argument(layer, inner)
    if power == int(power) or argument.low >= 0:
        return None
    return {"power": shown(power), "low": shown(argument.low)}


def _division(material: Material, layer: Layer, inner: Range) -> dict[str, Arg] | None:
    if layer.type != "Power":
        return None
    power = _exponent(layer)
    argument = _power_argument(layer, inner)
    guarded = not inner.sure and layer.number("power_param.shift") > 0
    if power >= 0 or guarded or not argument.low <= 0 <= argument.high:
        return None
    return {"power": shown(power), "epsilon": "1e-06"}


def _exp(material: Material, layer: Layer, inner: Range) -> dict[str, Arg] | None:
    if layer.type != "Exp":
        return None
    base = layer.number("exp_param.base", -1.0)
    factor = math.log(base) if base > 0 else 1.0
    argument = _linear(inner, layer.number("exp_param.scale", 1.0), layer.number("exp_param.shift"))
    if max(argument.low * factor, argument.high * factor) <= EXP_LIMIT:
        return None
    return {"high": shown(max(argument.low * factor, argument.high * factor))}


_OPERATIONS = {"log": _log, "root": _root, "negative-root": _negative_root, "division": _division, "exp": _exp}


def _exponent(layer: Layer) -> float:
    """The power; 1 where it is no usable number."""
    power = layer.number("power_param.power", 1.0)
    return power if math.isfinite(power) and abs(power) < 1e6 else 1.0


def _power_argument(layer: Layer, inner: Range) -> Range:
    return _linear(inner, layer.number("power_param.scale", 1.0), layer.number("power_param.shift"))


# --- ranges


def _linear(inner: Range, scale: float, shift: float) -> Range:
    if scale == 0:
        return Range(shift, shift, True)
    ends = sorted((inner.low * scale + shift, inner.high * scale + shift))
    return Range(ends[0], ends[1], inner.sure)


def _range(material: Material, layer: Layer, made: list[Range]) -> Range:
    kind = layer.type
    if kind in _BY_TYPE:
        return Range(*_BY_TYPE[kind], True)
    if kind in FILLER_BLOCKS or kind in ("Scale", "Bias"):
        return Range(-_INF, _INF, True)
    if not made:
        return _source(layer)
    first = made[0]
    if kind in _SIGN_KEEPING:
        padded = kind == "Pooling" and layer.text("pooling_param.pool", "MAX") == "AVE"
        return Range(min(first.low, 0.0) if padded else first.low, first.high, first.sure)
    match kind:
        case "ReLU" | "ReLU6":
            slope = layer.number("relu_param.negative_slope")
            low = first.low * slope if slope > 0 and first.low < 0 else max(first.low, 0.0)
            return Range(low, 6.0 if kind == "ReLU6" else max(first.high, 0.0), first.sure or slope == 0)
        case "ELU":
            return Range(max(first.low, -layer.number("elu_param.alpha", 1.0)), max(first.high, 0.0), first.sure)
        case "PReLU" | "Swish":
            return Range(min(first.low, -1.0), first.high, first.sure)
        case "AbsVal":
            low = 0.0 if first.low <= 0 <= first.high else min(abs(first.low), abs(first.high))
            return Range(low, max(abs(first.low), abs(first.high)), True)
        case "Clip":
            low, high = layer.number("clip_param.min", -_INF), layer.number("clip_param.max", _INF)
            return Range(max(first.low, low), min(first.high, high), True)
        case "Dropout":
            return Range(min(first.low, 0.0), max(first.high * 2, 0.0), first.sure)
        case "Exp":
            return Range(0.0, _INF, True)
        case "Log":
            return Range(-_INF, _INF, True)
        case "Power":
            return _powered(layer, first)
        case "Eltwise":
            return _eltwise(layer, made)
        case "Concat":
            return Range(min(r.low for r in made), max(r.high for r in made), all(r.sure for r in made))
        case "Reduction":
            return _reduced(layer, first)
    if layer.is_loss:
        return Range(0.0, _INF, False)
    return ANYTHING


def _source(layer: Layer) -> Range:
    """Bytes of images lie in 0..255 before mean and scale; anything else is the owner's."""
    if layer.type == "DummyData":
        if layer.text("dummy_data_param.data_filler.type", "constant") == "constant":
            value = layer.number("dummy_data_param.data_filler.value")
            return Range(value, value, True)
        return ANYTHING
    if layer.type not in ("Data", "ImageData", "WindowData"):
        return ANYTHING
    scale = layer.number("transform_param.scale", 1.0)
    if layer.has("transform_param.mean_file") or layer.has("transform_param.mean_value"):
        return Range(-255.0 * abs(scale), 255.0 * abs(scale), False)
    return Range(min(0.0, 255.0 * scale), max(0.0, 255.0 * scale), False)


def _powered(layer: Layer, inner: Range) -> Range:
    power = _exponent(layer)
    argument = _power_argument(layer, inner)
    if power == 0:
        return Range(1.0, 1.0, True)
    if power < 0:
        return Range(0.0 if argument.low >= 0 else -_INF, _INF, argument.sure)
    if power == int(power) and int(power) % 2:
        return Range(_raised(argument.low, power), _raised(argument.high, power), argument.sure)
    ends = sorted(_raised(abs(end), power) for end in (argument.low, argument.high))
    crosses = argument.low <= 0 <= argument.high
    return Range(0.0 if crosses else ends[0], ends[1], argument.sure or power == int(power))


def _raised(value: float, power: float) -> float:
    if not math.isfinite(value):
        return value
    try:
        return math.copysign(abs(value) ** power, value)
    except OverflowError:
        return math.copysign(_INF, value)


def _eltwise(layer: Layer, made: list[Range]) -> Range:
    sure = all(r.sure for r in made)
    operation = layer.text("eltwise_param.operation", "SUM")
    if operation == "MAX":
        return Range(max(r.low for r in made), max(r.high for r in made), sure)
    if operation == "PROD":
        positive = all(r.low >= 0 for r in made)
        low = math.prod(r.low for r in made) if positive else -_INF
        same = len(set(layer.bottoms)) == 1 and len(layer.bottoms) == 2
        return Range(0.0 if same and not positive else low, _INF, sure or same)
    weights = layer.numbers("eltwise_param.coeff") or [1.0] * len(made)
    parts = [_linear(r, w, 0.0) for r, w in zip(made, weights)]
    return Range(sum(p.low for p in parts), sum(p.high for p in parts), sure)


def _reduced(layer: Layer, inner: Range) -> Range:
    coeff = layer.number("reduction_param.coeff", 1.0)
    match layer.text("reduction_param.operation", "SUM"):
        case "MEAN":
            found = inner
        case "ASUM" | "SUMSQ":
            found = Range(0.0, _INF, True)
        case _:
            found = Range(inner.low if inner.low >= 0 else -_INF, _INF if inner.high > 0 else inner.high, inner.sure)
    return _linear(found, coeff, 0.0)
