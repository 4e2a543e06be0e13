"""How each layer type turns the shapes of its bottoms into those of its tops, as the Reshape methods of Caffe do.

A rule gets the layer and its bottoms' shapes and returns its tops' shapes; None is unknown, also within a shape.
It raises `MismatchError` where Caffe's own CHECK would stop, as far as the known sizes show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nandoctor.readers import blob_shapes as made
from nandoctor.readers import rearrangements as arranged
from nandoctor.readers.dimensions import Dim, MismatchError, Shape, canonical_axis, product, shown
from nandoctor.readers.windows import CONVOLUTION_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from nandoctor.readers.caffe import Layer

    Rule = Callable[[Layer, list[Shape]], list[Shape]]


def _first(bottoms: list[Shape]) -> Shape:
    return bottoms[0] if bottoms else None


def _same(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Every top like the first bottom."""
    return [_first(bottoms)] * len(layer.tops)


def _each(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Top i like bottom i."""
    return [bottoms[i] if i < len(bottoms) else _first(bottoms) for i in range(len(layer.tops))]


def _scalar(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    return [(), *[_first(bottoms)] * (len(layer.tops) - 1)]


def _prior_box(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """SSD: priors of every cell, their four corners, and as many variances."""
    bottom = _first(bottoms)
    if bottom is None or len(bottom) < 4:
        return [None]
    ratios = [1.0]
    for ratio in layer.numbers("prior_box_param.aspect_ratio"):
        if ratio > 0 and all(abs(ratio - known) >= 1e-6 for known in ratios):
            ratios.append(ratio)
            if layer.flag("prior_box_param.flip", True):
                ratios.append(1 / ratio)
    priors = len(ratios) * len(layer.numbers("prior_box_param.min_size"))
    priors += len(layer.numbers("prior_box_param.max_size"))
    cells = product(bottom[2:4])
    return [(1, 2, None if cells is None else cells * priors * 4)]


def _accuracy(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    bottom = _first(bottoms)
    classes: Shape = None
    if bottom:
        classes = (bottom[canonical_axis(layer.whole("accuracy_param.axis", 1), bottom, "accuracy_param.axis")],)
        if len(bottoms) > 1:
            _check_labels(layer, bottom, bottoms[1], "accuracy_param.axis")
    return [(), classes][: len(layer.tops)]


def _class_loss(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    if len(bottoms) > 1 and bottoms[0]:
        _check_labels(layer, bottoms[0], bottoms[1], "softmax_param.axis")
    return _scalar(layer, bottoms)


def _check_labels(layer: Layer, scores: tuple[Dim, ...], labels: Shape, path: str) -> None:
    axis = canonical_axis(layer.whole(path, 1), scores, path)
    predictions = product(scores[:axis] + scores[axis + 1 :])
    count = None if labels is None else product(labels)
    if count is not None and predictions is not None and count != predictions:
        raise MismatchError(
            "Number of labels must match number of predictions: "
            f"{count} labels ({shown(labels)}) for {predictions} predictions ({shown(scores)})"
        )


def _pair_loss(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Losses of two inputs with the same number of elements."""
    if len(bottoms) > 1 and bottoms[0] is not None and bottoms[1] is not None:
        first, second = product(bottoms[0]), product(bottoms[1])
        if first is not None and second is not None and first != second:
            raise MismatchError(f"Inputs must have the same dimension: {shown(bottoms[0])} and {shown(bottoms[1])}")
    return _scalar(layer, bottoms)


def _detections(layer: Layer, _: list[Shape]) -> list[Shape]:
    return [(1, 1, None, 7 if layer.type == "DetectionOutput" else 5)] * len(layer.tops)


def _nothing(layer: Layer, _: list[Shape]) -> list[Shape]:
    return [None] * len(layer.tops)


_SAME = """AbsVal BatchNorm Bias BNLL Clip Dropout ELU Exp Log LRN MVN Power PReLU ReLU Scale Sigmoid Softmax Split
Swish TanH Threshold BN Normalize ReLU6 ShuffleChannel SpatialDropout GradientScaler L2Normalize"""
RULES: dict[str, Rule] = {
    **dict.fromkeys(_SAME.split(), _same),
    **dict.fromkeys(CONVOLUTION_TYPES, made.convolution),
    **dict.fromkeys(("Data", "ImageData", "WindowData", "AnnotatedData", "DenseImageData", "ImageSegData"), made.data),
    **dict.fromkeys(("LSTM", "RNN"), made.recurrent),
    **dict.fromkeys(("SoftmaxWithLoss", "InfogainLoss", "MultinomialLogisticLoss"), _class_loss),
    **dict.fromkeys(("EuclideanLoss", "SigmoidCrossEntropyLoss", "SmoothL1Loss"), _pair_loss),
    **dict.fromkeys(("ROIPooling", "ROIAlign", "PSROIPooling"), made.roi_pooling),
    **dict.fromkeys(("DetectionOutput", "DetectionEvaluate"), _detections),
    "Accuracy": _accuracy,
    "ArgMax": arranged.arg_max,
    "Axpy": arranged.second,
    "BatchReindex": arranged.batch_reindex,
    "Concat": arranged.concat,
    "ContrastiveLoss": _scalar,
    "Crop": arranged.crop,
    "Deconvolution": made.convolution,
    "DummyData": made.dummy_data,
    "Eltwise": arranged.eltwise,
    "Embed": made.embed,
    "Filter": arranged.filtered,
    "Flatten": arranged.flatten,
    "HDF5Data": _nothing,
    "HDF5Output": _nothing,
    "HingeLoss": _scalar,
    "Im2col": made.im2col,
    "InnerProduct": made.inner_product,
    "Input": made.input_layer,
    "Interp": made.interp,
    "LSTMUnit": _each,
    "MemoryData": made.memory_data,
    "MultiBoxLoss": _scalar,
    "Parameter": made.parameter,
    "Permute": arranged.permute,
    "Pooling": made.pooling,
    "PriorBox": _prior_box,
    "Reduction": arranged.reduction,
    "Reshape": arranged.reshape,
    "Silence": _nothing,
    "Slice": arranged.sliced,
    "SPP": made.spp,
    "Tile": arranged.tile,
    "Upsample": made.upsample,
}  # fmt: skip
