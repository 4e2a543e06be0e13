"""A Darknet cfg into observations: test mode, rate against batch, schedule, and the filters before each head.

Defaults are those of Darknet's parser.c: batch 1, subdivisions 1, learning_rate 0.001, momentum 0.9, decay 0.0001,
burn_in 0, policy constant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from nandoctor.detectors.arguments import USUAL_DECAY, faulty, graded, seen
from nandoctor.diagnosis import Evidence
from nandoctor.readers.settings import Section, TrainingConfig
from nandoctor.source import Location, printable

# (usual up to, large up to), for the batch that the recipe was made for; the rate is scaled linearly to it. Detectors:
# 0.001 (YOLOv2, v3), 0.00261 (v4-tiny), 0.005 at its height (v1), all with batch 64. Classifiers: 0.1 with batch 128.
DETECTOR = (6e-3, 3e-2)
CLASSIFIER = (2e-1, 1.0)
DETECTOR_BATCH, CLASSIFIER_BATCH = 64, 128
RECIPE = (0.001, 1000)  # learning_rate and burn_in for one GPU; advice for n GPUs: lr / n, burn_in x n
EARLY = 0.1  # of max_batches: a rise of the rate until then is a warm-up, later it is growth
HEADS = ("yolo", "gaussian_yolo", "region")


def observe(config: TrainingConfig, *, net_only: bool = False) -> Iterator[Evidence]:
    """Everything a cfg answers; `net_only`: another program trains, so that its [net] settings are not in use.

    That it is Darknet is left to the log: harmless NaN is so common in Darknet's logs that the name of the program
    alone would call a run without a log harmless.
    """
    net = next((s for s in config.sections if s.name in ("net", "network")), None)
    heads = [s for s in config.sections if s.name in (*HEADS, "detection")]
    if heads:
        at = Location(config.file, heads[0].line, 1)
        yield seen("architecture", "detector", "section", at, trust=0.95, args={"name": f"[{heads[0].name}]"})
    yield from labels(config)
    if net is not None and not net_only:
        yield from batchnorm(config, net)
        yield from optimizer(config, net)
        yield from rate(config, net, detector=bool(heads))
        yield from schedule(config, net)
        yield from start(config, net)


def _at(config: TrainingConfig, section: Section, *names: str) -> tuple[Location, ...]:
    """The places of these options; the section's own line where none is given."""
    held = [section.options[name] for name in names if name in section.options]
    return tuple(config.where(setting) for setting in held) or (Location(config.file, section.line, 1),)


def labels(config: TrainingConfig) -> Iterator[Evidence]:
    """Heads whose input has another number of maps than their classes and anchors need; heads that disagree."""
    classes: dict[int, Section] = {}
    previous: Section | None = None
    for section in config.sections:
        if section.name in HEADS:
            count = section.whole("classes", 20)
            classes.setdefault(count, section)
            found = _misfit(config, previous, section)
            if found is not None:
                yield found
                return
        previous = section
    if len(classes) > 1:
        (one, first), (other, second) = list(classes.items())[:2]
        places = (*_at(config, first, "classes"), *_at(config, second, "classes"))
        yield seen(
            "labels_valid", "out_of_range", "classes-differ", places, trust=0.8, args={"one": one, "other": other}
        )


def _misfit(config: TrainingConfig, previous: Section | None, head: Section) -> Evidence | None:
    """The convolution before a head must have boxes x (classes + coordinates + 1) filters."""
    count, anchors = head.whole("classes", 20), head.whole("num", 1)
    values = {"yolo": 4, "gaussian_yolo": 8}.get(head.name, head.whole("coords", 4))
    mask = head.options.get("mask")
    boxes = len(mask.numbers) if mask is not None and head.name != "region" else anchors
    beyond = [m for m in (mask.numbers if mask is not None else ()) if not 0 <= m < anchors]
    if beyond:
        return seen(
            "labels_valid",
            "out_of_range",
            "mask-beyond",
            _at(config, head, "mask", "num"),
            trust=0.75,
            args={"mask": int(beyond[0]) if math.isfinite(beyond[0]) else -1, "num": anchors},
        )
    if previous is None or previous.name != "convolutional" or "filters" not in previous.options:
        return None
    filters, expected = previous.whole("filters", 1), boxes * (count + values + 1)
    if filters == expected:
        return None
    places = (*_at(config, previous, "filters"), *_at(config, head, "classes"))
    return seen(
        "labels_valid",
        "out_of_range",
        "filters",
        places,
        trust=0.8,
        args={
            "filters": filters,
            "classes": count,
            "boxes": boxes,
            "values": values + 1,
            "expected": expected,
            "head": head.name,
            "line": head.line,
        },
    )


