"""How the weights begin: Caffe's fillers and their defaults, and the gain each layer gives to a signal.

filler.hpp, FillerParameter: type `constant` with value 0 where nothing is written; gaussian has std 1, uniform 0 to 1.
"""

from __future__ import annotations

import math

import msgspec

from nandoctor.checks.look import Arg, Look, Match, could_not, shown
from nandoctor.checks.material import BATCH_NORMS, FILLER_BLOCKS, RECURRENT, Material
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Layer
from nandoctor.readers.shapes import fan_in, fan_out
from nandoctor.readers.windows import convolution_windows

KNOWN_FILLERS = ("constant", "gaussian", "uniform", "positive_unitball", "xavier", "msra", "bilinear")
# Root mean square that a layer multiplies a signal by. He et al. 2015: sqrt(2) keeps ReLU nets level, Glorot: 1.
# Above 5, three and a half times He's, the outputs leave every published range already after one layer (SageMaker
# Debugger calls a variance ratio of 10, a gain of 3.2, poor).
LARGE_GAIN = 5.0
# Published initial biases: 0, 0.1, 1 (AlexNet), -4.6 (RetinaNet's prior). Ten is twice the largest.
LARGE_BIAS = 10.0
# Nets this deep without a single filler are started from published weights (VGG-16, ResNet, FCN by net surgery).
GIVEN_WEIGHTS_DEPTH = 8
START_UNKNOWN = 0.75
RECTIFIED_MEAN = 1 / math.sqrt(math.pi)  # mean over root mean square of max(0, x), x Gaussian
_TAMING = frozenset({"Sigmoid", "TanH", "Softmax", "MVN"}) | BATCH_NORMS


class Filler(msgspec.Struct, frozen=True):
    """A filler with its defaults filled in: root mean square and mean of what it draws."""

    kind: str
    written: bool
    rms: float
    mean: float


def weight_fillers(material: Material, check: Check) -> Look | None:
    """Fires for `params.kind`: zero, zero-from-file, std-default, uniform-default, large, constant, unknown."""
    if not material.trains or not material.learnable or material.start in ("pretrained", "resumed"):
        return None
    kind = str(check.params["kind"])
    layers = [layer for layer in material.learnable if not frozen(layer)]
    written = [layer for layer in layers if layer.has(f"{block(layer)}.weight_filler")]
    given = not written and len(layers) >= GIVEN_WEIGHTS_DEPTH and material.start != "scratch"
    if given and kind != "zero-from-file":
        return Look((), (), could_not("weights-from-file", "give-log"))
    if kind == "zero-from-file":
        first = Match(layers[0], (layers[0].where(block(layers[0])),), {"count": len(layers)}) if given else None
        return Look((first,) if first else ())
    matches = [match for layer in layers if (match := _match(material, layer, kind)) is not None]
    at = tuple(layer.where(f"{block(layer)}.weight_filler") for layer in layers)
    # Fillers may stand in a net that is finetuned all the same; only a log tells.
    trust = 0.0 if material.start else START_UNKNOWN
    if kind == "zero":
        dead = {id(layer) for layer in _dead(material, [m.layer for m in matches if m.layer is not None])}
        matches = [match for match in matches if id(match.layer) in dead]
    return Look(tuple(matches), at, trust=trust)


def bias_fillers(material: Material, check: Check) -> Look | None:
    """Biases that no filler sets (`params.kind: missing`), or that begin huge (`large`)."""
    layers = [layer for layer in material.learnable if layer.flag(f"{block(layer)}.bias_term", True)]
    layers = [layer for layer in layers if layer.type not in RECURRENT]
    if not layers or not material.trains:
        return None
    if check.params["kind"] == "missing":
        missing = [layer for layer in layers if not layer.has(f"{block(layer)}.bias_filler")]
        at = tuple(layer.where(f"{block(layer)}.bias_filler") for layer in layers)
        found = [Match(layer, (layer.where(block(layer)),), {"block": block(layer)}) for layer in missing]
        return Look(tuple(found), at)
    if material.start in ("pretrained", "resumed"):
        return None
    matches = []
    for layer in layers:
        path = f"{block(layer)}.bias_filler"
        filler = filler_of(layer, path, None, None)
        if filler.written and max(filler.rms, abs(filler.mean)) > LARGE_BIAS:
            args: dict[str, Arg] = {
                "value": shown(max(filler.rms, abs(filler.mean))),
                "kind": filler.kind,
                "path": path,
            }
            matches.append(Match(layer, (layer.where(path),), args))
    return Look(tuple(matches), tuple(layer.where(f"{block(layer)}.bias_filler") for layer in layers))


def start(material: Material, check: Check) -> Look | None:
    """The weights come from a file: the log or the solver says so. `params.start`: pretrained or resumed."""
    if material.start != check.params["start"]:
        return None
    return Look((Match(None, material.start_location),))


