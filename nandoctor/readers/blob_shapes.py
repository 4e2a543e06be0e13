"""Shapes of the layers that make new blobs: data sources, sliding windows, dense and recurrent layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nandoctor.readers.dimensions import Dim, MismatchError, Shape, canonical_axis, limited, product, shown
from nandoctor.readers.textproto import Message
from nandoctor.readers.windows import convolution_windows, convolved, deconvolved, pooled_shape, pooling_windows

if TYPE_CHECKING:
    from nandoctor.readers.caffe import Layer

# What a convolution over a blob of unknown rank is taken to work on: an image.
_SPATIAL_AXES = 2


def _first(bottoms: list[Shape]) -> Shape:
    return bottoms[0] if bottoms else None


# --- sources


def _given_shapes(layer: Layer, path: str) -> list[Shape]:
    shapes: list[Shape] = [
        tuple(dim if isinstance(dim, int) else None for dim in message.all("dim"))
        for message in layer.all(path)
        if isinstance(message, Message) and limited(len(message.fields), path) >= 0
    ]
    return [shapes[min(i, len(shapes) - 1)] if shapes else None for i in range(len(layer.tops))]


def input_layer(layer: Layer, _: list[Shape]) -> list[Shape]:
    """One shape for every top, or one each."""
    return _given_shapes(layer, "input_param.shape")


def parameter(layer: Layer, _: list[Shape]) -> list[Shape]:
    """A learned blob without a bottom."""
    return _given_shapes(layer, "parameter_param.shape")


def dummy_data(layer: Layer, _: list[Shape]) -> list[Shape]:
    """`shape`, or the four legacy sides; one for all tops or one each."""
    if layer.has("dummy_data_param.shape"):
        return _given_shapes(layer, "dummy_data_param.shape")
    sides = [layer.wholes(f"dummy_data_param.{name}") for name in ("num", "channels", "height", "width")]
    if not all(sides):
        return [None] * len(layer.tops)
    return [tuple(side[min(i, len(side) - 1)] for side in sides) for i in range(len(layer.tops))]


def memory_data(layer: Layer, _: list[Shape]) -> list[Shape]:
    """Batch, channels, height and width are all given."""
    sides = [layer.whole(f"memory_data_param.{name}") for name in ("batch_size", "channels", "height", "width")]
    shapes: list[Shape] = [tuple(sides), (sides[0],)]
    return shapes[: len(layer.tops)]


def data(layer: Layer, _: list[Shape]) -> list[Shape]:
    """Data, ImageData, WindowData and relatives: what batch, crop, resize and colour fields tell."""
    param = {
        "ImageData": "image_data_param",
        "WindowData": "window_data_param",
        "DenseImageData": "dense_image_data_param",
        "ImageSegData": "image_data_param",
    }.get(layer.type, "data_param")
    # data_layer.cpp and memory of protobuf: batch_size has no default; image and window data have 1 and none
    batch = layer.get(f"{param}.batch_size")
    known = batch if isinstance(batch, int) else 1 if param == "image_data_param" else None
    height = width = layer.whole("transform_param.crop_size") or layer.whole(f"{param}.crop_size")
    if not height:
        height = layer.whole(f"{param}.new_height") or layer.whole("transform_param.resize_param.height")
        width = layer.whole(f"{param}.new_width") or layer.whole("transform_param.resize_param.width")
    image: Shape = (known, _channels(layer, param), height or None, width or None)
    label: Shape = (known,)
    if layer.type == "AnnotatedData":
        label = (1, 1, None, 8)
    elif layer.type in ("DenseImageData", "ImageSegData"):
        label = (known, 1, height or None, width or None)
    elif layer.type == "VideoData":
        image = None
    return [image, label, *[None] * len(layer.tops)][: len(layer.tops)]


def _channels(layer: Layer, param: str) -> Dim:
    if layer.flag("transform_param.force_gray"):
        return 1
    if layer.flag("transform_param.force_color") or layer.type == "WindowData":
        return 3
    if param == "image_data_param" or layer.type == "DenseImageData":
        return 3 if layer.flag(f"{param}.is_color", True) else 1
    means = len(layer.numbers("transform_param.mean_value"))
    return means if means > 1 else None


# --- windows


def convolution(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Convolution and Deconvolution, over any number of spatial axes; top i from bottom i."""
    return [_convolution_of(layer, bottom) for bottom in bottoms[: len(layer.tops)]]


def _convolution_of(layer: Layer, bottom: Shape) -> Shape:
    if bottom is None:
        kernels = len(layer.wholes("convolution_param.kernel_size"))
        bottom = (None,) * limited(2 + max(_SPATIAL_AXES, kernels), "convolution_param.kernel_size")
    axis = canonical_axis(layer.whole("convolution_param.axis", 1), bottom, "convolution_param.axis")
    spatial = bottom[axis + 1 :]
    windows = convolution_windows(layer, len(spatial))
    if any(window.kernel is None for window in windows):
        raise MismatchError("no kernel_size is given", "convolution_param")
    size = deconvolved if layer.type == "Deconvolution" else convolved
    out = tuple(size(dim, window) for dim, window in zip(spatial, windows, strict=True))
    for dim, result, window in zip(spatial, out, windows, strict=True):
        if result is not None and result < 1:
            raise MismatchError(
                f"a window of {window.kernel} does not fit into an input of {dim}", "convolution_param.kernel_size"
            )
    channels, group = bottom[axis], layer.whole("convolution_param.group", 1)
    if channels is not None and group > 1 and channels % group:
        raise MismatchError(f"{channels} channels cannot be divided into {group} groups", "convolution_param.group")
    if not layer.has("convolution_param.num_output"):
        raise MismatchError("no num_output is given", "convolution_param")
    return (*bottom[:axis], layer.whole("convolution_param.num_output"), *out)


