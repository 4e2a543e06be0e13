"""V0 and V1 nets seen as current ones: what Caffe's upgrade_proto.cpp does, in memory, with the owner's places kept.

The upgraded messages hold fields whose offsets are those of the owner's own fields, so that every location and every
edit of a value still points into the owner's file. Fields that no upgrade rule names are kept as they are.
"""

from __future__ import annotations

import msgspec

from nandoctor.readers.layer_types import V0_TYPES, V1_NUMBERS, V1_TYPES, current_type
from nandoctor.readers.textproto import Field, Message, parse

# V0: one flat message; the parameter message each field belongs to depends on the type.
_V0_PARAM = {
    "conv": "convolution_param",
    "innerproduct": "inner_product_param",
    "pool": "pooling_param",
    "dropout": "dropout_param",
    "lrn": "lrn_param",
    "data": "data_param",
    "hdf5_data": "hdf5_data_param",
    "images": "image_data_param",
    "window_data": "window_data_param",
    "infogain_loss": "infogain_loss_param",
    "concat": "concat_param",
    "eltwise": "eltwise_param",
    "power": "power_param",
}
_V0_RENAMED = {
    "biasterm": "bias_term",
    "kernelsize": "kernel_size",
    "batchsize": "batch_size",
    "shuffle_images": "shuffle",
    "det_fg_threshold": "fg_threshold",
    "det_bg_threshold": "bg_threshold",
    "det_fg_fraction": "fg_fraction",
    "det_context_pad": "context_pad",
    "det_crop_mode": "crop_mode",
}
_V0_TRANSFORM = {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size", "mirror": "mirror"}
# Fields that mean the same in every version.
_PLAIN = frozenset("name type bottom top include exclude phase loss_weight param propagate_down blobs".split())  # noqa: SIM905
# V1: what the data layers held before transform_param existed.
_V1_TRANSFORM = ("scale", "mean_file", "crop_size", "mirror")
_V1_DATA = {"Data": "data_param", "ImageData": "image_data_param", "WindowData": "window_data_param"}
_V1_PARAM = {"blobs_lr": "lr_mult", "weight_decay": "decay_mult", "blob_share_mode": "share_mode"}


class Upgraded(msgspec.Struct, frozen=True):
    """A layer of a net: the owner's own field, its version (0, 1 or 2), and the message as a current net has it."""

    field: Field
    version: int
    message: Message


def upgraded_layers(root: Message) -> list[Upgraded]:
    """The layers of a net in file order, V0 and V1 ones upgraded; V0 padding layers are merged into the next layer."""
    layers: list[Upgraded] = []
    for field in root.fields:
        if not isinstance(field.value, Message):
            continue
        if field.name == "layer":
            layers.append(Upgraded(field, 2, field.value))
        elif field.name == "layers":
            inner = field.value.field("layer")
            if inner is not None and isinstance(inner.value, Message):
                layers.append(Upgraded(field, 0, _from_v1(_from_v0(field.value, inner.value), 0)))
            else:
                layers.append(Upgraded(field, 1, _from_v1(field.value, 1)))
    return _without_padding(layers) if any(layer.version == 0 for layer in layers) else layers


def written_path(version: int, path: str) -> str:
    """The path at which a net of this version writes a current field; the same path where nothing changed.

    >>> written_path(0, "pooling_param.stride"), written_path(1, "param.lr_mult")
    ('layer.stride', 'blobs_lr')
    """
    if version == 2:
        return path
    head, _, last = path.partition(".")
    if head == "param":
        path = next((old for old, new in _V1_PARAM.items() if new == last), path)
    if version == 1 or path in ("bottom", "top", "include", "exclude"):
        return path
    if head == "transform_param":
        return "layer." + next((old for old, new in _V0_TRANSFORM.items() if new == last), last)
    if head in _V0_PARAM.values():
        return "layer." + next((old for old, new in _V0_RENAMED.items() if new == last), last)
    return "layer." + path


def older_type(current: str, version: int) -> str:
    """How a net of version 0 or 1 writes a current layer type; "" if it has no word for it."""
    if version == 0:
        return next((f'"{old}"' for old, new in V0_TYPES.items() if new == current), "")
    return next((old for old, new in V1_TYPES.items() if new == current), "")


def in_older_words(text: str, version: int) -> str:
    """Text of current layers as a net of `version` must have it; "" where that is not possible.

    Caffe ignores `layer` in a net that has `layers`. V0 layers differ too much and are not written.
    """
    if version == 2:
        return text
    root = parse(text).root
    pieces: list[tuple[int, int, str]] = []
    for field in root.fields:
        type_field = field.value.field("type") if isinstance(field.value, Message) else None
        word = older_type(str(type_field.value), version) if type_field is not None else ""
        if version == 0 or not word or type_field is None or not isinstance(field.value, Message):
            return ""
        if field.value.field("param") is not None:
            return ""
        pieces += [(field.start, field.start + len(field.name), "layers")]
        pieces += [(type_field.value_start, type_field.value_end, word)]
    for start, end, new in reversed(pieces):
        text = text[:start] + new + text[end:]
    return text


def _from_v0(outer: Message, inner: Message) -> Message:
    """A V0 layer as a V1 one."""
    found = inner.get("type", "")
    kind = found if isinstance(found, str) else ""
    built = _Builder(outer)
    for field in inner.fields:
        if field.name in _V0_TRANSFORM:
            built.put("transform_param", _V0_TRANSFORM[field.name], field)
        elif field.name in _PLAIN or field.name in _V1_PARAM or field.name.endswith("_param") or kind not in _V0_PARAM:
            built.fields.append(field)
        else:
            built.put(_V0_PARAM[kind], _V0_RENAMED.get(field.name, field.name), field)
    for field in outer.fields:
        if field.value is not inner:
            built.fields.append(field)
    return built.message()


def _from_v1(layer: Message, version: int) -> Message:
    """A V1 layer as a current one."""
    built = _Builder(layer)
    params: list[Message] = []
    counts: dict[str, int] = {}
    type_field = layer.field("type")
    kind = _type_name(type_field, version)
    for field in layer.fields:
        if field is type_field:
            built.fields.append(_moved(field, "type", kind))
        elif field.name in _V1_PARAM or (field.name == "param" and isinstance(field.value, str)):
            index = counts[field.name] = counts.get(field.name, -1) + 1
            if index == len(params):
                params.append(Message([], field.start, field.end))
                built.fields.append(_moved(field, "param", params[index]))
            if index < len(params):
                params[index].fields.append(_moved(field, _V1_PARAM.get(field.name, "name"), field.value))
        elif field.name == _V1_DATA.get(kind) and isinstance(field.value, Message):
            for inner in field.value.fields:
                built.put("transform_param" if inner.name in _V1_TRANSFORM else field.name, inner.name, inner)
        else:
            built.fields.append(field)
    return built.message()


def _type_name(field: Field | None, version: int) -> str:
    if field is None:
        return ""
    if isinstance(field.value, int):
        return V1_NUMBERS.get(field.value, str(field.value))
    return current_type(field.value, version) if isinstance(field.value, str) else ""


def _moved(field: Field, name: str, value: object) -> Field:
    return Field(name, value, field.start, field.value_start, field.value_end, field.end, field.after)  # type: ignore[arg-type]


class _Builder:
    """Collects the fields of an upgraded layer; parameter messages are made when their first field arrives."""

    def __init__(self, source: Message) -> None:
        self.source = source
        self.fields: list[Field] = []
        self.messages: dict[str, Message] = {}

    def put(self, param: str, name: str, field: Field) -> None:
        message = self.messages.get(param)
        if message is None:
            existing = next((f.value for f in self.fields if f.name == param), None)
            if isinstance(existing, Message):
                message = msgspec.structs.replace(existing, fields=list(existing.fields))
                self.fields = [f if f.value is not existing else _moved(f, param, message) for f in self.fields]
            else:
                message = Message([], field.start, field.end)
                self.fields.append(_moved(field, param, message))
            self.messages[param] = message
        message.fields.append(_moved(field, name, field.value))

    def message(self) -> Message:
        return Message(self.fields, self.source.start, self.source.end)


def _without_padding(layers: list[Upgraded]) -> list[Upgraded]:
    """V0 `padding` layers merged into the convolution or pooling that reads them (UpgradeV0PaddingLayers)."""
    padded: dict[str, Upgraded] = {}
    kept: list[Upgraded] = []
    for layer in layers:
        tops = [top for top in layer.message.all("top") if isinstance(top, str)]
        if layer.message.get("type") == "Padding":
            padded |= dict.fromkeys(tops, layer)
            continue
        merged = layer
        for bottom in layer.message.every("bottom"):
            source = padded.get(bottom.value) if isinstance(bottom.value, str) else None
            if source is not None:
                merged = _merged_padding(merged, bottom, source)
        for top in tops:
            padded.pop(top, None)
        kept.append(merged)
    return kept


def _merged_padding(layer: Upgraded, bottom: Field, padding: Upgraded) -> Upgraded:
    built = _Builder(layer.message)
    source = padding.message.field("bottom")
    for field in layer.message.fields:
        built.fields.append(field if field is not bottom or source is None else _moved(bottom, "bottom", source.value))
    pad = padding.message.field("pad")
    param = {"Convolution": "convolution_param", "Pooling": "pooling_param"}.get(str(layer.message.get("type")))
    if pad is not None and param is not None:
        built.put(param, "pad", pad)
    return msgspec.structs.replace(layer, message=built.message())
