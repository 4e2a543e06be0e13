"""Pooling windows that lie outside the image, and pooling fields that Caffe refuses."""

from __future__ import annotations

import msgspec

from nandoctor.checks.look import Arg, Look, Match, could_not
from nandoctor.checks.material import Material
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Layer
from nandoctor.readers.dimensions import Shape
from nandoctor.readers.shapes import EmptyWindow, empty_window
from nandoctor.readers.windows import pooled_shape, pooling_windows, rounds_down


class Gap(msgspec.Struct, frozen=True):
    """A pooling whose stride exceeds its kernel along an axis.

    outcome: what it does to this input. `nan`: AVE divides 0 by 0; `zero`: AVE fills silently with zeros; `lowest`:
    MAX leaves -FLT_MAX; `hidden`: the same, but a ReLU turns it into 0; `harmless`; `unknown`: the size is not known.
    """

    layer: Layer
    kernel: int
    stride: int
    kernel_field: str
    stride_field: str
    outcome: str
    size: int | None


def windows(material: Material, check: Check) -> Look | None:
    """Pooling layers whose stride exceeds their kernel, by what it does: `params.outcome`."""
    layers = [layer for layer in material.layers if layer.type == "Pooling"]
    outcome = str(check.params["outcome"])
    gaps = [gap for layer in layers if (gap := _gap(material, layer)) is not None]
    matches = [_match(gap) for gap in gaps if gap.outcome == outcome]
    at = tuple(layer.where("pooling_param.stride") for layer in layers)
    if not matches and outcome in ("nan", "lowest") and any(gap.outcome == "unknown" for gap in gaps):
        gap = next(gap for gap in gaps if gap.outcome == "unknown")
        because = could_not("input-size-unknown", "give-input-shape", layer=gap.layer.name)
        return Look((), at, because if str(check.params.get("also", "")) else None)
    if not matches and any(gap.outcome != "unknown" for gap in gaps) and outcome == "unknown":
        return None
    return Look(tuple(matches), at)


def refused(material: Material, check: Check) -> Look | None:
    """Pooling parameters on which LayerSetUp of pooling_layer.cpp stops."""
    matches = []
    for layer in material.layers:
        if layer.type == "Pooling" and (reason := _refusal(layer)):
            path, loader = reason
            matches.append(Match(layer, (layer.where(f"pooling_param.{path}"),), {"loader": loader}))
    return Look(tuple(matches))


def _gap(material: Material, layer: Layer) -> Gap | None:
    if layer.flag("pooling_param.global_pooling"):
        return None
    bottom: Shape = material.shapes.bottom(layer) if material.shapes else None
    sides = pooling_windows(layer, bottom)
    # The field `kernel`, which Caffe does not know, is read as the kernel_size that was meant.
    meant = layer.whole("pooling_param.kernel") or None
    for axis, (window, letter) in enumerate(zip(sides, "hw")):
        kernel = window.kernel or meant
        if kernel is None or window.stride <= kernel:
            continue
        sized = layer.has(f"pooling_param.stride_{letter}")
        stride_field = f"pooling_param.stride_{letter}" if sized else "pooling_param.stride"
        kernel_field = next(
            (
                f"pooling_param.{name}"
                for name in (f"kernel_{letter}", "kernel_size", "kernel")
                if layer.has(f"pooling_param.{name}")
            ),
            "pooling_param.kernel_size",
        )
        size = bottom[-2 + axis] if bottom is not None and len(bottom) >= 2 else None
        outcome = _outcome(material, layer, bottom, kernel, window.stride)
        return Gap(layer, kernel, window.stride, kernel_field, stride_field, outcome, size)
    return None


def _outcome(material: Material, layer: Layer, bottom: Shape, kernel: int, stride: int) -> str:
    if rounds_down(layer) or any(window.pad for window in pooling_windows(layer, bottom)):
        return "harmless"
    if bottom is None or len(bottom) < 2 or None in bottom[-2:]:
        return "unknown"
    empty = empty_window(layer, bottom)
    if layer.has("pooling_param.kernel") and empty is None:
        height = bottom[-2] or 0
        return "nan" if height % stride == 0 and layer.text("pooling_param.pool", "MAX") == "AVE" else "unknown"
    if empty is None or None in pooled_shape(layer, bottom):
        return "harmless"
    return _effect(material, layer, empty)


def _effect(material: Material, layer: Layer, empty: EmptyWindow) -> str:
    if empty.effect != "lowest":
        return empty.effect
    readers = material.readers(layer)
    relu = bool(readers) and all(r.type == "ReLU" and r.number("relu_param.negative_slope") == 0 for r in readers)
    return "hidden" if relu else "lowest"


def _match(gap: Gap) -> Match:
    args: dict[str, Arg] = {
        "kernel": gap.kernel,
        "stride": gap.stride,
        "stride_field": gap.stride_field,
        "size": gap.size if gap.size is not None else "?",
        "pool": gap.layer.text("pooling_param.pool", "MAX"),
    }
    return Match(gap.layer, (gap.layer.where(gap.stride_field), gap.layer.where(gap.kernel_field)), args)


def _refusal(layer: Layer) -> tuple[str, str] | None:
    has = {
        name: layer.has(f"pooling_param.{name}") for name in ("kernel_size", "kernel_h", "kernel_w", "stride", "pad")
    }
    if layer.flag("pooling_param.global_pooling"):
        if has["kernel_size"] or has["kernel_h"] or has["kernel_w"]:
            return "kernel_size", "With Global_pooling: true Filter size cannot specified"
        return None
    if layer.has("pooling_param.kernel"):
        return None  # has a check of its own
    if has["kernel_size"] == (has["kernel_h"] and has["kernel_w"]):
        return "kernel_size", "Filter size is kernel_size OR kernel_h and kernel_w; not both"
    for window, letter in zip(pooling_windows(layer, None), "hw"):
        if window.kernel is not None and window.kernel <= 0:
            return "kernel_size", "Filter dimensions cannot be zero."
        if window.kernel is not None and window.pad >= window.kernel:
            field = f"pad_{letter}" if layer.has(f"pooling_param.pad_{letter}") else "pad"
            return field, f"Check failed: pad_{letter}_ < kernel_{letter}_ ({window.pad} vs. {window.kernel})"
    return None