def pooling(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Top and, for MAX, the mask."""
    bottom = _first(bottoms)
    if bottom is None:
        bottom = (None,) * 4
    if len(bottom) != 4:
        raise MismatchError(f"Input must have 4 axes, corresponding to (num, channels, height, width): {shown(bottom)}")
    out = pooled_shape(layer, bottom)
    for dim, result, window in zip(bottom[2:], out, pooling_windows(layer, bottom), strict=True):
        if result is not None and result < 1:
            raise MismatchError(
                f"a window of {window.kernel} does not fit into an input of {dim}", "pooling_param.kernel_size"
            )
    return [(*bottom[:2], *out)] * len(layer.tops)


def im2col(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Patches as channels."""
    bottom = _first(bottoms)
    if bottom is None:
        return [None]
    axis = canonical_axis(layer.whole("convolution_param.axis", 1), bottom)
    windows = convolution_windows(layer, len(bottom) - axis - 1)
    kernels = product(tuple(window.kernel for window in windows))
    channels = bottom[axis]
    depth = None if kernels is None or channels is None else channels * kernels
    return [
        (*bottom[:axis], depth, *(convolved(dim, win) for dim, win in zip(bottom[axis + 1 :], windows, strict=True)))
    ]


def spp(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Spatial pyramid: 1, 4, 16, .. windows a channel."""
    bottom = _first(bottoms)
    if bottom is None or len(bottom) < 2 or bottom[1] is None:
        return [None]
    levels = min(layer.whole("spp_param.pyramid_height", 1), 30)
    return [(bottom[0], sum(bottom[1] * 4**level for level in range(levels)))]


def upsample(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """SegNet."""
    bottom = _first(bottoms)
    if bottom is None or len(bottom) != 4:
        return [None] * len(layer.tops)
    sides: list[Dim] = []
    for dim, side in zip(bottom[2:], "hw", strict=True):
        scale = layer.whole(f"upsample_param.scale_{side}", layer.whole("upsample_param.scale", 2))
        fixed = layer.whole(f"upsample_param.upsample_{side}")
        cut = int(layer.flag(f"upsample_param.pad_out_{side}"))
        sides.append(fixed or (None if dim is None else dim * scale - cut))
    return [(*bottom[:2], *sides)] * len(layer.tops)


def interp(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """DeepLab and PSPNet."""
    bottom = _first(bottoms)
    if bottom is None or len(bottom) != 4:
        return [None]
    pad = layer.whole("interp_param.pad_beg") + layer.whole("interp_param.pad_end")
    shrink, zoom = layer.whole("interp_param.shrink_factor", 1), layer.whole("interp_param.zoom_factor", 1)

    def side(dim: Dim, name: str) -> Dim:
        fixed = layer.whole(f"interp_param.{name}")
        if fixed or dim is None or shrink < 1:
            return fixed or None
        small = (dim + pad - 1) // shrink + 1
        return small + (small - 1) * (zoom - 1)

    return [(*bottom[:2], side(bottom[2], "height"), side(bottom[3], "width"))]


def roi_pooling(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Fast R-CNN."""
    bottom, rois = _first(bottoms), bottoms[1] if len(bottoms) > 1 else None
    path = "psroi_pooling_param" if layer.type == "PSROIPooling" else "roi_pooling_param"
    if layer.type == "PSROIPooling":
        group = layer.whole(f"{path}.group_size") or None
        return [(rois[0] if rois else None, layer.whole(f"{path}.output_dim") or None, group, group)]
    height, width = layer.whole(f"{path}.pooled_h") or None, layer.whole(f"{path}.pooled_w") or None
    return [(rois[0] if rois else None, bottom[1] if bottom and len(bottom) > 1 else None, height, width)]


# --- dense and recurrent


def inner_product(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Everything from `axis` on becomes num_output."""
    if not layer.has("inner_product_param.num_output"):
        raise MismatchError("no num_output is given", "inner_product_param")
    bottom, axis = _first(bottoms), layer.whole("inner_product_param.axis", 1)
    if bottom is None and axis < 0:
        return [None]
    if bottom is None:
        bottom = (None,) * limited(axis + 1, "inner_product_param.axis")
    axis = canonical_axis(axis, bottom, "inner_product_param.axis")
    return [(*bottom[:axis], layer.whole("inner_product_param.num_output"))]


def embed(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """One vector for each index."""
    bottom = _first(bottoms)
    return [None if bottom is None else (*bottom, layer.whole("embed_param.num_output"))]


def recurrent(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Time steps x streams x num_output; with expose_hidden the states too."""
    bottom = _first(bottoms)
    if bottom is None:
        bottom = (None, None)
    if len(bottom) < 2:
        raise MismatchError(f"bottom[0] must have at least 2 axes -- (#timesteps, #streams, ...), not {shown(bottom)}")
    outputs = layer.whole("recurrent_param.num_output")
    state: Shape = (1, bottom[1], outputs)
    return [(bottom[0], bottom[1], outputs), *[state] * (len(layer.tops) - 1)]
