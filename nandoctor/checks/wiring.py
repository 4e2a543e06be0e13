"""How the layers hang together, and what Caffe's loader refuses: blobs, names, shared weights, fields."""

from __future__ import annotations

from nandoctor.checks.look import Arg, Look, Match, shown
from nandoctor.checks.material import FILLER_BLOCKS, Material
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Layer, Solver
from nandoctor.readers.layer_types import KNOWN, STANDARD
from nandoctor.readers.shapes import product, weight_shape
from nandoctor.readers.shapes import shown as shape_text
from nandoctor.readers.textproto import Message

# Solver fields that may stand more than once.
_REPEATED = frozenset(
    {
        "test_net", "test_net_param", "test_state", "test_iter", "stepvalue", "stagelr", "stageiter", "weights",
        "plateau_winsize",
    }
)  # fmt: skip
# A misspelling: at most two letters off a field of the same message.
_NEAR = 0.8


def defects(material: Material, check: Check) -> Look | None:
    """What the shape inference blames, by its `params.kind` (several may be named)."""
    if material.shapes is None or not material.whole_net:
        return None
    kinds = str(check.params["kind"]).split()
    by_place = {layer.location: layer for layer in material.layers}
    names = {layer.name: layer for layer in material.layers}
    matches = [
        Match(by_place.get(d.location) or names.get(d.layer), (d.location,), {"loader": shown_line(d.message)})
        for d in material.shapes.defects
        if d.kind in kinds
    ]
    return Look(tuple(matches))


def unknown_types(material: Material, check: Check) -> Look | None:
    """Layer types of no known program, or (`params.known: true`) of a fork only."""
    if material.net is None:
        return None
    forks = check.params.get("known") is True
    seen: dict[str, Layer] = {}
    for layer in material.net.layers:
        fork = layer.type in KNOWN and layer.type not in STANDARD
        if layer.type and (fork if forks else layer.type not in KNOWN):
            seen.setdefault(layer.type, layer)
    if not seen:
        return Look()
    args: dict[str, Arg] = {"types": ", ".join(shown(name) for name in list(seen)[:5]), "count": len(seen)}
    at = tuple(layer.where("type") for layer in seen.values())
    return Look((Match(next(iter(seen.values())), at, args),))


def near_types(material: Material, check: Check) -> Look | None:
    """An unknown layer type one or two letters off a standard one."""
    if material.net is None or not material.net.unknown_types:
        return Look() if material.net else None
    import difflib

    matches = []
    lower = {name.lower(): name for name in STANDARD}
    for layer in material.layers:
        if layer.type and layer.type not in KNOWN:
            near = difflib.get_close_matches(layer.type.lower(), list(lower), 1, 0.86)
            if near:
                args: dict[str, Arg] = {"written": shown(layer.type), "near": lower[near[0]]}
                matches.append(Match(layer, (layer.where("type"),), args))
    return Look(tuple(matches))


def in_place(material: Material, check: Check) -> Look | None:
    """Layers of `params.types` that overwrite the very values their backward pass (or their own output) needs."""
    types = str(check.params["types"]).split()
    matches = []
    for layer in material.layers:
        if layer.type not in types or not material.in_place(layer):
            continue
        if layer.type == "Power" and layer.number("power_param.power", 1.0) in (0.0, 1.0):
            continue
        if layer.type == "Eltwise" and layer.text("eltwise_param.operation", "SUM") != "PROD":
            continue
        matches.append(Match(layer, (layer.where("top"),), {"blob": shown(layer.tops[0])}))
    return Look(tuple(matches))


def shared_weights(material: Material, check: Check) -> Look | None:
    """Named weights that two layers share but need in different shapes."""
    if material.shapes is None:
        return None
    owners: dict[str, tuple[Layer, tuple[int | None, ...]]] = {}
    matches = []
    for layer in material.learnable:
        name = next((p.get("name") for p in layer.all("param")[:1] if isinstance(p, Message)), None)
        shape = weight_shape(layer, material.shapes.bottom(layer)) or _outputs_only(layer)
        if not isinstance(name, str) or not name or shape is None:
            continue
        owner, first = owners.setdefault(name, (layer, shape))
        if owner is layer or not _differ(first, shape, permissive=_permissive(layer)):
            continue
        args: dict[str, Arg] = {
            "param": shown(name), "owner": shown(owner.name), "shape": shape_text(shape), "first": shape_text(first)
        }  # fmt: skip
        matches.append(Match(layer, (layer.where("param"), owner.where("param")), args))
    return Look(tuple(matches))


