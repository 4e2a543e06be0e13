"""Batch normalisation: kind, flags, batch size; and what the input looks like when it enters the net."""

from __future__ import annotations

from nandoctor.checks.fillers import block
from nandoctor.checks.look import Arg, Look, Match, could_not, shown
from nandoctor.checks.material import BATCH_NORMS, FILLER_BLOCKS, PASSING, Material
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Layer
from nandoctor.source import Location

# Variance of a float32 batch is exact to about 1e-7 of the squared mean: an epsilon below guards nothing.
SMALLEST_EPS = 1e-12
# The mean absolute value of 8-bit pixels is 50 to 150, of pixels without their mean 30 to 70, of standardised data
# below 1. Ten is also AutoTrainer's limit for the mean of a layer.
RAW_MAGNITUDE = 10.0
HUGE_MAGNITUDE = 1e4
# Ioffe 2017, Wu and He 2018: below about 4 samples the statistics of a batch are too noisy to normalise by.
SMALL_BATCH = 2
_IMAGES = frozenset({"Data", "ImageData", "WindowData", "AnnotatedData", "DenseImageData", "ImageSegData"})
# First readers that normalise by themselves.
_NORMALIZERS = BATCH_NORMS | {"MVN", "Scale", "Normalize", "Bias", "Python", "Embed"}


def kind(material: Material, check: Check) -> Look | None:
    """Whether the net has batch normalisation; `usual` or `none` as measured state."""
    if not material.layers or not material.trains:
        return None
    norms = _norms(material)
    if not norms:
        return Look((Match(None, (material.layers[0].location,), {"count": 0}, state="none"),))
    return Look((Match(None, tuple(layer.location for layer in norms), {"count": len(norms)}, state="usual"),))


def global_stats(material: Material, check: Check) -> Look | None:
    """Fixed statistics in the training net. `params.start`: `scratch` (the log says so), `likely` (no log, but fillers:
    a net that is started from a file needs none), `file`.
    """
    norms = _norms(material)
    if not norms or not material.trains:
        return None
    path = "batch_norm_param.use_global_stats"
    at = tuple(layer.where(path) for layer in norms)
    fixed = [layer for layer in norms if layer.flag(path)]
    start = {"scratch": "scratch", "": "file"}.get(material.start, "file")
    if not material.start and any(layer.has(f"{block(layer)}.weight_filler") for layer in material.learnable):
        start = "likely"
    if start != check.params["start"]:
        return Look((), at) if not fixed else None
    return Look(tuple(Match(layer, (layer.where(path),)) for layer in fixed), at)


def cancellation(material: Material, check: Check) -> Look | None:
    """Before rc4 the variance was E(x^2) - E(x)^2, which rounds to a negative number when the mean is far larger than
    the spread: batch normalisation straight on data.
    """
    norms = [layer for layer in material.layers if layer.type == "BatchNorm"]
    if not norms or material.era != "2015":
        return None
    fed = [layer for layer in norms if material.maker(layer) in material.sources]
    return Look(tuple(Match(layer, (layer.location,)) for layer in fed), tuple(layer.location for layer in norms))


def tiny_eps(material: Material, check: Check) -> Look | None:
    """`batch_norm_param.eps` (or MVN's) at 0, or too small to guard anything."""
    norms = _norms(material)
    if not norms:
        return None
    matches, at = [], []
    for layer in norms:
        path = f"{_param(layer)}.eps"
        at.append(layer.where(path))
        if layer.has(path) and layer.number(path) < SMALLEST_EPS:
            matches.append(Match(layer, (layer.where(path),), {"value": shown(layer.number(path))}))
    return Look(tuple(matches), tuple(at))


def batch_of_one(material: Material, check: Check) -> Look | None:
    """Batch normalisation over very few values. By default: a batch of one behind a fully connected layer, where each
    channel has a single value and no variance. `params.maps`: maps, up to SMALL_BATCH samples; merely noisy.
    """
    norms = [layer for layer in _norms(material) if not layer.flag("batch_norm_param.use_global_stats")]
    batch = material.batch_size
    if not norms or batch is None:
        return None
    size, where = batch
    maps = check.params.get("maps") is True
    if not 0 < size <= (SMALL_BATCH if maps else 1):
        return Look((), (where,))
    found = [layer for layer in norms if _flat(material, layer) != maps]
    return Look(tuple(Match(layer, (where, layer.location), {"batch": size}) for layer in found), (where,))


def _flat(material: Material, layer: Layer) -> bool:
    """Whether the layer's input has one value per channel and sample."""
    shape = material.shapes.bottom(layer) if material.shapes else None
    if shape is not None:
        return len(shape) <= 2 or all(side == 1 for side in shape[2:])
    maker = material.maker(layer)
    return maker is not None and maker.type == "InnerProduct"


