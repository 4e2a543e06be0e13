"""Numbers of classes that must agree within a net: heads on the same labels, boxes per class, what data layers say."""

from __future__ import annotations

import re

from nandoctor.checks.look import Arg, Look, Match, shown
from nandoctor.checks.material import FILLER_BLOCKS, Material
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Layer

_SOFTMAX = frozenset({"SoftmaxWithLoss", "SoftmaxWithLossOHEM", "InfogainLoss", "MultinomialLogisticLoss"})
_BOXES = frozenset({"SmoothL1Loss", "SmoothL1LossOHEM"})
_DECLARED = re.compile(r"num_classes['\"]?\s*[:=]\s*(\d+)")
BOX_SIDES = 4


def counts(material: Material, check: Check) -> Look | None:
    """`params.kind`: heads (classifiers of one label with different outputs), declared (`num_classes` of a Python layer
    or a box loss against the classifier), boxes (box outputs that are not four per class).
    """
    heads = [(loss, head) for loss in material.layers if (head := _head(material, loss)) is not None]
    if not heads:
        return None
    at = tuple(head.where(_path(head)) for _, head in heads)
    find = {"heads": _heads, "declared": _declared, "boxes": _boxes}[str(check.params["kind"])]
    return Look(tuple(find(material, heads)), at)


def _heads(material: Material, heads: list[tuple[Layer, Layer]]) -> list[Match]:
    """Towers that were not all changed for the new labels."""
    first: dict[str, Layer] = {}
    found = []
    for loss, head in heads:
        if len(loss.bottoms) < 2 or loss.has("softmax_param.axis"):
            continue
        other = first.setdefault(loss.bottoms[1], head)
        if _outputs(other) != _outputs(head):
            args: dict[str, Arg] = {"value": _outputs(head), "other": shown(other.name), "expected": _outputs(other)}
            found.append(Match(head, (head.where(_path(head)), other.where(_path(other))), args))
    return found


def _declared(material: Material, heads: list[tuple[Layer, Layer]]) -> list[Match]:
    """A data layer that says how many classes it has, against the classifier of the objects."""
    declared: tuple[int, Layer] | None = None
    for layer in material.layers:
        if layer.type == "Python" and (told := _DECLARED.search(layer.text("python_param.param_str"))):
            declared = int(told[1]), layer
            break
    if declared is None:
        return []
    count, source = declared
    named = [head for loss, head in heads if "rpn" not in loss.name.lower() and _outputs(head) != 2]
    wrong = [head for head in named if _outputs(head) != count]
    if not named or len(wrong) < len(named):
        return []
    args: dict[str, Arg] = {"value": _outputs(wrong[0]), "other": shown(source.name), "expected": count}
    return [Match(wrong[0], (wrong[0].where(_path(wrong[0])), source.where("python_param.param_str")), args)]


def _boxes(material: Material, heads: list[tuple[Layer, Layer]]) -> list[Match]:
    """Fast R-CNN predicts four sides for every class (or, agnostic, for background and object)."""
    found = []
    for loss in material.layers:
        maker = material.maker(loss) if loss.type in _BOXES and loss.bottoms else None
        if maker is None or maker.type != "InnerProduct":
            continue
        sides = maker.whole(_path(maker))
        sisters = [
            head for _, head in heads if head.type == "InnerProduct" and material.makers(head) == material.makers(maker)
        ]
        for head in sisters:
            if sides not in (BOX_SIDES, 2 * BOX_SIDES, BOX_SIDES * _outputs(head)):
                args: dict[str, Arg] = {
                    "value": sides, "other": shown(head.name), "expected": BOX_SIDES * _outputs(head)
                }  # fmt: skip
                found.append(Match(maker, (maker.where(_path(maker)), head.where(_path(head))), args))
    return found


def _head(material: Material, loss: Layer) -> Layer | None:
    """The layer whose outputs are the classes of a loss."""
    if loss.type not in _SOFTMAX or not loss.bottoms:
        return None
    maker = material.maker(loss)
    return maker if maker is not None and maker.type in ("InnerProduct", "Convolution") else None


def _path(layer: Layer) -> str:
    return f"{FILLER_BLOCKS[layer.type]}.num_output"


def _outputs(layer: Layer) -> int:
    return layer.whole(_path(layer))
