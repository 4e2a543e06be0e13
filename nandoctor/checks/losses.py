"""What feeds the losses, how they are weighted and normalised, and which layers are the owner's own."""

from __future__ import annotations

import math
import re

from nandoctor.checks.look import Arg, Look, Match, shown
from nandoctor.checks.material import FILLER_BLOCKS, Material
from nandoctor.checks.ranges import learns
from nandoctor.checks.signal import blob_scales
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Layer
from nandoctor.readers.dimensions import product
from nandoctor.readers.facts import Series
from nandoctor.readers.layer_types import KNOWN, STANDARD
from nandoctor.readers.series import median
from nandoctor.source import Location

# Published loss weights lie between 1e-4 and 10 (SSD, Faster R-CNN, GoogLeNet's 0.3, gradient penalties of 10).
HUGE_WEIGHT = 50.0
# A weight that stands this far above the next one silences it, if it is large in itself.
WEIGHT_RATIO = 100.0
RATIO_FROM = 10.0
# What the usual rate times a weight of 1 gives: base_lr 0.01, momentum 0.9.
USUAL_STEP = 0.1
# Share of the weighted sum, and factor over the next component, from which one loss dominates.
DOMINANT_SHARE = 0.9
DOMINANT_FACTOR = 10.0
# Shared weights collect the gradient of every position: rate times positions should stay within ten usual steps.
SUMMED_LIMIT = 10 * USUAL_STEP
FEWEST_POSITIONS = 100  # where the size of a map is not known: 10 x 10, the smallest that is predicted per position
FEWEST_SUMMED = 16  # below 4 x 4 the rate decides, not the sum
# Two squared losses of this size mean targets far from one; judged only together with the rate.
HUGE_FIRST_LOSS = 1e4

LARGE_OUTPUT = 10.0  # relative to the input, by the fillers

PROBABILITIES = frozenset({"Softmax", "Sigmoid", "Python"})
_SPATIAL = frozenset({"Convolution", "Deconvolution", "Crop", "Interp", "Upsample", "Eltwise", "DepthwiseConvolution"})
_POSITIONWISE = frozenset({"SoftmaxWithLoss", "SigmoidCrossEntropyLoss", "EuclideanLoss", "SmoothL1Loss", "L1Loss"})


def fed_by(material: Material, check: Check) -> Look | None:
    """Losses of `params.types` whose prediction comes from the wrong kind of layer.

    `params.wants: probabilities` fires unless a softmax or sigmoid feeds them; `params.rejects` names layer types that
    must not. `params.era`: fires only where the log dates the program to that version of Caffe (`unknown`: to none).
    """
    kinds = str(check.params["types"]).split()
    losses = [layer for layer in material.layers if layer.type in kinds and layer.bottoms]
    if not losses:
        return Look((), ()) if material.layers else None
    era = check.params.get("era")
    if era is not None and era != (material.era or "unknown"):
        return Look((), tuple(layer.where("bottom") for layer in losses))
    matches = []
    for layer in losses:
        maker = material.maker(layer)
        if maker is None or not maker.bottoms or maker.type not in STANDARD:
            continue
        rejects = str(check.params.get("rejects", "")).split()
        wrong = maker.type in rejects if rejects else maker.type not in PROBABILITIES
        if not wrong or (not rejects and not learns(material, layer)):
            continue
        args: dict[str, Arg] = {"from": shown(maker.name), "from_type": shown(maker.type)}
        matches.append(Match(layer, (layer.where("bottom"), maker.location), args))
    return Look(tuple(matches), tuple(layer.where("bottom") for layer in losses))


def swapped(material: Material, check: Check) -> Look | None:
    """A loss whose first bottom is a label of the data and whose second is the prediction."""
    matches = []
    for layer in material.layers:
        if not layer.is_loss or len(layer.bottoms) < 2 or layer.type == "EuclideanLoss":
            continue
        first, second = material.maker(layer, 0), material.maker(layer, 1)
        if (
            first in material.sources
            and second is not None
            and (second in material.learnable or learns(material, second))
        ):
            matches.append(Match(layer, (layer.where("bottom"),), {"first": shown(layer.bottoms[0])}))
    return Look(tuple(matches))


def one_class(material: Material, check: Check) -> Look | None:
    """A softmax over a single output is 1 whatever the net says; every label but 0 is out of range."""
    matches = []
    for layer in material.layers:
        if layer.type not in ("SoftmaxWithLoss", "InfogainLoss") or not layer.bottoms:
            continue
        maker = material.maker(layer)
        if maker is None or maker.type not in FILLER_BLOCKS or layer.has("softmax_param.axis"):
            continue
        path = f"{FILLER_BLOCKS[maker.type]}.num_output"
        if maker.whole(path) == 1:
            matches.append(Match(maker, (maker.where(path), layer.location), {"loss": shown(layer.name)}))
    return Look(tuple(matches))


