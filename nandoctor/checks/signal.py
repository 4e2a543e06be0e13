"""How a signal fares through the depth at the first forward pass: the root mean square of every blob, from the fillers.

He et al. 2015: a ReLU halves the mean square, a layer of zero-mean weights multiplies the root mean square by
sqrt(fan_in) * std; normalisation layers begin anew at 1. The input counts as 1, so the numbers are ratios.
"""

from __future__ import annotations

import math

from nandoctor.checks.fillers import block, gain
from nandoctor.checks.look import Arg, Look, Match, could_not, shown
from nandoctor.checks.material import BATCH_NORMS, FILLER_BLOCKS, RECURRENT, Material
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Layer

# Ratios beyond which the first forward pass leaves the range where published nets train: two decades up (other tools:
# layer means of 10 and ratios of 10 already count as bad), six down (VGG-16 with std 0.01 reaches 1e-8 and does not
# train from scratch; CIFAR-10 quick stays at 1e-5 and does).
EXPLODED = 100.0
VANISHED = 1e-6
# Plain nets up to 22 weight layers in a row were trained without normalisation (VGG-19, GoogLeNet).
DEEP = 30
START_UNKNOWN = 0.6  # finetuned nets of this kind are as common
_NORMALIZING = BATCH_NORMS | {"MVN", "Normalize", "LayerNorm", "InstanceNorm", "GroupNorm"}
_BOUNDED = frozenset({"TanH", "Sigmoid", "Softmax", "Threshold", "ArgMax"}) | RECURRENT
# Local response normalisation divides by about the 1.5th power: large values grow as their square root at most.
_LRN_SOFT = 100.0
_STANDARD = frozenset({"xavier", "msra", "bilinear"})


def activation_scale(material: Material, check: Check) -> Look | None:
    """Fires when the estimate leaves the range. `params.way`: fillers, depth (all fillers standard) or vanishes."""
    if not material.trains or len(material.learnable) < 2 or material.start in ("pretrained", "resumed"):
        return None
    if not any(layer.has(f"{block(layer)}.weight_filler") for layer in material.learnable):
        return Look((), (), could_not("weights-from-file", "give-log"))
    scales = blob_scales(material)
    trained = [layer for layer in material.learnable if id(layer) in scales]
    if not trained:
        return None
    way = str(check.params["way"])
    worst = max(trained, key=lambda layer: scales[id(layer)])
    last = trained[-1]
    at = (worst.location,)
    args: dict[str, Arg] = {"ratio": shown(scales[id(worst)]), "depth": len(trained)}
    if way == "vanishes":
        if not 0 < scales[id(last)] < VANISHED:
            return Look((), at)
        trust = check.trust if material.start == "scratch" else START_UNKNOWN
        return Look((Match(last, (last.location,), args | {"ratio": shown(scales[id(last)])}, trust=trust),), at)
    if scales[id(worst)] <= EXPLODED or recurrent(material):
        return Look((), at)
    kinds = {layer.text(f"{block(layer)}.weight_filler.type", "constant") for layer in trained}
    by_depth = kinds <= _STANDARD
    if by_depth != (way == "depth"):
        return None
    first = next(layer for layer in trained if scales[id(layer)] > EXPLODED)
    return Look((Match(first, (first.where(f"{block(first)}.weight_filler"),), args),), at)


def depth(material: Material, check: Check) -> Look | None:
    """Many weight layers in a row and nothing that normalises."""
    if not material.trains or not material.learnable or material.start in ("pretrained", "resumed"):
        return None
    if recurrent(material) or any(layer.type in _NORMALIZING for layer in material.layers):
        return Look((), ())
    lengths: dict[int, int] = {}
    for layer in material.layers:
        before = max((lengths.get(id(maker), 0) for maker in material.makers(layer) if maker is not None), default=0)
        lengths[id(layer)] = before + (layer.type in FILLER_BLOCKS)
    deepest = max(material.learnable, key=lambda layer: lengths[id(layer)])
    if lengths[id(deepest)] <= DEEP:
        return Look((), (deepest.location,))
    return Look((Match(deepest, (deepest.location,), {"depth": lengths[id(deepest)]}),))


def recurrent(material: Material) -> bool:
    """Whether the net unrolls a recurrence by hand: one named weight in three layers, one behind the other."""
    users: dict[str, list[Layer]] = {}
    for layer in material.learnable:
        for name in layer.all("param.name")[:1]:
            if isinstance(name, str) and name:
                users.setdefault(name, []).append(layer)
    for layers in users.values():
        if len(layers) < 3:
            continue
        reached = _behind(material, layers[0])
        if sum(id(layer) in reached for layer in layers[1:]) >= 2:
            return True
    return False


def blob_scales(material: Material) -> dict[int, float]:
    """Root mean square of each layer's first top relative to the input, by the id of the layer."""
    scales = material.scales
    for layer in material.layers if not scales else ():
        made = [scales.get(id(maker), 1.0) if maker is not None else 1.0 for maker in material.makers(layer)]
        scales[id(layer)] = min(_scale(material, layer, made or [1.0]), 1e30)
    return scales


def _scale(material: Material, layer: Layer, made: list[float]) -> float:
    first = made[0]
    kind = layer.type
    if kind in _NORMALIZING:
        return 1.0
    if kind in _BOUNDED or layer.is_loss:
        return min(first, 1.0) if kind == "TanH" else 1.0
    if kind in FILLER_BLOCKS:
        return 1.0 if kind == "Embed" else first * gain(material, layer)[0]
    match kind:
        case "ReLU" | "ReLU6":
            slope = layer.number("relu_param.negative_slope")
            return first * math.sqrt((1 + slope * slope) / 2)
        case "PReLU" | "ELU" | "BNLL" | "Swish":
            return first * math.sqrt(0.53)
        case "LRN":
            return min(first, _LRN_SOFT)
        case "Eltwise":
            return _combined(layer, made)
        case "Concat":
            return math.sqrt(sum(x * x for x in made) / len(made))
        case "Power":
            inner = abs(layer.number("power_param.scale", 1.0)) * first + abs(layer.number("power_param.shift"))
            power = layer.number("power_param.power", 1.0)
            return min(inner**power, 1e30) if 0 <= power <= 4 and inner < 1e7 else first
        case "Scale" if len(made) == 1:
            value = layer.number("scale_param.filler.value", 1.0)
            return first * abs(value)
    return first


def _combined(layer: Layer, made: list[float]) -> float:
    operation = layer.text("eltwise_param.operation", "SUM")
    if operation == "MAX":
        return max(made)
    if operation == "PROD":
        return min(math.prod(made), 1e30)
    weights = layer.numbers("eltwise_param.coeff") or [1.0] * len(made)
    return math.sqrt(sum((w * x) ** 2 for w, x in zip(weights, made)))


def _behind(material: Material, layer: Layer) -> set[int]:
    """The ids of all layers that this one feeds."""
    found: set[int] = set()
    queue = [layer]
    while queue:
        for reader in material.readers(queue.pop()):
            if id(reader) not in found:
                found.add(id(reader))
                queue.append(reader)
    return found
