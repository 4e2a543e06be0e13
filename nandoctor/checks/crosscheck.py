"""The files against the log: was this run made with them at all, and does it do what they say?"""

from __future__ import annotations

import math

from nandoctor.checks.fillers import filler_of
from nandoctor.checks.look import Arg, Look, Match, shown
from nandoctor.checks.material import BATCH_NORMS, FILLER_BLOCKS, Material
from nandoctor.checks.signal import blob_scales
from nandoctor.errors import NandoctorError
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Layer, Solver, read_net, read_solver
from nandoctor.readers.facts import Embedded
from nandoctor.readers.schedule import POLICIES
from nandoctor.readers.textproto import Message, parse
from nandoctor.source import Location

# Fields that decide what a run does; paths, display and snapshots may differ.
DECISIVE = (
    "base_lr", "lr_policy", "gamma", "power", "stepsize", "max_iter", "momentum", "momentum2", "weight_decay",
    "regularization_type", "iter_size", "clip_gradients", "delta", "rms_decay",
)  # fmt: skip
# First softmax losses of nets that begin well lie within half of ln K; those of raw pixels at 14 to 35 times ln K.
HIGH_FIRST_LOSS, USUAL_FIRST_LOSS = 4.0, 1.5
RAW_INPUT = 15.0
# Estimates of the scale of the scores that are good for a conclusion.
FADED, BLOWN = 0.05, 10.0
# Six printed digits, and floats on the way.
SAME = 1e-3


def solver_of_log(material: Material, check: Check) -> Look | None:
    """The solver file against the solver that the log dumps."""
    solver, run = material.solver, material.run
    if solver is None or run is None or run.solver_text is None or _from_log(solver.file, material):
        return None
    dumped = _read_solver(run.solver_text)
    if dumped is None:
        return None
    if solver.type != dumped.type:
        args: dict[str, Arg] = {"field": "type", "here": shown(solver.type), "there": shown(dumped.type)}
        return Look((Match(None, (solver.where("type"), dumped.where("type")), args),))
    for path in DECISIVE:
        here, there = solver.get(path), dumped.get(path)
        if not _same(here, there):
            args = {"field": path, "here": shown("-" if here is None else here)}
            args["there"] = shown("-" if there is None else there)
            return Look((Match(None, (solver.where(path), dumped.where(path)), args),))
    if solver.wholes("stepvalue") != dumped.wholes("stepvalue"):
        args = {"field": "stepvalue", "here": shown(str(solver.wholes("stepvalue")))}
        args["there"] = shown(str(dumped.wholes("stepvalue")))
        return Look((Match(None, (solver.where("stepvalue"), dumped.where("stepvalue")), args),))
    return Look((), (solver.location,))


def net_of_log(material: Material, check: Check) -> Look | None:
    """The net file against the training net that the log dumps: the layers with weights and the losses."""
    net, run = material.net, material.run
    if net is None or run is None or not run.net_texts or _from_log(net.file, material):
        return None
    text = next((t for t in run.net_texts if t.phase == "TRAIN"), run.net_texts[0])
    if text.phase == "TEST":
        return None
    try:
        document = parse(text.text, text.file, text.line, partial=True)
    except NandoctorError:
        return None
    dumped = [layer for layer in read_net(document).for_phase("TRAIN") if _counts(layer)]
    here = [layer for layer in material.layers if _counts(layer)]
    if document.error is not None:
        here, dumped = here[: len(dumped) - 1], dumped[:-1]  # glog cuts a dump at 30,000 characters
    for mine, theirs in zip(here, dumped):
        if _signature(mine) != _signature(theirs):
            args: dict[str, Arg] = {"here": shown(_described(mine)), "there": shown(_described(theirs))}
            return Look((Match(mine, (mine.location, theirs.location), args),))
    if len(here) != len(dumped):
        longer, shorter = (here, dumped) if len(here) > len(dumped) else (dumped, here)
        extra = longer[len(shorter)]
        args = {"here": len(here), "there": len(dumped)}
        return Look((Match(extra, (extra.location,), args),))
    return Look((), (net.location,))