def bilinear(material: Material, check: Check) -> Look | None:
    """A bilinear filler on a layer that is not grouped: every output is the sum of all upsampled inputs."""
    matches = []
    for layer in material.learnable:
        path = f"{block(layer)}.weight_filler.type"
        outputs = layer.whole(f"{block(layer)}.num_output")
        if layer.text(path) == "bilinear" and outputs > 1 and layer.whole(f"{block(layer)}.group", 1) != outputs:
            matches.append(Match(layer, (layer.where(path),), {"outputs": outputs}))
    return Look(tuple(matches))


def block(layer: Layer) -> str:
    """The parameter message that holds the layer's fillers."""
    return FILLER_BLOCKS[layer.type]


def frozen(layer: Layer) -> bool:
    """Whether the layer's weights never change: the first lr_mult is 0."""
    given = layer.numbers("param.lr_mult")
    return bool(given) and given[0] == 0


def filler_of(layer: Layer, path: str, inputs: float | None, outputs: float | None) -> Filler:
    """What a filler draws; inputs and outputs: fan-in and fan-out for xavier and msra, 1 where unknown."""
    written = layer.has(path)
    kind = layer.text(f"{path}.type", "constant")
    match kind:
        case "constant":
            value = layer.number(f"{path}.value")
            return Filler(kind, written, abs(value), value)
        case "gaussian":
            std, mean = layer.number(f"{path}.std", 1.0), layer.number(f"{path}.mean")
            sparse = layer.number(f"{path}.sparse", -1.0)
            if sparse >= 0 and outputs:
                std *= math.sqrt(min(1.0, sparse / outputs))
            return Filler(kind, written, math.hypot(std, mean), mean)
        case "uniform":
            low, high = layer.number(f"{path}.min"), layer.number(f"{path}.max", 1.0)
            mean = (low + high) / 2
            return Filler(kind, written, math.hypot((high - low) / math.sqrt(12.0), mean), mean)
        case "xavier" | "msra":
            norm = layer.text(f"{path}.variance_norm", "FAN_IN")
            fan = {"FAN_OUT": outputs, "AVERAGE": ((inputs or 1) + (outputs or inputs or 1)) / 2}.get(norm, inputs)
            return Filler(kind, written, math.sqrt((2.0 if kind == "msra" else 1.0) / max(fan or 1.0, 1.0)), 0.0)
        case "positive_unitball":
            return Filler(kind, written, 1.0 / max(inputs or 1.0, 1.0), 1.0 / max(inputs or 1.0, 1.0))
        case "bilinear":
            return Filler(kind, written, 0.5, 0.25)
    return Filler(kind, written, math.nan, 0.0)


def inputs_of(material: Material, layer: Layer) -> tuple[float, bool]:
    """Fan-in of the weights, and whether it is exact; else a lower bound: kernel area times known channels."""
    known = material.fans.get(id(layer))
    if known is None:
        known = material.fans[id(layer)] = _inputs_of(material, layer)
    return known


def _inputs_of(material: Material, layer: Layer) -> tuple[float, bool]:
    shapes = material.shapes
    exact = fan_in(layer, shapes.bottom(layer)) if shapes else None
    if layer.type == "Deconvolution":
        exact = None
    if exact:
        return float(exact), True
    area = 1.0
    if block(layer) == "convolution_param":
        for window in convolution_windows(layer, 2):
            area *= window.kernel or 1
            if layer.type == "Deconvolution":
                area /= max(1, window.stride)  # each output pixel sees kernel / stride inputs along an axis
    channels = _channels(material, layer)
    group = max(1, layer.whole("convolution_param.group", 1)) if block(layer) == "convolution_param" else 1
    return max(1.0, area * channels / group), False


def outputs_of(material: Material, layer: Layer) -> float | None:
    """Fan-out of the weights where it is known."""
    shapes = material.shapes
    exact = fan_out(layer, shapes.bottom(layer)) if shapes else None
    return float(exact) if exact else float(layer.whole(f"{block(layer)}.num_output")) or None


def gain(material: Material, layer: Layer) -> tuple[float, float, bool]:
    """What the layer multiplies the root mean square of its input by; its fan-in; whether that is exact.

    Zero-mean weights add up like a random walk, sqrt(fan_in) * rms. A mean that is not zero adds up straight on the
    mean of the inputs, which is 0.56 of their root mean square for a Gaussian behind a ReLU.
    """
    fan, exact = inputs_of(material, layer)
    filler = filler_of(layer, f"{block(layer)}.weight_filler", fan, outputs_of(material, layer))
    if math.isnan(filler.rms):
        return 1.0, fan, False
    spread = math.sqrt(max(filler.rms**2 - filler.mean**2, 0.0))
    return math.hypot(math.sqrt(fan) * spread, RECTIFIED_MEAN * fan * filler.mean), fan, exact


