"""The nets of a probe: the owner's with checks behind its layers, and one that only reads the data.

What is inserted is in place and only in the TRAIN phase; the rest of the net is the owner's, byte for byte.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nandoctor.check_finite_layer import CLASS, MODULE
from nandoctor.errors import UnreadableError, UsageError
from nandoctor.readers.caffe import Layer, Net, read_net
from nandoctor.readers.edits import FOUND, FieldEdit, apply_edits
from nandoctor.readers.layer_types import SOURCES
from nandoctor.readers.textproto import Message, parse
from nandoctor.source import printable

# Their tops are counts or ranks: nothing flows back through them, and Accuracy's -nan may be harmless.
_METRICS = frozenset("Accuracy ArgMax SegAccuracy DetectionEvaluate EvalDetection LabelsequenceAccuracy".split())  # noqa: SIM905
# Sources that read no samples from disk.
_MADE_UP = frozenset({"DummyData", "Input", "Parameter"})


class About(NamedTuple):
    """What every check-finite layer of a run is told: the iteration it starts from, iter_size, whether to stop."""

    start: int = 0
    iter_size: int = 1
    stop: bool = False


# --- the net


def instrumented(net: Net, layers: Sequence[str] = (), about: About = About()) -> str:  # noqa: B008  (immutable)
    """The net's text with a check-finite layer behind each layer of the TRAIN phase, or behind the named ones.

    Not behind losses: a layer that reads a loss without leading to one makes Caffe (net.cpp, `blobs_skip_backp`) leave
    out the whole backward pass below it, and one in place takes the loss weight away. What goes into a loss and what
    comes back from it is checked before it. Not behind metrics.

    Raises:
        UsageError: an unknown layer; a net that holds checks already.
        UnreadableError: a net of an older form (V0, V1), or without layers.
    """
    _refuse_old(net)
    document = net.document
    train = net.for_phase("TRAIN")
    chosen = _chosen(net, train, layers)
    if not chosen:
        raise UnreadableError(f"{printable(net.file)}: no layer of the TRAIN phase has an output to check")
    read_by_loss = {blob for layer in train if layer.is_loss for blob in layer.bottoms}
    taken = {layer.name for layer in net.layers}
    groups: dict[str, list[int]] = {}
    numbers = {layer.field.start: number for number, layer in enumerate(net.layers)}
    for layer in chosen:
        groups.setdefault(_check(layer, about, read_by_loss, taken), []).append(numbers[layer.field.start])
    # One pass for all layers that share a text; from one to the next the layers are found again by their number.
    current = document
    for text, of_text in groups.items():
        own = [layer for layer in read_net(current).layers if not _is_check(layer)]
        new = apply_edits(current, [FieldEdit("insert_after", value=text, layer=FOUND)], [own[n] for n in of_text])
        current = parse(new, document.file)
    return current.text


def _refuse_old(net: Net) -> None:
    if not net.layers:
        raise UnreadableError(f"{printable(net.file)} has no layers")
    if check := next((layer for layer in net.layers if _is_check(layer)), None):
        raise UsageError("this net holds the probe's layers already; give the net without them", check.location)
    if net.version < 2:
        old = next(layer for layer in net.layers if layer.version < 2)
        raise UnreadableError(
            "this net is in the format of 2014 (`layers`), which has no Python layers; convert it with "
            f"`upgrade_net_proto_text {shlex.quote(Path(net.file).name)} new.prototxt` (it lies beside `caffe`) and "
            "probe the new file",
            old.location,
        )


def _chosen(net: Net, train: Sequence[Layer], names: Sequence[str]) -> list[Layer]:
    known = {layer.name for layer in train}
    for name in names:
        if name not in known:
            raise UsageError(
                f"the TRAIN phase of {printable(net.file)} has no layer `{printable(name)}`{_near(name, known)}"
            )
    return [
        layer
        for layer in train
        if (not names or layer.name in names) and layer.tops and layer.type not in _METRICS
        and not layer.is_loss and not any(layer.loss_weights)
    ]  # fmt: skip


def _near(name: str, known: set[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, sorted(known), 1)
    return f" (did you mean `{printable(close[0])}`?)" if close else ""


def _is_data(layer: Layer) -> bool:
    """Whether the layer brings samples; one of the owner's own, in Python, too."""
    return layer.type in SOURCES - {"Parameter"} or (layer.type == "Python" and not layer.bottoms)