def no_loss(material: Material, check: Check) -> Look | None:
    """A net without an objective: a deploy file, or TEST only."""
    if material.net is None or not material.whole_net or material.trains:
        return None
    return Look((Match(None, (material.net.location,), {"count": len(material.layers)}),))


def fields(material: Material, check: Check) -> Look | None:
    """Fields that caffe.proto does not have. `params`: message -> its fields; `kind`: near (misspelt) or far."""
    matches: list[Match] = []
    if material.solver is not None:
        matches += _unknown_in(material.solver.message, "solver", material.solver, check)
    for layer in material.layers:
        if layer.version != 2:
            continue  # upgraded in memory; their names are V0's and V1's
        matches += _unknown_in(layer.message, "layer", layer, check)
        for field in layer.message.fields:
            if field.name in check.params and isinstance(field.value, Message):
                matches += _unknown_in(field.value, field.name, layer, check)
    return Look(tuple(matches))


def twice(material: Material, check: Check) -> Look | None:
    """A solver field that stands twice although it may stand once."""
    solver = material.solver
    if solver is None:
        return None
    seen: dict[str, int] = {}
    matches = []
    for field in solver.message.fields:
        if field.name in seen and field.name not in _REPEATED:
            at = solver.document.location(field.start)
            matches.append(Match(None, (at, solver.document.location(seen[field.name])), {"field": shown(field.name)}))
        seen.setdefault(field.name, field.start)
    return Look(tuple(matches))


def shown_line(text: str) -> str:
    """One line of a loader's message, not endless."""
    return text if len(text) <= 200 else text[:199] + "…"


def _unknown_in(message: Message, name: str, owner: Layer | Solver, check: Check) -> list[Match]:
    """The fields of one message that its list in the check file does not hold."""
    known = str(check.params.get(name, "")).split()
    near = check.params["kind"] == "near"
    layer = owner if isinstance(owner, Layer) else None
    found = []
    for field in message.fields:
        if name == "layer" and field.name.endswith("_param"):
            continue  # the parameter messages of forks are without number
        if known and (meant := _unknown(field.name, known, near)):
            args: dict[str, Arg] = {"field": shown(field.name), "near": meant, "message": name}
            found.append(Match(layer, (owner.document.location(field.start),), args))
    return found


def _unknown(name: str, known: list[str], near: bool) -> str:
    """The nearest known name, or `-`; empty if the name is known or of the other kind."""
    if name in known or name.startswith("["):
        return ""
    import difflib

    found = difflib.get_close_matches(name, known, 1, _NEAR)
    # Forks number and letter their additions (stride_d, mean_file2): those are no misspellings.
    close = bool(found) and abs(len(found[0]) - len(name)) <= 2 and found[0][:-1] != name[:-1]
    return found[0] if near and close else "-" if not near and not close else ""


def _outputs_only(layer: Layer) -> tuple[int | None, ...] | None:
    outputs = layer.whole(f"{FILLER_BLOCKS[layer.type]}.num_output")
    if layer.type not in ("Convolution", "InnerProduct") or not outputs:
        return None
    if layer.type == "InnerProduct":
        return (outputs, None)
    kernels = layer.wholes("convolution_param.kernel_size")
    return (outputs, None, *(kernels * 2 if len(kernels) == 1 else kernels)) if kernels else None


def _differ(one: tuple[int | None, ...], other: tuple[int | None, ...], permissive: bool) -> bool:
    if permissive:
        counts = product(one), product(other)
        return None not in counts and counts[0] != counts[1]
    if len(one) != len(other):
        return True
    return any(a is not None and b is not None and a != b for a, b in zip(one, other))


def _permissive(layer: Layer) -> bool:
    return any(str(mode) in ("PERMISSIVE", "1") for mode in layer.all("param.share_mode"))
