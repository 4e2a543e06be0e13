"""Blob shapes with unknown parts, as the shape rules pass them around."""

from __future__ import annotations

Dim = int | None
Shape = tuple[Dim, ...] | None
MAX_AXES = 32  # kMaxBlobAxes


class MismatchError(Exception):
    """Shapes that do not fit, in words; `path`: the field at fault, if one is. Never leaves the shape inference."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


def shown(shape: Shape) -> str:
    """A shape for people: 64 x 3 x ? x ?; scalar; unknown."""
    if shape is None:
        return "unknown"
    return " x ".join("?" if dim is None else str(dim) for dim in shape) or "scalar"


def product(dims: tuple[Dim, ...]) -> Dim:
    """The number of elements; None if a size is unknown."""
    total = 1
    for dim in dims:
        if dim is None:
            return None
        total *= dim
    return total


def limited(count: int, path: str = "") -> int:
    """`count` axes, if a blob may have so many.

    Raises:
        MismatchError: beyond MAX_AXES.
    """
    if count > MAX_AXES:
        raise MismatchError(f"{count} axes; a blob has {MAX_AXES} at most", path)
    return count


def canonical_axis(axis: int, shape: tuple[Dim, ...], path: str = "", past_end: bool = False) -> int:
    """The axis counted from the front; past_end: one behind the last is allowed.

    Raises:
        MismatchError: in Caffe's words, for an axis the shape does not have.
    """
    if not -len(shape) <= axis < len(shape) + past_end:
        raise MismatchError(f"axis {axis} out of range for {len(shape)}-D Blob with shape {shown(shape)}", path)
    return axis + len(shape) if axis < 0 else axis