def _check(layer: Layer, about: About, read_by_loss: set[str], taken: set[str]) -> str:
    """The text of the check layer; with `{layer}` and `{top}` for the names where that is possible."""
    named = layer.name + layer.tops[0]
    plain = (
        len(layer.tops) == 1
        and f"{layer.name}/check_finite" not in taken
        and not any(char in named for char in "\\\"'{}\n\r\t")
        and printable(named) == named
    )
    name, tops = ("{layer}", ["{top}"]) if plain else (layer.name, list(layer.tops))
    own = f"{name}/check_finite"
    while not plain and own in taken:
        own += "_"
    taken.add(own)
    settings: dict[str, object] = {"name": name, "type": layer.type, "blobs": tops, "stop": about.stop}
    if _is_data(layer):
        settings["input"] = True
    elif any(top in read_by_loss for top in layer.tops):
        settings["loss"] = True
    if about.start:
        settings["start"] = about.start
    if about.iter_size > 1:
        settings["iter_size"] = about.iter_size
    lines = ["layer {", f"  name: {quoted(own)}", '  type: "Python"']
    lines += [f"  bottom: {quoted(top)}" for top in tops] + [f"  top: {quoted(top)}" for top in tops]
    lines += _rules(layer)
    told = quoted(json.dumps(settings), "'")
    lines += [
        "  python_param {",
        f'    module: "{MODULE}"',
        f'    layer: "{CLASS}"',
        f"    param_str: {told}",
        "  }",
        "}",
    ]
    text = "\n".join(lines)
    # A name that looks like a placeholder is none: 173 is the octal code of the brace.
    return text if plain else re.sub(r"\{(?=(?:layer|bottom|top)\})", r"\\173", text)


def _rules(layer: Layer) -> list[str]:
    """When Caffe keeps the layer: the check must not outlive what it checks. Caffe takes include or exclude only."""
    rules = [
        " ".join(layer.document.text[field.start : field.end].split())
        for name in ("exclude", "include")
        for field in layer.message.every(name)
        if isinstance(field.value, Message)
    ]
    if any("#" in rule for rule in rules):  # a comment would swallow the rest of the line
        rules = []
    return [f"  {rule}" for rule in rules] or ["  include { phase: TRAIN }"]


def _is_check(layer: Layer) -> bool:
    """Whether this program put the layer there."""
    return layer.type == "Python" and layer.text("python_param.module") == MODULE


def quoted(text: str, mark: str = '"') -> str:
    """A string of the text format."""
    escaped = text.replace("\\", "\\\\").replace(mark, "\\" + mark)
    return mark + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + mark


# --- the data


def data_only(net: Net) -> str:
    """A net that reads every sample, one at a time, and whose loss is 0 for a clean one and NaN for a dirty one.

    The loss is the distance of a blob from itself: x - x is NaN where x is NaN or Inf. It needs no Python layer.
    "" where the net reads no data of its own.
    """
    sources = [layer for layer in net.for_phase("TRAIN") if _is_data(layer) and layer.tops]
    sources = [layer for layer in sources if layer.type not in _MADE_UP]
    parts = ["name: " + quoted((net.name or "net") + "_data")] if sources else []
    for layer in sources:
        own = net.document.text[layer.field.start : layer.field.end]
        parts.append(_one_by_one("\n".join(own.splitlines()), layer))
        for top in layer.tops:
            name = quoted(f"finite_{top}")
            lines = [f"name: {name}", 'type: "EuclideanLoss"', *[f"bottom: {quoted(top)}"] * 2, f"top: {name}"]
            lines += [rule.strip() for rule in _rules(layer)]
            parts.append("layer {\n" + "".join(f"  {line}\n" for line in lines) + "}")
    return "".join(part + "\n" for part in parts)


def _one_by_one(text: str, layer: Layer) -> str:
    """A data layer that reads one sample at a time, in order."""
    edits = []
    for param in ("data_param", "image_data_param", "hdf5_data_param", "window_data_param", "memory_data_param"):
        if layer.has(f"{param}.batch_size"):
            edits.append(FieldEdit("set", f"layer.{param}.batch_size", "1"))
        if layer.has(f"{param}.shuffle"):
            edits.append(FieldEdit("set", f"layer.{param}.shuffle", "false"))
        if layer.has(f"{param}.rand_skip"):
            edits.append(FieldEdit("remove", f"layer.{param}.rand_skip"))
    return apply_edits(parse(text, "layer"), edits)
