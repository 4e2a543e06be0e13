"""Shapes of the layers that arrange what is there: join, cut, reshape, crop, reduce."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nandoctor.readers.dimensions import Dim, MismatchError, Shape, canonical_axis, limited, product, shown

if TYPE_CHECKING:
    from nandoctor.readers.caffe import Layer


def _first(bottoms: list[Shape]) -> Shape:
    return bottoms[0] if bottoms else None


# --- arrangement


def concat(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Sizes add up along `axis`; all others must agree."""
    known = [bottom for bottom in bottoms if bottom is not None]
    if not known:
        return [None]
    legacy = layer.has("concat_param.concat_dim")
    axis = layer.whole("concat_param.concat_dim" if legacy else "concat_param.axis", 1)
    axis = canonical_axis(axis, known[0], "concat_param.axis")
    result = list(known[0])
    for bottom in known[1:]:
        if len(bottom) != len(result):
            raise MismatchError(f"All inputs must have the same #axes: {shown(known[0])} and {shown(bottom)}")
        for i, dim in enumerate(bottom):
            if i != axis and None not in (dim, result[i]) and dim != result[i]:
                raise MismatchError(
                    f"All inputs must have the same shape, except at concat_axis: {shown(known[0])} and {shown(bottom)}"
                )
            if result[i] is None and i != axis:
                result[i] = dim
    sizes = [bottom[axis] for bottom in known]
    result[axis] = None
    if len(known) == len(bottoms):
        total = sum(size for size in sizes if size is not None)
        result[axis] = None if None in sizes else total
    return [tuple(result)]