def labels_inside(material: Material, check: Check) -> Look | None:
    """An ignore_label that is also a class: that class is never learned."""
    matches = []
    for layer in material.layers:
        if layer.type != "SoftmaxWithLoss" or not layer.has("loss_param.ignore_label"):
            continue
        maker = material.maker(layer)
        if maker is None or maker.type not in FILLER_BLOCKS:
            continue
        classes = maker.whole(f"{FILLER_BLOCKS[maker.type]}.num_output")
        ignored = layer.whole("loss_param.ignore_label")
        if 0 < ignored < classes:
            at = (layer.where("loss_param.ignore_label"),)
            matches.append(Match(layer, at, {"value": ignored, "classes": classes}))
    return Look(tuple(matches))


def weights(material: Material, check: Check) -> Look | None:
    """Loss weights: `params.kind` huge or negative. A tiny rate may make up for a huge weight."""
    if not material.losses:
        return None
    at = tuple(loss.layer.where("loss_weight") for loss in material.losses)
    matches = []
    for loss in material.losses:
        others = [abs(other.weight) for other in material.losses if other is not loss]
        args: dict[str, Arg] = {"weight": shown(loss.weight), "next": shown(max(others, default=1.0))}
        if check.params["kind"] == "negative":
            if loss.weight < 0:
                matches.append(Match(loss.layer, (loss.layer.where("loss_weight"),), args))
            continue
        towers = loss.weight > RATIO_FROM and bool(others) and loss.weight > WEIGHT_RATIO * max(others)
        if (loss.weight > HUGE_WEIGHT or towers) and not _compensated(material, loss.weight):
            matches.append(Match(loss.layer, (loss.layer.where("loss_weight"),), args))
    return Look(tuple(matches), at)


def several(material: Material, check: Check) -> Look | None:
    """How many losses there are (`params.dominated: false`), or that one of them is nearly the whole sum (`true`).

    The log's values decide where it prints them, else the weights.
    """
    losses = material.losses
    if not losses:
        return None
    at = tuple(loss.layer.location for loss in losses)
    found = _dominant(material)
    if check.params["dominated"] is True:
        if found is None:
            return Look((), at)
        name, where, trust = found
        args: dict[str, Arg] = {"count": len(losses), "losses": shown(name)}
        return Look((Match(None, (*where, *at), args, trust=trust),), at)
    if found is not None:
        return None
    args = {"count": len(losses), "losses": shown(", ".join(loss.layer.name for loss in losses[:4]))}
    if len(losses) == 1:
        return Look((Match(None, at, args),))
    shares = _shares(material)
    where = tuple(share[3] for share in shares[:1])
    return Look((Match(None, (*where, *at), args, state="several_balanced", trust=0.9 if shares else 0.6),))


def _dominant(material: Material) -> tuple[str, tuple[Location, ...], float] | None:
    """Name, line and trust of the loss that drowns the others."""
    if len(material.losses) < 2:
        return None
    shares = _shares(material)
    if shares:
        name, share, factor, where = max(shares, key=lambda s: s[1])
        return (name, (where,), 0.9) if share > DOMINANT_SHARE and factor > DOMINANT_FACTOR else None
    ordered = sorted(material.losses, key=lambda loss: -abs(loss.weight))
    first, second = abs(ordered[0].weight), abs(ordered[1].weight)
    uneven = first > RATIO_FROM and first > WEIGHT_RATIO * second
    return (ordered[0].layer.name, (), 0.8) if uneven and not _compensated(material, first) else None


def summed(material: Material, check: Check) -> Look | None:
    """A loss summed over the positions of a map, with a rate that does not make up for it."""
    rate = material.effective_rate
    if rate is None or not material.losses or not math.isfinite(rate):
        return None
    matches = []
    for loss in material.losses:
        positions = _positions(material, loss.layer)
        if positions is None:
            continue
        count, field, known = positions
        if count < FEWEST_SUMMED or rate * loss.weight * count <= SUMMED_LIMIT:
            continue
        args: dict[str, Arg] = {
            "setting": field or "-",
            "positions": count if known else f">= {count}",
            "rate": shown(rate),
            "loss_type": shown(loss.layer.type),
        }
        matches.append(Match(loss.layer, (loss.layer.where(f"loss_param.{field}" if field else "type"),), args))
    return Look(tuple(matches))