def _channels(material: Material, layer: Layer) -> int:
    """Channels of the bottom by looking up the graph; 1 where nothing tells."""
    seen = 0
    at: Layer | None = layer
    while at is not None and seen < 200:
        seen += 1
        makers = material.makers(at)
        if not makers or makers[0] is None:
            return 1
        at = makers[0]
        if at.type in FILLER_BLOCKS:
            return max(1, at.whole(f"{block(at)}.num_output"))
        if at.type == "Concat":
            return 1
    return 1


def _match(material: Material, layer: Layer, kind: str) -> Match | None:
    path = f"{block(layer)}.weight_filler"
    filler = filler_of(layer, path, None, None)  # the fans matter only for xavier and msra, which none of these is
    args: dict[str, Arg] = {"path": path, "block": block(layer), "kind": shown(filler.kind)}
    match kind:
        case "zero" if filler.rms == 0:
            return Match(layer, (layer.where(path),), args)
        case "std-default" if filler.kind == "gaussian" and not layer.has(f"{path}.std"):
            if layer.has(f"{path}.sparse"):
                return None  # Caffe's own autoencoder example: std 1 on 15 of 784 inputs
            return Match(layer, (layer.where(path),), args)
        case "uniform-default" if filler.kind == "uniform":
            if layer.has(f"{path}.min") or layer.has(f"{path}.max"):
                return None
            return Match(layer, (layer.where(path),), args)
        case "constant" if (
            filler.kind == "constant" and filler.rms > 0 and layer.whole(f"{block(layer)}.num_output") > 1
        ):
            state = "large" if filler.rms * inputs_of(material, layer)[0] > LARGE_GAIN else ""
            return Match(layer, (layer.where(f"{path}.value"),), args | {"value": shown(filler.mean)}, state=state)
        case "unknown" if filler.kind not in KNOWN_FILLERS:
            import difflib

            near = difflib.get_close_matches(filler.kind.lower(), KNOWN_FILLERS, 1)
            return Match(layer, (layer.where(f"{path}.type"),), args | {"near": near[0]}) if near else None
        case "large":
            return _large(material, layer, filler, path, args)
    return None


def _large(material: Material, layer: Layer, filler: Filler, path: str, args: dict[str, Arg]) -> Match | None:
    if layer.type in (*RECURRENT, "Embed") or filler.kind in ("constant", "bilinear"):
        return None
    if not (
        layer.has(f"{path}.std") or layer.has(f"{path}.min") or layer.has(f"{path}.max") or layer.has(f"{path}.mean")
    ):
        return None
    if _tamed(material, layer):
        return None
    factor, fan, _ = gain(material, layer)
    if factor <= LARGE_GAIN:
        return None
    values: dict[str, Arg] = {"gain": shown(factor), "fan_in": shown(fan), "value": shown(filler.rms)}
    where = next(name for name in ("std", "max", "min", "mean") if layer.has(f"{path}.{name}"))
    return Match(layer, (layer.where(f"{path}.{where}"),), args | values)


def _dead(material: Material, zero: list[Layer]) -> list[Layer]:
    """The layers that begin at zero and stay there: their gradient is cut by a ReLU at 0 or by another zero layer.

    A single scoring layer may begin at zero: its own gradient is not zero (FCN and logistic regression do it).
    """
    ids = {id(layer) for layer in zero}
    cut: dict[int, bool] = {}
    for layer in reversed(material.layers):
        cut[id(layer)] = any(
            reader.type in ("ReLU", "ReLU6") or id(reader) in ids or cut.get(id(reader), False)
            for reader in material.readers(layer)
        )
    return [layer for layer in zero if cut[id(layer)] or _fed_by_zero(material, layer, ids)]


def _fed_by_zero(material: Material, layer: Layer, zero: set[int]) -> bool:
    """Whether all that comes in is zero because a layer before begins at zero."""
    makers = material.makers(layer)
    at = makers[0] if makers else None
    for _ in range(100):
        if at is None or (at.type in FILLER_BLOCKS and id(at) not in zero):
            return False
        if id(at) in zero:
            return True
        makers = material.makers(at)
        at = makers[0] if makers else None
    return False


def _tamed(material: Material, layer: Layer) -> bool:
    """Whether a saturating or normalising layer stands between this layer and every loss it feeds."""
    known = material.tamed
    if not known:
        for each in reversed(material.layers):
            known[id(each)] = all(
                reader.type in _TAMING or (not any(reader.loss_weights) and known.get(id(reader), True))
                for reader in material.readers(each)
            )
    return known[id(layer)]