def printed_rate(material: Material, check: Check) -> Look | None:
    """The rates that the log prints against those of the solver's formula."""
    solver, run = material.solver, material.run
    if solver is None or run is None or solver.text("lr_policy") not in POLICIES or "caffe" not in run.framework:
        return None
    rates = run.of("lr")
    if not rates or rates[0].role != "lr":
        return None
    series = rates[0]
    for reading in series.readings:
        if reading.step is None or not math.isfinite(reading.value):
            continue
        expected = solver.learning_rate(int(reading.step))
        if not math.isfinite(expected) or _close(reading.value, expected):
            continue
        args: dict[str, Arg] = {
            "iteration": shown(reading.step), "printed": shown(reading.value), "expected": shown(expected)
        }  # fmt: skip
        at = (Location(series.file, reading.line), solver.where("lr_policy"))
        return Look((Match(None, at, args),))
    return Look((), (solver.where("lr_policy"),))


def printed_weights(material: Material, check: Check) -> Look | None:
    """The loss weights that the log prints, `(* w = ...)`, against those of the net."""
    if material.run is None or not material.losses:
        return None
    declared = {loss.top: loss for loss in material.losses}
    matches = []
    for series in material.run.of("loss_part", "loss"):
        loss = declared.get(series.quantity.rpartition(": ")[2])
        if loss is None or series.weight is None or _close(series.weight, loss.weight) or not series.readings:
            continue
        at = (Location(series.file, series.readings[0].line), loss.layer.where("loss_weight"))
        matches.append(Match(loss.layer, at, {"printed": shown(series.weight), "declared": shown(loss.weight)}))
    return Look(tuple(matches))


def printed_batch(material: Material, check: Check) -> Look | None:
    """The batch size in the log's Top shape lines against the data layer's."""
    run = material.run
    if run is None or material.batch_size is None or not run.top_shapes:
        return None
    size, where = material.batch_size
    for layer in material.sources:
        shape = next((run.top_shapes[top] for top in layer.tops if top in run.top_shapes), None)
        if shape and size > 0 and shape[0] != size and not _from_log(where.file, material):
            return Look((Match(layer, (where,), {"declared": size, "printed": shape[0]}),))
    return Look((), (where,))


def first_loss(material: Material, check: Check) -> Look | None:
    """The size of the input from the first loss: scores of root mean square s give a softmax loss of about
    s * sqrt(2 ln K) once s is large, and the fillers tell how large s is for an input of 1. `params.size`: raw, small.

    Only from scratch, without normalisation or large fillers in between, with one softmax loss that is averaged.
    """
    if material.start != "scratch" or len(material.losses) != 1 or material.first_loss is None:
        return None
    loss = material.losses[0].layer
    maker = material.maker(loss) if loss.type == "SoftmaxWithLoss" and loss.bottoms else None
    if maker is None or maker.type not in FILLER_BLOCKS or _muddled(material, loss):
        return None
    classes = maker.whole(f"{FILLER_BLOCKS[maker.type]}.num_output")
    scale = blob_scales(material)[id(maker)]
    if classes < 2 or not FADED <= scale <= BLOWN:
        return None
    value, where = material.first_loss
    expected = math.log(classes)
    size = value / math.sqrt(2 * expected) / scale
    raw = value > HIGH_FIRST_LOSS * expected and size > RAW_INPUT
    small = value < USUAL_FIRST_LOSS * expected
    at = (where, *(layer.location for layer in material.sources))
    if not {"raw": raw, "small": small}[str(check.params["size"])]:
        return Look((), at)
    args: dict[str, Arg] = {"value": shown(value), "expected": shown(expected), "size": shown(round(size, 1))}
    return Look((Match(None, at, args),), at)