def batchnorm(config: TrainingConfig, net: Section) -> Iterator[Evidence]:
    """Batch normalisation sees batch / subdivisions images at a time."""
    normal = next((s for s in config.sections if s.whole("batch_normalize", 0)), None)
    batch, parts = net.whole("batch", 1), net.whole("subdivisions", 1)
    if normal is None:
        if len(config.sections) > 2:
            yield seen("batchnorm", "none", "batchnorm-none", Location(config.file, net.line, 1), trust=0.93)
        return
    places = (*_at(config, net, "batch", "subdivisions"), *_at(config, normal, "batch_normalize"))
    if parts >= 1 and batch // parts <= 2:
        yield seen(
            "batchnorm", "tiny_batch", "batchnorm-tiny", places, trust=0.8, args={"count": max(batch // parts, 0)}
        )
    else:
        yield seen("batchnorm", "usual", "batchnorm-usual", places, trust=0.93, args={"count": batch // max(parts, 1)})


def optimizer(config: TrainingConfig, net: Section) -> Iterator[Evidence]:
    """Momentum, decay, Adam's betas and epsilon, subdivisions, clipping."""
    batch, parts = net.whole("batch", 1), net.whole("subdivisions", 1)
    clip = net.number("clip", 0.0)
    adam = net.whole("adam", 0) != 0
    bounded = next((s for s in config.sections if s.name in HEADS and s.number("max_delta", 0.0) > 0), None)
    if clip > 0:
        yield seen(
            "gradient_clipping", "yes", "setting", _at(config, net, "clip"), args={"name": "clip", "value": clip}
        )
    elif bounded is not None:
        value = bounded.number("max_delta", 0.0)
        yield seen(
            "gradient_clipping",
            "yes",
            "clip-delta",
            _at(config, bounded, "max_delta"),
            trust=0.8,
            args={"value": value},
        )
    else:
        yield seen("gradient_clipping", "no", "clip-none", Location(config.file, net.line, 1), trust=0.9)
    for name in ("momentum", *(("B1", "B2") if adam else ())):
        if not 0 <= (value := net.number(name, 0.9)) < 1:
            yield from faulty(
                "momentum", "momentum", _at(config, net, name), trust=0.95, args={"name": name, "value": value}
            )
            return
    decay = net.number("decay", 1e-4)
    if not 0 <= decay <= USUAL_DECAY:
        yield from faulty(
            "weight_decay", "decay", _at(config, net, "decay"), trust=0.95, args={"name": "decay", "value": decay}
        )
    elif adam and "eps" in net.options and not net.number("eps", 1e-7) > 0:
        yield from faulty(
            "epsilon", "epsilon-zero", _at(config, net, "eps"), trust=0.95, args={"name": "eps", "value": "0"}
        )
    elif parts < 1 or batch < parts:
        places = _at(config, net, "batch", "subdivisions")
        yield from faulty("accumulation", "subdivisions", places, trust=0.9, args={"batch": batch, "parts": parts})
    else:
        places, names = _at(config, net, "momentum", "decay", "subdivisions"), "momentum, decay, subdivisions"
        yield seen("optimizer_fault", "none", "optimizer-usual", places, trust=0.9, args={"names": names})
        yield seen("optimizer_settings", "usual", "optimizer-usual", places, trust=0.9, args={"names": names})


def rate(config: TrainingConfig, net: Section, *, detector: bool) -> Iterator[Evidence]:
    """The highest rate of the schedule, scaled to the batch of the recipes. batch=1 is a cfg left in test mode."""
    batch, parts = max(net.whole("batch", 1), 1), net.whole("subdivisions", 1)
    given = net.number("learning_rate", 0.001)
    if not given > 0 or not math.isfinite(given):
        return
    reference, limits = (DETECTOR_BATCH, DETECTOR) if detector else (CLASSIFIER_BATCH, CLASSIFIER)
    top = given * max(_beginning(net))
    scaled = top * reference / batch
    state, odds = graded(scaled, limits)
    places = _at(config, net, "learning_rate", "batch", "subdivisions")
    args: dict[str, str | float | int] = {"rate": given, "batch": batch, "scaled": scaled, "reference": reference}
    if detector and not _warm(net) and top >= 0.99 * RECIPE[0]:
        odds["large"] = max(odds["large"], 0.5)  # the recipes for this rate all begin with a warm-up
    if batch == 1 and parts <= 1 and state in ("large", "huge"):
        odds = {"tiny": 0.01, "usual": 0.05, "large": 0.2, "huge": 0.9}
        yield seen("lr_size", "huge", "lr-test-mode", places, likelihoods=odds, args=args)
    else:
        yield seen("lr_size", state, f"lr-batch-{state}", places, likelihoods=odds, args=args)


def schedule(config: TrainingConfig, net: Section) -> Iterator[Evidence]:
    """The rate over the whole run: policies that grow or have no value, a warm-up, or none."""
    policy = net.options["policy"].text if "policy" in net.options else "constant"
    given, burn_in = net.number("learning_rate", 0.001), net.whole("burn_in", 0)
    ends = net.whole("max_batches", 0)
    factors = _factors(net)
    at = _at(config, net, "policy", "learning_rate")
    args: dict[str, str | float | int] = {"policy": printable(policy)[:40], "rate": given}
    late = max((factor for step, factor in factors if not _early(net, step)), default=1.0)
    steps = _at(config, net, "steps", "scales", "scale", "gamma")
    if not math.isfinite(given):
        yield seen("schedule", "becomes_nonfinite", "schedule-rate", at, trust=0.97, args=args)
    elif given <= 0:
        state = "zero_or_absent" if given == 0 else "becomes_negative"
        yield seen("schedule", state, "schedule-rate", at, trust=0.95, args=args)
    elif policy == "poly" and ends <= 0:
        yield seen("schedule", "becomes_nonfinite", "schedule-poly", at, trust=0.8, args=args)
    elif (policy == "exp" and net.number("gamma", 1.0) > 1) or (policy == "step" and net.number("scale", 1.0) > 1):
        yield seen("schedule", "grows", "schedule-grows", steps, trust=0.93, args=args)
    elif late > 2:
        yield seen("schedule", "grows", "schedule-grows", steps, trust=0.9, args=args)
    else:
        yield seen("schedule", "valid", "schedule-valid", at, trust=0.85, args=args)
    if burn_in > 0:
        places = _at(config, net, "burn_in")
        yield seen("warmup", "yes", "setting", places, args={"name": "burn_in", "value": str(burn_in)})
    elif _warm(net):
        yield seen("warmup", "yes", "warmup-steps", steps, trust=0.9, args=args)
    else:
        yield seen("warmup", "no", "warmup-none", _at(config, net, "burn_in", "learning_rate"), trust=0.93, args=args)


def start(config: TrainingConfig, net: Section) -> Iterator[Evidence]:
    """Several GPUs, as the authors' advice for them shows; mixed precision by its loss scale."""
    given, burn_in = net.number("learning_rate", 0.001), net.whole("burn_in", 0)
    count, rest = divmod(burn_in, RECIPE[1])
    if 2 <= count <= 8 and not rest and math.isclose(given * count, RECIPE[0], rel_tol=0.05):
        places = _at(config, net, "learning_rate", "burn_in")
        yield seen(
            "devices", "several", "gpus", places, trust=0.75, args={"rate": given, "burn_in": burn_in, "count": count}
        )
    scale = net.number("loss_scale", 1.0)
    if scale != 1.0:
        odds = {"fp16": 0.7, "fp32": 0.3, "pure_fp16": 0.1}
        places = _at(config, net, "loss_scale")
        yield seen(
            "precision",
            "fp16",
            "setting",
            places,
            likelihoods=odds,
            args={"name": "loss_scale", "value": number_text(scale)},
        )


def number_text(value: float) -> str:
    """A number as one writes it in a cfg."""
    return f"{value:g}"


def _factors(net: Section) -> list[tuple[float, float]]:
    """(iteration, product of all scales until then) of the policy `steps`; empty for the others."""
    steps, scales = net.options.get("steps"), net.options.get("scales")
    policy = net.options.get("policy")
    if steps is None or scales is None or policy is None or policy.text not in ("steps", "sgdr"):
        return []
    product, out = 1.0, []
    for step, scale in zip(steps.numbers, scales.numbers):
        product *= scale
        out.append((step, product))
    return out


def _beginning(net: Section) -> list[float]:
    """The factors of the rate from the first iteration to the end of any warm-up by `steps`."""
    factors = _factors(net)
    first = [] if factors and factors[0][0] <= 0 else [1.0]
    return first + [factor for step, factor in factors if _early(net, step)]


def _warm(net: Section) -> bool:
    beginning = _beginning(net)
    return net.whole("burn_in", 0) > 0 or max(beginning) > 2 * beginning[0]


def _early(net: Section, step: float) -> bool:
    """A step at 0 or before is the first rate, whatever the length of the run."""
    return step <= max(EARLY * net.number("max_batches", 0.0), 0.0)