def without_scale(material: Material, check: Check) -> Look | None:
    """Caffe's BatchNorm only normalises; the learned scale and shift are a Scale layer of their own."""
    norms = [layer for layer in material.layers if layer.type == "BatchNorm"]
    if not norms:
        return None
    bare = []
    for layer in norms:
        maker = material.maker(layer)
        readers = material.readers(layer)
        if maker is not None and maker.bottoms and readers and all(reader.type != "Scale" for reader in readers):
            bare.append(Match(layer, (layer.location,)))
    return Look(tuple(bare))


def statistics_learned(material: Material, check: Check) -> Look | None:
    """lr_mult of BatchNorm's blobs. `params.kind`: `given` (later versions refuse it), `missing` (2015 needs 0)."""
    norms = [layer for layer in material.layers if layer.type == "BatchNorm"]
    if not norms:
        return None
    matches = []
    for layer in norms:
        mults = layer.numbers("param.lr_mult")
        args: dict[str, Arg] = {"value": shown(max(mults, default=1.0))}
        if check.params["kind"] == "given":
            if any(value != 0 for value in mults):
                matches.append(Match(layer, (layer.where("param.lr_mult"),), args))
        elif material.era == "2015" and len(mults) < 3:
            matches.append(Match(layer, (layer.where("param"),), args))
    return Look(tuple(matches))


# --- the input


def image_input(material: Material, check: Check) -> Look | None:
    """Image layers of the training net that neither scale nor subtract a mean, and no first layer that does."""
    sources = [layer for layer in material.sources if layer.tops and layer.type not in ("DummyData", "Parameter")]
    if not sources:
        return None
    raw, unknown = [], []
    for layer in sources:
        if _normalized_behind(material, layer):
            continue
        if layer.type not in _IMAGES:
            unknown.append(layer)
        elif any(layer.has(f"transform_param.{name}") for name in ("scale", "mean_file", "mean_value")):
            continue
        elif _reset_behind(material, layer) == (check.params.get("batchnorm") is True):
            raw.append(Match(layer, (layer.where("transform_param"),), {"kind": layer.type}))
    at = tuple(layer.where("transform_param") for layer in sources)
    if raw or not unknown:
        return Look(tuple(raw), at)
    if _measured(material):
        return None  # the log tells it: input-magnitude-*
    because = could_not("input-range", "debug-info", layer=shown(unknown[0].name), type=shown(unknown[0].type))
    return Look((), (), because)


def input_magnitude(material: Material, check: Check) -> Look | None:
    """Mean absolute value of the input in the first forward pass, where debug_info printed it; `params.size`."""
    measured = _measured(material)
    if not measured:
        return None
    value, blob, where = max(measured)
    size = "huge" if value > HUGE_MAGNITUDE else "raw" if value > RAW_MAGNITUDE else "small"
    if size != check.params["size"]:
        return Look((), (where,))
    return Look((Match(None, (where,), {"value": shown(value), "blob": shown(blob)}),))


def _measured(material: Material) -> list[tuple[float, str, Location]]:
    """The first printed magnitude of each input blob that is no label."""
    run = material.run
    if run is None or not run.layers:
        return []
    names = {layer.name: layer for layer in material.sources}
    found: dict[str, tuple[float, str, Location]] = {}
    for reading in run.layers:
        if reading.phase != "Forward" or reading.layer not in names or not reading.blob.startswith("top blob"):
            continue
        blob = reading.blob.removeprefix("top blob ").removesuffix(" data")
        if blob in material.label_blobs or blob in found or not reading.value < float("inf"):
            continue
        if not _enters(material, names[reading.layer], blob):
            continue
        found[blob] = (reading.value, blob, Location(run.files[0], reading.line))
    return list(found.values())


def _enters(material: Material, source: Layer, blob: str) -> bool:
    """Whether something other than a loss reads the blob."""
    return any(blob in reader.bottoms and not reader.is_loss for reader in material.readers(source))


def _normalized_behind(material: Material, layer: Layer) -> bool:
    """Whether the first layer that reads the data normalises or scales it."""
    readers = [r for r in material.readers(layer) if not r.is_loss and set(r.bottoms) - material.label_blobs]
    data = [reader for reader in readers if reader.type not in ("Accuracy", "Silence")]
    while data and all(reader.type in PASSING for reader in data):
        data = [inner for reader in data for inner in material.readers(reader) if not inner.is_loss]
    return bool(data) and all(_normalizes(reader) for reader in data)


def _reset_behind(material: Material, layer: Layer) -> bool:
    """Whether batch normalisation follows the first weights, so that the size of the input does not matter (SegNet)."""
    first = [r for r in material.readers(layer) if r.type in FILLER_BLOCKS]
    return bool(first) and all(any(r.type in BATCH_NORMS for r in material.readers(conv)) for conv in first)


def _normalizes(reader: Layer) -> bool:
    if reader.type == "Power":
        return abs(reader.number("power_param.scale", 1.0)) <= 0.1 or reader.number("power_param.shift") != 0
    return reader.type in _NORMALIZERS


def _norms(material: Material) -> list[Layer]:
    return [layer for layer in material.layers if layer.type in BATCH_NORMS]


def _param(layer: Layer) -> str:
    return "bn_param" if layer.type == "BN" else "batch_norm_param"