def _muddled(material: Material, loss: Layer) -> bool:
    """Whether something besides the input decides the first loss."""
    summed = loss.text("loss_param.normalization") in ("NONE", "BATCH_SIZE") or not loss.flag(
        "loss_param.normalize", True
    )
    biased = any(
        filler_of(layer, f"{FILLER_BLOCKS[layer.type]}.bias_filler", None, None).rms > 1 for layer in material.learnable
    )
    resets = BATCH_NORMS | {"MVN", "Normalize", "LRN", "Scale"}
    return summed or biased or any(layer.type in resets for layer in material.layers)


def interval(material: Material, check: Check) -> Look | None:
    """An interval (`params.field`: display, snapshot) that is off, or has fewer than `params.lines` points in the run.

    Runs shorter than `params.from` iterations are left alone.
    """
    solver = material.solver
    if solver is None or not material.whole_solver:
        return None
    field = str(check.params["field"])
    every, max_iter = solver.whole(field), solver.whole("max_iter")
    at = (solver.where(field),)
    often = every > 0 and (max_iter <= 0 or every * int(check.params["lines"]) <= max_iter)
    if often or max_iter < int(check.params.get("from", 0)):
        return Look((), at)
    return Look((Match(None, at, {"every": every, "max_iter": max_iter}),), at)


def precision(material: Material, check: Check) -> Look | None:
    """Number format: NVCaffe's FLOAT16 types, else fp32, which is all that BVLC Caffe has."""
    net, solver = material.net, material.solver
    if net is None and solver is None:
        return None
    places: list[Location] = []
    for name in ("default_forward_type", "default_backward_type"):
        field = net.message.field(name) if net is not None else None
        if net is not None and field is not None and str(field.value) == "FLOAT16":
            places.append(net.document.location(field.start))
    if solver is not None and solver.text("solver_data_type") == "FLOAT16":
        places.append(solver.where("solver_data_type"))
    half = ("forward_type", "forward_math")
    places += [layer.location for layer in material.layers if any(layer.text(name) == "FLOAT16" for name in half)]
    if places:
        return Look((Match(None, tuple(places[:3]), {}, state="fp16", trust=0.95),))
    fallback = net.location if net is not None else solver.location if solver is not None else None
    return Look((Match(None, (fallback,) if fallback else (), {}, state="fp32", trust=0.9),))


def _from_log(file: str, material: Material) -> bool:
    return material.run is not None and file in material.run.files


def _read_solver(text: Embedded) -> Solver | None:
    try:
        return read_solver(parse(text.text, text.file, text.line, partial=True))
    except NandoctorError:
        return None


def _same(here: object, there: object) -> bool:
    if isinstance(here, Message) or isinstance(there, Message):
        return True
    if isinstance(here, int | float) and isinstance(there, int | float):
        return _close(float(here), float(there)) or (math.isnan(here) and math.isnan(there))
    return here == there


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= SAME * max(abs(one), abs(other), 1e-30)


def _counts(layer: Layer) -> bool:
    return layer.type in FILLER_BLOCKS or layer.is_loss or layer.type in ("Pooling", "BatchNorm", "Dropout")


def _signature(layer: Layer) -> tuple[object, ...]:
    block = FILLER_BLOCKS.get(layer.type)
    outputs = layer.whole(f"{block}.num_output") if block else 0
    kernel = tuple(layer.wholes(f"{block}.kernel_size")) if block else ()
    pool = layer.text("pooling_param.pool", "MAX") if layer.type == "Pooling" else ""
    window = (layer.whole("pooling_param.kernel_size"), layer.whole("pooling_param.stride", 1)) if pool else ()
    std = round(layer.number(f"{block}.weight_filler.std", -1.0), 6) if block else 0
    ratio = round(layer.number("dropout_param.dropout_ratio", 0.5), 6) if layer.type == "Dropout" else 0
    return layer.name, layer.type, outputs, kernel, pool, window, std, ratio


def _described(layer: Layer) -> str:
    block = FILLER_BLOCKS.get(layer.type)
    outputs = f" num_output: {layer.whole(f'{block}.num_output')}" if block else ""
    return f"{layer.name} ({layer.type}{outputs})"
