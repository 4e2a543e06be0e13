"""Caffe's `debug_info`: which layer goes bad first, forward or backward, and how the magnitudes move through the depth.

The printed number is the mean absolute value of a blob, so `inf` can be the overflow of the mean itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from nandoctor.detectors.view import View
from nandoctor.diagnosis import CouldNotCheck, Evidence, Note
from nandoctor.readers.facts import LayerReading
from nandoctor.source import Location

LARGE_WEIGHT = 1e3  # mean absolute weight before any update; no filler in use gives this
EXPLODES = 1e3  # last against first activation in the first forward pass
VANISHES = 1e-4
DATA_LAYERS = ("data", "label", "input")


class FirstBad(msgspec.Struct, frozen=True):
    """The first non-finite line of debug_info, and the last finite value of the same blob before it."""

    reading: LayerReading
    stage: str  # input | forward | loss | backward | weights_at_start
    before: LayerReading | None


def first_bad(
    layers: tuple[LayerReading, ...], loss_layers: frozenset[str], sources: frozenset[str]
) -> FirstBad | None:
    """Where the first non-finite number of the debug lines arises.

    Args:
        layers: readings in file order.
        loss_layers: names of the layers that compute a loss.
        sources: names of the layers without inputs (data layers).
    """
    first_step = layers[0].step if layers else None
    previous: dict[tuple[str, str, str], LayerReading] = {}
    for place, reading in enumerate(layers):
        key = (reading.phase, reading.layer, reading.blob)
        if math.isfinite(reading.value):
            previous[key] = reading
            continue
        if reading.layer in sources:
            stage = "input"
        elif reading.phase == "Forward" and "param" in reading.blob:
            stage = "weights_at_start" if reading.step == first_step and _is_first_pass(layers, place) else "backward"
        elif reading.phase == "Forward":
            # A layer's own top is printed before its parameters: look whether they are bad already.
            params = [r for r in layers[place + 1 : place + 4] if r.layer == reading.layer and "param" in r.blob]
            if any(not math.isfinite(r.value) for r in params):
                stage = "weights_at_start" if _is_first_pass(layers, place) else "backward"
            else:
                stage = "loss" if reading.layer in loss_layers else "forward"
        else:
            stage = "backward"
        return FirstBad(reading, stage, previous.get(key))
    return None


def _is_first_pass(layers: tuple[LayerReading, ...], place: int) -> bool:
    return all(r.phase == "Forward" for r in layers[: place + 1])


def _names(view: View) -> tuple[frozenset[str], frozenset[str]]:
    """(loss layers, source layers) from the net where it is known, else by name."""
    if view.net is not None:
        layers = view.net.layers
        loss = frozenset(layer.name for layer in layers if layer.type.endswith("Loss") or any(layer.loss_weights))
        return loss, frozenset(layer.name for layer in layers if not layer.bottoms)
    names = {r.layer for r in view.run.layers}
    return (
        frozenset(n for n in names if "loss" in n.lower()),
        frozenset(n for n in names if n.lower() in DATA_LAYERS),
    )


def first_bad_of(view: View) -> FirstBad | None:
    """Where the first non-finite number of this run's debug lines arises, if there is one."""
    return first_bad(view.run.layers, *_names(view)) if view.run.layers else None


def stage(view: View) -> Iterator[Evidence | CouldNotCheck]:
    """Where the first non-finite number arises, read from debug_info."""
    if not view.run.layers:
        if view.start is not None and view.run.framework == "caffe":
            yield CouldNotCheck("first_nonfinite_stage", Note("unchecked:no-debug-info"), Note("how:debug-info"))
        return
    found = first_bad_of(view)
    if found is None:
        return
    where = (Location(view.run.files[0], found.reading.line),)
    args = {"layer": found.reading.layer, "blob": found.reading.blob}
    # With a print only every so often, the layer seen first may only propagate what came in between.
    trust = 0.93 if view.interval <= 1 else 0.7
    yield view.seen("first_nonfinite_stage", found.stage, f"stage-{found.stage}", where=where, trust=trust, args=args)


def weights_at_start(view: View) -> Iterator[Evidence]:
    """The parameters before the first update: non-finite, huge or all zero."""
    layers = view.run.layers
    first_pass = []
    for reading in layers:
        if reading.phase != "Forward":
            break
        first_pass.append(reading)
    weights = [r for r in first_pass if r.blob.startswith("param blob 0")]
    if not weights:
        return
    bad = next((r for r in first_pass if "param" in r.blob and not math.isfinite(r.value)), None)
    large = next((r for r in weights if r.value > LARGE_WEIGHT), None)
    at = bad or large or weights[0]
    where = (Location(view.run.files[0], at.line),)
    zero = all(r.value == 0.0 for r in weights)
    state = "nonfinite" if bad else "huge" if large else "zero" if zero else "finite"
    yield view.seen("weights_at_start", state, f"weights-{state}", where=where, trust=0.95, layer=at.layer,
                    value=at.value)  # fmt: skip


def activation_scale(view: View) -> Iterator[Evidence]:
    """How the activations change through the depth in the first forward pass."""
    tops = []
    _, sources = _names(view)
    for reading in view.run.layers:
        if reading.phase != "Forward":
            break
        if reading.blob.startswith("top blob") and reading.layer not in sources and "loss" not in reading.layer.lower():
            tops.append(reading)
    tops = [r for r in tops if math.isfinite(r.value) and r.value > 0]
    if len(tops) < 3:
        return
    ratio = tops[-1].value / tops[0].value
    state = "explodes" if ratio > EXPLODES or tops[-1].value > 1e5 else "vanishes" if ratio < VANISHES else "usual"
    where = (Location(view.run.files[0], tops[0].line), Location(view.run.files[0], tops[-1].line))
    yield view.seen("activation_scale", state, f"activations-{state}", where=where, trust=0.93,
                    first=tops[0].value, last=tops[-1].value, layer=tops[-1].layer)  # fmt: skip


DETECTORS = (stage, weights_at_start, activation_scale)