def sliced(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Cut along `axis` at slice_point, or evenly."""
    bottom, count = _first(bottoms), len(layer.tops)
    if bottom is None or not count:
        return [None] * count
    legacy = layer.has("slice_param.slice_dim")
    axis = canonical_axis(
        layer.whole("slice_param.slice_dim" if legacy else "slice_param.axis", 1), bottom, "slice_param.axis"
    )
    size, points = bottom[axis], layer.wholes("slice_param.slice_point")
    parts: list[Dim]
    if points:
        if len(points) != count - 1:
            raise MismatchError(f"{len(points)} slice points for {count} tops", "slice_param.slice_point")
        edges = [0, *points]
        parts = [b - a for a, b in zip(edges, points, strict=False)]
        parts.append(None if size is None else size - points[-1])
        if any(part is not None and part < 1 for part in parts):
            raise MismatchError(f"slice points outside an axis of {size}", "slice_param.slice_point")
    elif size is not None:
        if size % count:
            raise MismatchError(
                f"Number of top blobs ({count}) should evenly divide input slice axis ({size})", "slice_param"
            )
        parts = [size // count] * count
    else:
        parts = [None] * count
    return [(*bottom[:axis], part, *bottom[axis + 1 :]) for part in parts]


def eltwise(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """All bottoms must agree."""
    known = [bottom for bottom in bottoms if bottom is not None]
    if not known:
        return [None]
    result = list(known[0])
    for bottom in known[1:]:
        if len(bottom) != len(result) or any(
            a != b and None not in (a, b) for a, b in zip(result, bottom, strict=True)
        ):
            raise MismatchError(f"bottoms of different shapes: {shown(known[0])} and {shown(bottom)}")
        result = [b if a is None else a for a, b in zip(result, bottom, strict=True)]
    return [tuple(result)]


def reshape(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """0 copies a size, -1 takes what is left."""
    bottom = _first(bottoms)
    dims = [dim if isinstance(dim, int) else 0 for dim in layer.all("reshape_param.shape.dim")]
    limited(len(dims), "reshape_param.shape")
    if bottom is None:
        whole = not layer.has("reshape_param.axis") and not layer.has("reshape_param.num_axes")
        return [tuple(dim if dim > 0 else None for dim in dims) if whole else None]
    start = layer.whole("reshape_param.axis")
    start = start + len(bottom) + 1 if start < 0 else start
    number = layer.whole("reshape_param.num_axes", -1)
    end = len(bottom) if number == -1 else start + number
    if not 0 <= start <= end <= len(bottom):
        raise MismatchError(f"axis and num_axes are out of range for {shown(bottom)}", "reshape_param")
    result: list[Dim] = list(bottom[:start])
    for i, dim in enumerate(dims):
        if dim == 0 and start + i >= len(bottom):
            raise MismatchError(f"dim: 0 copies an axis that {shown(bottom)} does not have", "reshape_param.shape")
        result.append(bottom[start + i] if dim == 0 else dim)
    result += bottom[end:]
    total = product(bottom)
    if -1 in dims:
        at = start + dims.index(-1)
        rest = product(tuple(result[:at] + result[at + 1 :]))
        if not rest or total is None:
            result[at] = None
        elif total % rest:
            raise MismatchError(
                f"bottom count ({total}) must be divisible by the product of the specified dimensions ({rest})",
                "reshape_param.shape",
            )
        else:
            result[at] = total // rest
    elif total is not None and product(tuple(result)) not in (None, total):
        raise MismatchError(
            f"output count must match input count: {shown(bottom)} to {shown(tuple(result))}", "reshape_param.shape"
        )
    return [tuple(result)]


def flatten(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """The axes from `axis` to `end_axis` become one."""
    bottom = _first(bottoms)
    if bottom is None:
        return [None]
    start = canonical_axis(layer.whole("flatten_param.axis", 1), bottom, "flatten_param.axis")
    end = canonical_axis(layer.whole("flatten_param.end_axis", -1), bottom, "flatten_param.end_axis")
    return [(*bottom[:start], product(bottom[start : end + 1]), *bottom[end + 1 :])]


def tile(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """One axis is repeated."""
    bottom = _first(bottoms)
    if bottom is None:
        return [None]
    axis = canonical_axis(layer.whole("tile_param.axis", 1), bottom, "tile_param.axis")
    size = bottom[axis]
    return [(*bottom[:axis], None if size is None else size * layer.whole("tile_param.tiles"), *bottom[axis + 1 :])]


def permute(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """SSD."""
    bottom = _first(bottoms)
    if bottom is None:
        return [None]
    order = layer.wholes("permute_param.order")
    order += [axis for axis in range(len(bottom)) if axis not in order]
    if sorted(order) != list(range(len(bottom))):
        raise MismatchError(f"order does not fit {shown(bottom)}", "permute_param")
    return [tuple(bottom[axis] for axis in order)]


def crop(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """From `axis` on, the sizes of the second bottom."""
    if len(bottoms) < 2 or bottoms[0] is None:
        return [None]
    data, reference = bottoms[0], bottoms[1]
    axis = canonical_axis(layer.whole("crop_param.axis", 2), data, "crop_param.axis")
    if reference is None or len(reference) != len(data):
        return [(*data[:axis], *[None] * (len(data) - axis))]
    return [(*data[:axis], *reference[axis:])]


def batch_reindex(_: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Rows chosen by an index blob."""
    if len(bottoms) < 2 or not bottoms[0]:
        return [None]
    return [(product(bottoms[1]) if bottoms[1] is not None else None, *bottoms[0][1:])]


def filtered(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """Rows chosen by a selector blob; how many is data."""
    return [(None, *shape[1:]) if shape else None for shape in bottoms[: len(layer.tops)]]


def second(_: Layer, bottoms: list[Shape]) -> list[Shape]:
    """The second bottom's shape (Axpy)."""
    return [bottoms[1] if len(bottoms) > 1 else None]


def reduction(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """The axes from `axis` on disappear."""
    bottom = _first(bottoms)
    if bottom is None:
        return [None]
    return [
        bottom[: canonical_axis(layer.whole("reduction_param.axis"), bottom, "reduction_param.axis", past_end=True)]
    ]


def arg_max(layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    """top_k indices, by the old layout or along `axis`."""
    bottom, top_k = _first(bottoms), layer.whole("argmax_param.top_k", 1)
    if bottom is None:
        return [None]
    if layer.has("argmax_param.axis"):
        axis = canonical_axis(layer.whole("argmax_param.axis"), bottom, "argmax_param.axis")
        return [(*bottom[:axis], top_k, *bottom[axis + 1 :])]
    pairs = 2 if layer.flag("argmax_param.out_max_val") else 1
    canonical_axis(0, bottom)
    return [(bottom[0], pairs, top_k, *[1] * (len(bottom) - 3))]
