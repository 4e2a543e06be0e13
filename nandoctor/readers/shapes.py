"""Shape inference over a net: the size of every blob, as far as files can tell, and what does not fit together.

A layer that no rule knows (a fork's, a Python layer) has unknown tops, and the rest of the net is still inferred; the
log's "Top shape" lines fill such gaps. Nothing here raises for a bad net: it is written down as a defect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from nandoctor.readers.dimensions import MAX_AXES, Dim, MismatchError, Shape, product, shown
from nandoctor.readers.layer_types import SOURCES
from nandoctor.readers.shape_rules import RULES
from nandoctor.readers.windows import (
    EmptyWindow,
    ave_is_nan,
    empty_window,
    empty_windows,
    fan_in,
    fan_out,
    max_is_lowest,
    weight_shape,
)
from nandoctor.source import printable

if TYPE_CHECKING:
    from nandoctor.readers.caffe import Layer, Net
    from nandoctor.source import Location

__all__ = [
    "Defect",
    "Dim",
    "EmptyWindow",
    "Shape",
    "Shapes",
    "ave_is_nan",
    "empty_window",
    "empty_windows",
    "fan_in",
    "fan_out",
    "infer_shapes",
    "max_is_lowest",
    "product",
    "shown",
    "weight_shape",
]

_INT_MAX = 2**31 - 1  # a Blob counts its elements in an int

_MAX_DEFECTS = 200  # a hostile file may hold half a million

DefectKind = Literal[
    "mismatch",  # the shapes of the bottoms, or the fields, do not fit
    "bottom-count",
    "unknown-bottom",  # nobody makes this blob
    "later-bottom",  # only a later layer makes it: Caffe wants layers in order
    "cycle",  # and that later layer itself waits for this one
    "duplicate-top",
    "duplicate-name",
    "too-large",
]

# ExactNumBottomBlobs / MinBottomBlobs .. MaxBottomBlobs of the layer headers.
_BOTTOM_COUNTS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(
        ("SoftmaxWithLoss", "EuclideanLoss", "SigmoidCrossEntropyLoss", "HingeLoss", "MultinomialLogisticLoss"), (2, 2)
    ),
    **dict.fromkeys(("Accuracy", "Crop", "BatchReindex"), (2, 2)),
    **dict.fromkeys(("InfogainLoss",), (2, 3)),
    **dict.fromkeys(("ContrastiveLoss",), (3, 3)),
    **dict.fromkeys(
        ("InnerProduct", "Pooling", "LRN", "Softmax", "ArgMax", "Slice", "Reduction", "Embed", "Im2col", "BatchNorm"),
        (1, 1),
    ),
    **dict.fromkeys(("Scale", "Bias"), (1, 2)),
    "Eltwise": (2, 1 << 30),
}


class Defect(msgspec.Struct, frozen=True):
    """Something that does not fit: what kind, at which layer and place, in words (Caffe's own where it has them)."""

    kind: DefectKind
    layer: str
    location: Location
    message: str


class Shapes:
    """The shapes of a net in one phase.

    blobs: the final shape of each blob; None: unknown; None within: unknown size. A scalar is ().
    defects: what does not fit, in file order. problems: the same as (location, message).
    """

    def __init__(self) -> None:
        self.blobs: dict[str, Shape] = {}
        self.defects: list[Defect] = []
        self._bottoms: dict[str, list[Shape]] = {}
        self._tops: dict[str, list[Shape]] = {}
        self._by_place: dict[int, tuple[list[Shape], list[Shape]]] = {}

    @property
    def problems(self) -> list[tuple[Location, str]]:
        """Location and text of every defect."""
        return [(defect.location, defect.message) for defect in self.defects]

    def bottoms(self, layer: str | Layer) -> list[Shape]:
        """The shapes of a layer's bottoms as it sees them; of the first of that name if a name is given."""
        if isinstance(layer, str):
            return self._bottoms.get(layer, [])
        return self._by_place.get(layer.field.start, ([], []))[0]

    def tops(self, layer: str | Layer) -> list[Shape]:
        """The shapes of a layer's tops."""
        if isinstance(layer, str):
            return self._tops.get(layer, [])
        return self._by_place.get(layer.field.start, ([], []))[1]

    def bottom(self, layer: str | Layer, index: int = 0) -> Shape:
        """The shape of one bottom; None if unknown or missing."""
        shapes = self.bottoms(layer)
        return shapes[index] if index < len(shapes) else None

    def _add(self, layer: Layer, bottoms: list[Shape], tops: list[Shape]) -> None:
        self._by_place[layer.field.start] = (bottoms, tops)
        self._bottoms.setdefault(layer.name, bottoms)
        self._tops.setdefault(layer.name, tops)
        self.blobs.update(zip(layer.tops, tops, strict=True))

    def _blame(self, kind: DefectKind, layer: Layer, message: str, path: str = "") -> None:
        if len(self.defects) >= _MAX_DEFECTS:
            return
        place = layer.where(path) if path else layer.location
        self.defects.append(Defect(kind, layer.name, place, printable(message)))


def infer_shapes(
    net: Net,
    phase: str = "TRAIN",
    input_shapes: dict[str, tuple[int, ...]] | None = None,
    known: dict[str, tuple[int, ...]] | None = None,
) -> Shapes:
    """Infers the shape of every blob of a net.

    Args:
        net: the net.
        phase: TRAIN or TEST; which layers there are. A net without data of its own for a phase is not meant for it:
            its defects then only say that the data is missing.
        input_shapes: shapes the owner gives for blobs of data layers and inputs; they win over the file.
        known: shapes from the log's "Top shape" lines; they only fill what the file does not tell.
    """
    layers = net.for_phase(phase)
    shapes = Shapes()
    given, logged = input_shapes or {}, known or {}
    for name, shape in net.inputs.items():
        shapes.blobs[name] = given.get(name) or _filled(shape, logged.get(name))
    producers = _producers(layers)
    names: set[str] = set()
    for index, layer in enumerate(layers):
        if layer.name and layer.name in names:
            shapes._blame("duplicate-name", layer, f"a second layer is called {layer.name}", "name")
        names.add(layer.name)
        bottoms: list[Shape] = []
        for number, blob in enumerate(layer.bottoms):
            if blob not in shapes.blobs and len(shapes.defects) < _MAX_DEFECTS:
                shapes.defects.append(_missing(layer, number, index, layers, producers))
            bottoms.append(shapes.blobs.get(blob))
        _check_structure(shapes, layer)
        tops = _tops(shapes, layer, bottoms)
        if layer.type in SOURCES or not layer.bottoms:
            tops = [given.get(top, shape) for top, shape in zip(layer.tops, tops, strict=True)]
        tops = [_filled(shape, logged.get(top)) for top, shape in zip(layer.tops, tops, strict=True)]
        shapes._add(layer, bottoms, [_bounded(shapes, layer, shape) for shape in tops])
    return shapes


def _producers(layers: tuple[Layer, ...]) -> dict[str, list[int]]:
    made: dict[str, list[int]] = {}
    for index, layer in enumerate(layers):
        for top in layer.tops:
            made.setdefault(top, []).append(index)
    return made


def _missing(
    layer: Layer, number: int, index: int, layers: tuple[Layer, ...], producers: dict[str, list[int]]
) -> Defect:
    """A bottom that no earlier layer makes."""
    name = layer.bottoms[number]
    at = layer.message.every("bottom")[number].start
    later = [i for i in producers.get(name, []) if i >= index]
    words = f"Unknown bottom blob '{name}' (layer '{layer.name}', bottom index {number})"
    kind: DefectKind = "unknown-bottom"
    if later:
        kind = "later-bottom"
        words += f"; layer '{layers[later[0]].name}' makes it, but stands later in the file"
        if later[0] == index or _waits_for(layers, producers, later[0], index):
            kind = "cycle"
            words += ", and itself waits for this one: a cycle"
    return Defect(kind, layer.name, layer.document.location(at), printable(words))


def _waits_for(layers: tuple[Layer, ...], producers: dict[str, list[int]], start: int, goal: int) -> bool:
    """Whether layer `start` needs a blob that comes, over any number of layers, from layer `goal`."""
    seen, todo = {start}, [start]
    while todo:
        for bottom in layers[todo.pop()].bottoms:
            for index in producers.get(bottom, []):
                if index == goal:
                    return True
                if index not in seen:
                    seen.add(index)
                    todo.append(index)
    return False


def _check_structure(shapes: Shapes, layer: Layer) -> None:
    low, high = _BOTTOM_COUNTS.get(layer.type, (0, 1 << 30))
    if not low <= len(layer.bottoms) <= high:
        wanted = str(low) if low == high else f"{low} to {high}" if high < 1 << 30 else f"at least {low}"
        shapes._blame(
            "bottom-count",
            layer,
            f"{layer.type} Layer takes {wanted} bottom blob(s) as input, not {len(layer.bottoms)}",
        )
    earlier: set[str] = set()
    for number, (top, field) in enumerate(zip(layer.tops, layer.message.every("top"), strict=False)):
        in_place = number < len(layer.bottoms) and layer.bottoms[number] == top
        if ((top in shapes.blobs and not in_place) or top in earlier) and len(shapes.defects) < _MAX_DEFECTS:
            place = layer.document.location(field.start)
            words = printable(f"Top blob '{top}' produced by multiple sources.")
            shapes.defects.append(Defect("duplicate-top", layer.name, place, words))
        earlier.add(top)


def _tops(shapes: Shapes, layer: Layer, bottoms: list[Shape]) -> list[Shape]:
    count = len(layer.tops)
    # in place: the blob is the same, whatever the layer; without a rule this is all there is to know
    read = set(layer.bottoms)
    kept: list[Shape] = [
        shapes.blobs.get(top) if top in read else () if layer.is_loss and i == 0 else None
        for i, top in enumerate(layer.tops)
    ]
    rule = RULES.get(layer.type)
    if rule is None:
        return kept
    try:
        tops = rule(layer, bottoms)
    except MismatchError as mismatch:
        shapes._blame("mismatch", layer, mismatch.message, mismatch.path)
        return kept
    return (tops + [None] * count)[:count]


def _filled(shape: Shape, logged: tuple[int, ...] | None) -> Shape:
    """The shape with its unknown sizes taken from the log."""
    if logged is None:
        return shape
    if shape is None:
        return logged
    if None in shape and len(shape) == len(logged):
        return tuple(there if dim is None else dim for dim, there in zip(shape, logged, strict=True))
    return shape


def _bounded(shapes: Shapes, layer: Layer, shape: Shape) -> Shape:
    if shape is None:
        return None
    count = product(shape)
    if (
        len(shape) > MAX_AXES
        or (count is not None and count > _INT_MAX)
        or any(dim is not None and abs(dim) > _INT_MAX for dim in shape)
    ):
        shapes._blame("too-large", layer, "blob size exceeds INT_MAX, or it has more than 32 axes")
        return None
    return shape
