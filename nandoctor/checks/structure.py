"""What kind of net this is, and how much of a signal its sparse layers let through."""

from __future__ import annotations

from itertools import accumulate

from nandoctor.checks.fillers import block
from nandoctor.checks.look import Arg, Look, Match, shown
from nandoctor.checks.material import RECURRENT, Material
from nandoctor.checks.signal import recurrent
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Layer

# Hinton's 784-1000-500-250-30 autoencoder, the documents' example of a bottleneck, narrows 33-fold; 16-fold ones train.
NARROW = 1 / 20
BEFORE_BOTTLENECK = 3
# Five dropouts of 0.5 in a row keep 3 %; AlexNet and VGG have two, 25 %.
KEPT = 0.05
CHAIN_SHOWN = 20

_DETECTION = frozenset(
    """ROIPooling ROIAlign PSROIPooling PSROIAlign PriorBox MultiBoxLoss DetectionOutput RegionLoss Proposal Yolov3
    BoxData AnnotatedData SmoothL1LossOHEM BoxAnnotatorOHEM""".split()  # noqa: SIM905
)
_UPSAMPLING = frozenset({"Deconvolution", "Upsample", "Interp", "DenseImageData", "ImageSegData"})
_REGRESSION = frozenset({"EuclideanLoss", "SmoothL1Loss", "L1Loss", "HuberLoss"})
_CLASSES = frozenset({"SoftmaxWithLoss", "SoftmaxWithLossOHEM", "MultinomialLogisticLoss", "HingeLoss"})
_CONVOLUTIONS = frozenset({"Convolution", "DepthwiseConvolution", "ConvolutionDepthwise", "Convolution3D"})


def architecture(material: Material, check: Check) -> Look | None:
    """The kind of net by its layers; the state is what was measured."""
    if not material.learnable:
        return None
    state, trust, proof = _architecture(material)
    if not material.whole_net:
        if state in ("mlp", "autoencoder"):
            return None  # the other layers may be of another kind
        trust *= 0.8
    kinds = dict.fromkeys(layer.type for layer in proof)
    args: dict[str, Arg] = {"types": shown(", ".join(list(kinds)[:5]))}
    return Look((Match(None, tuple(layer.location for layer in proof[:5]), args, state=state, trust=trust),))


def bottleneck(material: Material, check: Check) -> Look | None:
    """Fully connected layers that narrow far down and widen again."""
    dense = [layer for layer in material.learnable if layer.type == "InnerProduct"]
    widths = [layer.whole("inner_product_param.num_output") for layer in dense]
    at = tuple(layer.where("inner_product_param.num_output") for layer in dense)
    widest_so_far = list(accumulate(widths, max))
    widest_to_come = list(accumulate(reversed(widths), max))[::-1]
    for index in range(BEFORE_BOTTLENECK, len(widths) - 1):
        before, after = widest_so_far[index - 1], widest_to_come[index + 1]
        if 0 < widths[index] <= NARROW * before and after >= 2 * widths[index] and _dense_chain(material, dense, index):
            args: dict[str, Arg] = {"width": widths[index], "before": before}
            return Look((Match(dense[index], (at[index],), args),), at)
    return Look((), at) if dense else None


def dropout_chain(material: Material, check: Check) -> Look | None:
    """What is left of a signal behind all dropouts on its way."""
    if not material.layers:
        return None
    kept: dict[int, float] = {}
    drops: dict[int, tuple[Layer, ...]] = {}
    worst: tuple[float, tuple[Layer, ...]] = (1.0, ())
    for layer in material.layers:
        makers = [maker for maker in material.makers(layer) if maker is not None]
        least = min(makers, key=lambda maker: kept[id(maker)], default=None)
        kept[id(layer)] = kept[id(least)] if least is not None else 1.0
        drops[id(layer)] = drops[id(least)] if least is not None else ()
        if layer.type == "Dropout":
            kept[id(layer)] *= max(0.0, 1 - layer.number("dropout_param.dropout_ratio", 0.5))
            drops[id(layer)] = (*drops[id(layer)], layer)[-CHAIN_SHOWN:]
        if kept[id(layer)] < worst[0]:
            worst = kept[id(layer)], drops[id(layer)]
    share, chain = worst
    if share >= KEPT or len(chain) < 2:
        return Look((), tuple(layer.location for layer in material.layers if layer.type == "Dropout"))
    at = tuple(layer.where("dropout_param.dropout_ratio") for layer in chain)
    return Look((Match(chain[0], at, {"percent": shown(share * 100), "count": len(chain)}),))


def _architecture(material: Material) -> tuple[str, float, list[Layer]]:
    layers = material.layers
    found = [layer for layer in layers if layer.type in RECURRENT]
    if found:
        return "rnn", 0.95, found
    if recurrent(material):
        shared = [layer for layer in material.learnable if layer.has("param.name")]
        return "rnn", 0.9, shared
    found = [layer for layer in layers if layer.type in _DETECTION]
    if found:
        return "detector", 0.95, found
    rebuilt = _rebuilds_input(material)
    if rebuilt is not None:
        noise = [layer for layer in layers if layer.type in ("DummyData", "Exp")]
        both = {layer.type for layer in noise} == {"DummyData", "Exp"}
        return ("vae", 0.8, [rebuilt, *noise]) if both else ("autoencoder", 0.85, [rebuilt])
    weighted = [loss.layer for loss in material.losses]
    classes = [layer for layer in weighted if layer.type in _CLASSES]
    boxes = [layer for layer in weighted if layer.type in _REGRESSION]
    if classes and boxes:
        return "detector", 0.75, [*classes, *boxes]
    found = [layer for layer in layers if layer.type in _UPSAMPLING]
    if found:
        return "segmentation", 0.9, found
    found = [layer for layer in layers if layer.type in _CONVOLUTIONS]
    if found:
        maps = [layer for layer in classes if material.maker(layer) in found and _spatial(material, layer)]
        return ("segmentation", 0.8, maps) if maps else ("cnn", 0.9, found)
    return "mlp", 0.9, list(material.learnable)


def _spatial(material: Material, layer: Layer) -> bool:
    shape = material.shapes.bottom(layer) if material.shapes else None
    return shape is not None and len(shape) == 4 and all(side is not None and side > 1 for side in shape[2:])


def _rebuilds_input(material: Material) -> Layer | None:
    """A loss whose target is the very input of the net."""
    for loss in material.losses:
        layer = loss.layer
        if len(layer.bottoms) != 2 or layer.type not in (*_REGRESSION, "SigmoidCrossEntropyLoss"):
            continue
        target = layer.bottoms[1]
        source = material.maker(layer, 1)
        if source is None or source.bottoms:
            continue
        tops = set(source.tops) - material.label_blobs
        at = material.makers(layer)[1]
        passed = at is not None and at is not source
        if (target in tops or passed) and any(
            reader in material.learnable or not reader.is_loss for reader in material.readers(source)
        ):
            return layer
    return None


def _dense_chain(material: Material, dense: list[Layer], index: int) -> bool:
    """Whether the layers around the bottleneck really follow one another."""
    at: Layer | None = dense[index]
    steps = 0
    while at is not None and steps < 50:
        steps += 1
        makers = material.makers(at)
        at = makers[0] if makers else None
        if at is dense[index - 1]:
            return block(dense[index]) == "inner_product_param"
    return False
