"""Sliding windows of convolution and pooling: output sizes with Caffe's exact rounding, empty windows, fan-in.

Sources: conv_layer.cpp, deconv_layer.cpp, base_conv_layer.cpp, pooling_layer.cpp, filler.hpp of BVLC Caffe.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec

from nandoctor.readers.dimensions import Dim, Shape, product

if TYPE_CHECKING:
    from nandoctor.readers.caffe import Layer

POOLING_TYPES = ("Pooling",)
CONVOLUTION_TYPES = ("Convolution", "ConvolutionDepthwise", "DepthwiseConvolution")


class Window(msgspec.Struct, frozen=True):
    """The window along one axis."""

    kernel: Dim
    stride: int
    pad: int
    dilation: int = 1


class EmptyWindow(msgspec.Struct, frozen=True):
    """A pooling window that begins at or beyond the border.

    effect: `nan` (AVE, 0/0), `zero` (AVE, 0/negative: silent zeros), `lowest` (MAX keeps -FLT_MAX).
    """

    effect: Literal["nan", "zero", "lowest"]
    axis: Literal["height", "width"]
    size: int
    kernel: int
    stride: int


def _quotient(numerator: int, denominator: int) -> int:
    """C's integer division: towards zero."""
    whole = abs(numerator) // abs(denominator)
    return whole if (numerator < 0) == (denominator < 0) else -whole


def convolved(size: Dim, window: Window) -> Dim:
    """Output size of a convolution along one axis; rounded down."""
    if size is None or window.kernel is None or window.stride < 1:
        return None
    extent = window.dilation * (window.kernel - 1) + 1
    return _quotient(size + 2 * window.pad - extent, window.stride) + 1


def deconvolved(size: Dim, window: Window) -> Dim:
    """Output size of a deconvolution along one axis."""
    if size is None or window.kernel is None:
        return None
    return window.stride * (size - 1) + window.dilation * (window.kernel - 1) + 1 - 2 * window.pad


def pooled(size: Dim, window: Window, any_pad: bool, floor: bool = False) -> Dim:
    """Output size of a pooling along one axis.

    Args:
        size: input size.
        window: the window of this axis.
        any_pad: whether any axis is padded; only then a window that begins beyond the padded image is dropped.
        floor: round_mode FLOOR; the default is CEIL.
    """
    if size is None or window.kernel is None or window.stride < 1:
        return None
    span = size + 2 * window.pad - window.kernel
    out = (_quotient(span, window.stride) if floor else math.ceil(span / window.stride)) + 1
    if any_pad and (out - 1) * window.stride >= size + window.pad:
        out -= 1
    return out


def convolution_windows(layer: Layer, axes: int) -> list[Window]:
    """The windows of a Convolution, Deconvolution or Im2col over `axes` spatial axes; kernel None if it is missing."""

    def each(name: str, default: Dim) -> list[Dim]:
        pair = [layer.get(f"convolution_param.{name}_h"), layer.get(f"convolution_param.{name}_w")]
        if axes == 2 and any(isinstance(value, int) for value in pair):
            return [value if isinstance(value, int) else default for value in pair]
        values = layer.wholes("convolution_param." + ("kernel_size" if name == "kernel" else name))
        if len(values) == axes:
            return list(values)
        return [values[0] if values else default] * axes

    dilations = layer.wholes("convolution_param.dilation") or [1]
    if len(dilations) != axes:
        dilations = dilations[:1] * axes
    return [
        Window(kernel, stride if stride is not None else 1, pad or 0, dilation)
        for kernel, stride, pad, dilation in zip(
            each("kernel", None), each("stride", 1), each("pad", 0), dilations, strict=True
        )
    ]


def pooling_windows(layer: Layer, bottom: Shape) -> tuple[Window, Window]:
    """The windows of a Pooling layer along height and width; the whole image with global_pooling."""
    if layer.flag("pooling_param.global_pooling"):
        height, width = bottom[-2:] if bottom is not None and len(bottom) >= 2 else (None, None)
        return Window(height, 1, 0), Window(width, 1, 0)

    def pair(name: str, both: str, default: Dim) -> tuple[Dim, Dim]:
        shared = layer.get("pooling_param." + both)
        fallback = shared if isinstance(shared, int) else default
        height, width = layer.get(f"pooling_param.{name}_h"), layer.get(f"pooling_param.{name}_w")
        return (
            height if isinstance(height, int) else fallback,
            width if isinstance(width, int) else fallback,
        )

    kernels = pair("kernel", "kernel_size", None)
    strides, pads = pair("stride", "stride", 1), pair("pad", "pad", 0)
    high, wide = (
        Window(kernel, 1 if stride is None else stride, pad or 0)
        for kernel, stride, pad in zip(kernels, strides, pads, strict=True)
    )
    return high, wide