def huge_targets(material: Material, check: Check) -> Look | None:
    """A squared loss whose first printed value shows targets of hundreds or more, at a rate that is not tiny."""
    squared = [loss for loss in material.losses if loss.layer.type in ("EuclideanLoss", "SmoothL1Loss", "L1Loss")]
    rate = material.effective_rate
    if not squared or material.first_loss is None or rate is None:
        return None
    value, where = material.first_loss
    at = tuple(loss.layer.location for loss in squared)
    scales = blob_scales(material)
    if any(scales.get(id(material.maker(loss.layer)), 1.0) > LARGE_OUTPUT for loss in squared):
        return None  # the outputs are large by themselves
    if value < HUGE_FIRST_LOSS or value * rate < HUGE_FIRST_LOSS * USUAL_STEP / 100:
        return Look((), (where, *at))
    args: dict[str, Arg] = {"value": shown(value), "size": shown(math.sqrt(2 * value))}
    return Look((Match(squared[0].layer, (where, *at), args),))


def own_layers(material: Material, check: Check) -> Look | None:
    """Python layers, loss layers of no known program, and objectives put together from stock layers."""
    if material.net is None or not material.layers:
        return None
    matches = []
    for layer in material.net.layers:
        own_loss = layer.type not in KNOWN and (layer.is_loss or any(layer.loss_weights))
        if (layer.type == "Python" and layer.bottoms) or own_loss:
            named = layer.text("python_param.layer") or layer.type
            matches.append(Match(layer, (layer.location,), {"kind": shown(named)}))
    composed = material.losses and not any(loss.layer.is_loss for loss in material.losses)
    if not matches and composed:
        matches = [Match(loss.layer, (loss.layer.location,), {"kind": loss.layer.type}) for loss in material.losses]
    return Look(tuple(matches), tuple(loss.layer.location for loss in material.losses))


def own_named(material: Material, check: Check) -> Look | None:
    """Layers outside BVLC Caffe whose name tells what they compute: `params.named` is a regular expression over it."""
    matches = []
    for layer in material.layers:
        if layer.type in KNOWN and layer.type != "Python" and (layer.type in STANDARD or not layer.is_loss):
            continue
        named = layer.text("python_param.layer") or layer.type
        if layer.bottoms and re.search(str(check.params["named"]), named, re.IGNORECASE):
            at = (layer.where("python_param.layer" if layer.type == "Python" else "type"),)
            matches.append(Match(layer, at, {"kind": shown(named)}))
    return Look(tuple(matches))


def _compensated(material: Material, weight: float) -> bool:
    rate = material.effective_rate
    return rate is not None and rate * weight <= USUAL_STEP


def _positions(material: Material, layer: Layer) -> tuple[int, str, bool] | None:
    """Positions that the loss adds up without dividing by them, the field that says so, whether the count is known."""
    if layer.type not in _POSITIONWISE or not layer.bottoms:
        return None
    field = ""
    if layer.type == "SoftmaxWithLoss":
        mode = layer.text("loss_param.normalization")
        if mode in ("NONE", "BATCH_SIZE"):
            field = "normalization"
        elif not mode and not layer.flag("loss_param.normalize", True):
            field = "normalize"
        else:
            return None
    elif layer.type == "SigmoidCrossEntropyLoss" and layer.text("loss_param.normalization") in ("FULL", "VALID"):
        return None
    shape = material.shapes.bottom(layer) if material.shapes else None
    count = product(shape[2:]) if shape is not None and len(shape) > 2 else None
    if shape is not None and len(shape) <= 2:
        return None
    if count is not None:
        batch = shape[0] if shape and field and layer.text("loss_param.normalization") == "NONE" else 1
        return count * (batch or 1), field, True
    maker = material.maker(layer)
    while maker is not None and maker.type in ("ReLU", "Sigmoid", "TanH", "Crop"):
        maker = material.maker(maker)
    if maker is None or maker.type not in _SPATIAL:
        return None
    return FEWEST_POSITIONS, field, False


def _shares(material: Material) -> list[tuple[str, float, float, Location]]:
    """Name, share of the weighted sum, factor over the next one, and first line of each printed loss."""
    parts = material.run.of("loss_part") if material.run else []
    levels = [(s, level * abs(s.weight if s.weight is not None else 1.0)) for s in parts if (level := _level(s))]
    total = sum(level for _, level in levels)
    if len(levels) < 2 or total <= 0:
        return []
    found = []
    for series, level in levels:
        others = max(other for s, other in levels if s is not series)
        name = series.quantity.rpartition(": ")[2]
        factor = level / others if others > 0 else math.inf
        found.append((name, level / total, factor, Location(series.file, series.readings[0].line)))
    return found


def _level(series: Series) -> float:
    """The median magnitude before the first non-finite reading."""
    values = [abs(r.value) for r in series.before_nonfinite()]
    return median(values) if values else 0.0