def rounds_down(layer: Layer) -> bool:
    """Whether a Pooling layer rounds its size down (round_mode of BVLC since 2018, ceil_mode of forks)."""
    return layer.text("pooling_param.round_mode") == "FLOOR" or not layer.flag("pooling_param.ceil_mode", True)


def pooled_shape(layer: Layer, bottom: Shape) -> tuple[Dim, Dim]:
    """Height and width of a Pooling layer's top."""
    height, width = bottom[-2:] if bottom is not None and len(bottom) >= 2 else (None, None)
    windows = pooling_windows(layer, bottom)
    any_pad = any(window.pad for window in windows)
    floor = rounds_down(layer)
    return pooled(height, windows[0], any_pad, floor), pooled(width, windows[1], any_pad, floor)


def empty_window(layer: Layer, bottom: Shape) -> EmptyWindow | None:
    """The worst empty window of a Pooling layer on an input of this shape, or None (also when the size is unknown).

    Only the last window of an axis can be empty, and only without padding and with a stride above the kernel.
    AVE divides by the window's size before it is cut to the image at the left: at the border 0/0 is nan, beyond it
    0/negative is 0. MAX keeps its start value -FLT_MAX. Caffe has no CPU code for STOCHASTIC; it is taken as AVE.
    """
    if layer.type not in POOLING_TYPES or bottom is None or len(bottom) < 2:
        return None
    lowest = layer.text("pooling_param.pool", "MAX") == "MAX"
    found: list[EmptyWindow] = []
    axes: tuple[Literal["height", "width"], ...] = ("height", "width")
    for axis, size, window, out in zip(
        axes, bottom[-2:], pooling_windows(layer, bottom), pooled_shape(layer, bottom), strict=True
    ):
        if size is None or out is None or window.kernel is None:
            continue
        start = (out - 1) * window.stride - window.pad
        if start < size or out < 1:
            continue
        end = min(start + window.kernel, size + window.pad)
        effect: Literal["nan", "zero", "lowest"] = "lowest" if lowest else "nan" if end == start else "zero"
        found.append(EmptyWindow(effect, axis, size, window.kernel, window.stride))
    order = ("nan", "lowest", "zero")
    return min(found, key=lambda window: order.index(window.effect), default=None)


def empty_windows(layer: Layer, bottom: Shape) -> bool:
    """Whether a Pooling layer really has an empty window for this input (MAX or AVE)."""
    return empty_window(layer, bottom) is not None


def ave_is_nan(layer: Layer, bottom: Shape) -> bool:
    """Whether AVE pooling divides 0 by 0: no padding, CEIL, stride above the kernel, size a multiple of the stride."""
    window = empty_window(layer, bottom)
    return window is not None and window.effect == "nan"


def max_is_lowest(layer: Layer, bottom: Shape) -> bool:
    """Whether MAX pooling leaves -FLT_MAX in its top: size mod stride is 0 or above the kernel."""
    window = empty_window(layer, bottom)
    return window is not None and window.effect == "lowest"


def weight_shape(layer: Layer, bottom: Shape) -> Shape:
    """The shape of the layer's first parameter blob; None if the layer has none or a size is missing."""
    if bottom is None:
        return None
    if layer.type in (*CONVOLUTION_TYPES, "Deconvolution"):
        axis = layer.whole("convolution_param.axis", 1)
        if not -len(bottom) <= axis < len(bottom):
            return None
        channels = bottom[axis]
        outputs = layer.whole("convolution_param.num_output")
        group = max(1, layer.whole("convolution_param.group", 1))
        kernels = [window.kernel for window in convolution_windows(layer, len(bottom) - 1 - axis % len(bottom))]
        if layer.type == "ConvolutionDepthwise":
            return (outputs, 1, *kernels)
        if layer.type == "Deconvolution":
            return (channels, outputs // group, *kernels)
        return (outputs, None if channels is None else channels // group, *kernels)
    if layer.type == "InnerProduct":
        axis = layer.whole("inner_product_param.axis", 1)
        outputs, inputs = layer.whole("inner_product_param.num_output"), product(bottom[axis:])
        return (inputs, outputs) if layer.flag("inner_product_param.transpose") else (outputs, inputs)
    if layer.type == "Embed":
        return (layer.whole("embed_param.input_dim"), layer.whole("embed_param.num_output"))
    return None


def fan_in(layer: Layer, bottom: Shape) -> Dim:
    """What the xavier and msra fillers take as fan-in: count / shape[0] of the weight blob."""
    shape = weight_shape(layer, bottom)
    return product(shape[1:]) if shape else None


def fan_out(layer: Layer, bottom: Shape) -> Dim:
    """What the fillers take as fan-out: count / shape[1] of the weight blob."""
    shape = weight_shape(layer, bottom)
    return product(shape[:1] + shape[2:]) if shape else None
