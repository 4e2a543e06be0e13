"""Edits of a prototxt by field path that leave every other byte alone: comments, layout, line ends, the last newline.

An edit is declarative (`nandoctor.kb.model.Edit` has the form of `EditLike`). New text takes the indentation, the line
ends and the one-line or several-line style of what stands around it. V0 and V1 nets are edited in their own words.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import msgspec

from nandoctor.errors import TextFormatError, UsageError
from nandoctor.readers.backups import undo, write_with_backup
from nandoctor.readers.caffe import Layer, kind_of, read_net
from nandoctor.readers.linediff import Change, changed_lines, unified_diff
from nandoctor.readers.textproto import Document, Enum, Field, Message, parse
from nandoctor.readers.upgrade import in_older_words, older_type, written_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class EditLike(Protocol):
        """What an edit says; see `nandoctor.kb.model.Edit`."""

        @property
        def action(self) -> str:
            """set, add, remove, scale, insert_after or insert_before."""

        @property
        def path(self) -> str:
            """Dotted field path below the solver or the layer, in current terms."""

        @property
        def value(self) -> str:
            """The new value as it is written in the file, or the text of the layer to insert."""

        @property
        def factor(self) -> float:
            """What `scale` multiplies with."""

        @property
        def layer(self) -> str:
            """Name or type of the layers, `{check}` for those found, or nothing for the top level."""


__all__ = ["Change", "FieldEdit", "apply_edits", "changed_lines", "undo", "unified_diff", "write_with_backup"]

FOUND = "{check}"
# Fields of caffe.proto that may be written several times: `add` appends to them, and sets every other field.
REPEATED = frozenset(
    """bottom top param loss_weight include exclude stage not_stage stepvalue test_iter test_net kernel_size stride pad
    dilation mean_value slice_point shape dim blobs propagate_down blobs_lr weight_decay min_size max_size aspect_ratio
    variance layer layers input input_shape input_dim""".split()  # noqa: SIM905
)
_LINE_END = re.compile(r"\r\n|\n|\r|\Z")
_NEWLINE = re.compile(r"\r\n|\n|\r")
_DEFAULT_INDENT = "  "


class FieldEdit(msgspec.Struct, frozen=True):
    """An edit without a knowledge base."""

    action: str
    path: str = ""
    value: str = ""
    factor: float = 1.0
    layer: str = ""


class _Splice(msgspec.Struct, frozen=True):
    start: int
    end: int
    text: str


def apply_edits(document: Document, edits: Sequence[EditLike], found: Sequence[Layer] = ()) -> str:
    """The text of a solver or net with the edits made, one after the other.

    set: every field at the path gets the value; if there is none it is added. add: the same, but a repeated field gets
    one more. remove: every field at the path, and its line if nothing else stands there. scale: multiplies every number
    at the path. insert_after, insert_before: a layer's text beside each layer named; `{layer}`, `{bottom}` and `{top}`
    in a value stand for that layer's name, first bottom and first top.
    An edit that does not apply (no such layer, nothing to scale or remove, already so) changes nothing.

    Args:
        document: the file as read.
        edits: what to do, as `nandoctor.kb.model.Edit` or `FieldEdit`.
        found: the layers that `{check}` stands for.

    Raises:
        UsageError: an edit has an unknown action, or leaves a text that no longer parses.
    """
    text = document.text
    current = document
    targets = [layer.field.start for layer in found]
    for edit in edits:
        splices = [s for s in _splices(current, edit, targets) if text[s.start : s.end] != s.text]
        if not splices:
            continue
        text = _spliced(text, splices)
        targets = [
            start + sum(len(s.text) - (s.end - s.start) for s in splices if s.start <= start) for start in targets
        ]
        try:
            current = parse(text, document.file, document.first_line)
        except TextFormatError as error:
            raise UsageError(f"the edit {edit.action} {edit.path} = {edit.value!r} leaves no readable text") from error
    return text


def _spliced(text: str, splices: list[_Splice]) -> str:
    parts: list[str] = []
    at = 0
    for splice in sorted(splices, key=lambda s: (s.start, s.end)):
        if splice.start < at:
            continue  # a field inside one that is already replaced
        parts += (text[at : splice.start], splice.text)
        at = splice.end
    parts.append(text[at:])
    return "".join(parts)


def _splices(document: Document, edit: EditLike, targets: list[int]) -> list[_Splice]:
    editor = _Editor(document)
    if not edit.layer:
        return editor.change(document.root, None, edit)
    if kind_of(document) == "solver":
        return []
    layers = read_net(document).layers
    if edit.layer == FOUND:
        chosen = [layer for layer in layers if layer.field.start in targets]
    else:
        chosen = [layer for layer in layers if layer.name == edit.layer]
        chosen = chosen or [layer for layer in layers if layer.type == edit.layer]
    return [splice for layer in chosen for splice in editor.change_layer(layer, edit)]


class _Editor:
    """Finds the places of an edit in one text."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        newline = _NEWLINE.search(self.text)
        self.newline = newline[0] if newline else "\n"

    def change_layer(self, layer: Layer, edit: EditLike) -> list[_Splice]:
        if edit.action in ("insert_after", "insert_before"):
            value = in_older_words(_filled(edit.value, layer), layer.version)
            return [self.insert(layer.field, value, edit.action == "insert_before")] if value else []
        assert isinstance(layer.field.value, Message)
        return self.change(layer.field.value, layer, edit)

    def change(self, message: Message, layer: Layer | None, edit: EditLike) -> list[_Splice]:
        if edit.action not in ("set", "add", "remove", "scale"):
            raise UsageError(f"unknown action {edit.action!r} in an edit")
        path, value = edit.path, edit.value
        present = message.every(path)
        if layer is not None:
            value = _filled(value, layer)
            if layer.version < 2:
                # the upgraded fields lie where the owner wrote them, in whatever words
                present = present or [f for f in layer.message.every(path) if not isinstance(f.value, Message)]
                path = written_path(layer.version, path)
                if edit.path == "type" and edit.action in ("set", "add"):
                    value = older_type(value.strip("\"'"), layer.version)
                    present = present if value else []
                    if not value:
                        return []
        if edit.action == "remove":
            return [self.removal(field) for field in _distinct(present)]
        if edit.action == "scale":
            return [s for field in present if (s := self.scaled(field, edit.factor)) is not None]
        last = path.rpartition(".")[2]
        if present and (edit.action == "set" or last not in REPEATED):
            return [_Splice(f.value_start, f.value_end, self.written(f, value)) for f in present]
        return [self.addition(message, path.split("."), value, layer)]

    # --- one place each

    def written(self, field: Field, value: str) -> str:
        """The value as text in the place of an old one: quoted where a string stood, a block where a block stood."""
        if isinstance(field.value, Message):
            if value[:1] in ("{", "<"):
                return value
            if ":" in value and value[:1] not in ('"', "'"):
                return f"{{ {value} }}"
            return value if ":" in self.text[field.start : field.value_start] else f": {value}"
        is_text = isinstance(field.value, str) and not isinstance(field.value, Enum)
        if is_text and value[:1] not in ('"', "'"):
            return f'"{value}"'
        return value

    def scaled(self, field: Field, factor: float) -> _Splice | None:
        value = field.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        product = float(value) * factor
        if isinstance(value, int) and not product.is_integer():
            text = _number(product) if field.name not in _WHOLE else str(max(1, round(product)))
        else:
            text = str(int(product)) if isinstance(value, int) else _number(product)
        return _Splice(field.value_start, field.value_end, text)

    def removal(self, field: Field) -> _Splice:
        """The field with its separator; with its whole line, if that leaves nothing else on it."""
        text = self.text
        start, end = field.start, field.after
        line_start = self.line_start(start)
        line_end = self.line_end(end)
        if not text[line_start:start].strip() and not text[end : line_end.start()].strip():
            if line_end.end() > line_end.start() or line_start == 0:
                return _Splice(line_start, line_end.end(), "")
            # the last line, without an end: the end of the line before goes instead
            return _Splice(line_start - (2 if text[line_start - 2 : line_start] == "\r\n" else 1), line_end.end(), "")
        while end < len(text) and text[end] in " \t":
            end += 1
        if text[end : end + 1] in ("\r", "\n", ""):  # last on its line: the blanks before it go instead
            end = field.after
            start = line_start + len(text[line_start:start].rstrip(" \t"))
        return _Splice(start, end, "")

    def addition(self, message: Message, path: list[str], value: str, layer: Layer | None) -> _Splice:
        """The field (and the messages it needs around it) behind the last of its name, else at the end."""
        inner: Message | None = message
        while len(path) > 1 and inner is not None:
            found = next((f.value for f in inner.fields if f.name == path[0] and isinstance(f.value, Message)), None)
            if found is None:
                break
            inner, path = found, path[1:]
        assert inner is not None
        value = self.quoted(path[-1], value, layer)
        same = [field for field in inner.fields if field.name == path[0]]
        after = max(same or inner.fields, key=lambda field: field.after, default=None)
        return self.placed(inner, after, path, value)

    def quoted(self, name: str, value: str, layer: Layer | None) -> str:
        if name in _STRINGS and value[:1] not in ('"', "'", "{", "<") and not (name == "type" and _is_v1(layer)):
            return f'"{value}"'
        return value

    def placed(self, message: Message, after: Field | None, path: list[str], value: str) -> _Splice:
        text = self.text
        if after is None:
            if message is self.document.root:  # an empty file, or only comments
                block = _nested(path, value, "", self.unit(), self.newline)
                ended = text[-1:] in ("\n", "\r")
                block = block + self.newline if ended else self.newline + block if text.strip("\ufeff") else block
                return _Splice(len(text), len(text), block)
            outer = self.indent_at(message.start - 1)
            if not _NEWLINE.search(text, message.start, message.end):
                return _Splice(message.start, message.end, f" {_inline(path, value)} ")
            block = _nested(path, value, outer + self.unit(), self.unit(), self.newline)
            at = self.line_end(message.start).start()
            return _Splice(at, at, self.newline + block)
        lead = text[self.line_start(after.start) : after.start].lstrip("\ufeff")
        line_end = self.behind(after)
        if lead.strip() or line_end is None:  # it shares its line with something: stay on that line
            return _Splice(after.after, after.after, " " + _inline(path, value))
        return _Splice(line_end, line_end, self.newline + _nested(path, value, lead, self.unit(), self.newline))

    def insert(self, field: Field, value: str, before: bool) -> _Splice:
        """A layer's text beside a layer, in its indentation; with an empty line where the file has them."""
        lines = value.strip("\r\n").splitlines()
        indent = self.indent_at(field.start)
        block = self.newline.join(indent + line if line.strip() else "" for line in lines)
        gap = self.newline if self.blank_between_layers() else ""
        if not before:
            end = self.behind(field)
            at = field.after if end is None else end
            return _Splice(at, at, self.newline + gap + block)
        line_start = self.line_start(field.start)
        if self.text[line_start : field.start].strip(" \t"):
            return _Splice(field.start, field.start, block + self.newline)
        return _Splice(line_start, line_start, block + self.newline + gap)

    # --- lines and style

    def line_start(self, offset: int) -> int:
        return offset - self.document.location(offset).column + 1

    def line_end(self, offset: int) -> re.Match[str]:
        """The end of the line of an offset; empty at the end of the text."""
        found = _LINE_END.search(self.text, offset)
        assert found is not None
        return found

    def behind(self, field: Field) -> int | None:
        """The end of the field's line, behind a comment; None if something else stands on the rest of it."""
        at = self.line_end(field.after).start()
        rest = self.text[field.after : at].strip()
        return None if rest and not rest.startswith("#") else at

    def indent_at(self, offset: int) -> str:
        """The white space that begins the line of an offset."""
        line = self.text[self.line_start(offset) : offset].lstrip("\ufeff")
        return line[: len(line) - len(line.lstrip(" \t"))]

    def unit(self) -> str:
        """One level of indentation, as the first field in a block shows it."""
        for field in self.document.root.fields:
            if isinstance(field.value, Message) and field.value.fields:
                child = field.value.fields[0]
                outer, inner = self.indent_at(field.start), self.indent_at(child.start)
                if inner.startswith(outer) and len(inner) > len(outer):
                    return inner[len(outer) :]
        return _DEFAULT_INDENT

    def blank_between_layers(self) -> bool:
        layers = [field for field in self.document.root.fields if field.name in ("layer", "layers")]
        gaps = [self.text[a.after : b.start] for a, b in zip(layers, layers[1:], strict=False)]
        blank = sum(1 for gap in gaps if len(_LINE_END.findall(gap)) > 2)
        return blank * 2 > len(gaps)


_STRINGS = frozenset(
    """lr_policy type name bottom top net train_net test_net snapshot_prefix source mean_file regularization_type
    root_folder module layer_name stage not_stage""".split()  # noqa: SIM905
)
# Integer fields: scaling keeps them whole.
_WHOLE = frozenset(
    """batch_size num_output kernel_size stride pad group display max_iter stepsize stepvalue snapshot test_iter
    test_interval iter_size average_loss crop_size""".split()  # noqa: SIM905
)


def _is_v1(layer: Layer | None) -> bool:
    return layer is not None and layer.version == 1


def _filled(value: str, layer: Layer | None) -> str:
    if layer is None or "{" not in value:
        return value
    names = {"{layer}": layer.name, "{bottom}": "".join(layer.bottoms[:1]), "{top}": "".join(layer.tops[:1])}
    for mark, name in names.items():
        value = value.replace(mark, name)
    return value


def _distinct(fields: list[Field]) -> list[Field]:
    """Elements of one list are one field."""
    return list({field.start: field for field in fields}.values())


def _inline(path: list[str], value: str) -> str:
    text = f"{path[-1]} {value}" if value[:1] in ("{", "<") else f"{path[-1]}: {value}"
    for name in reversed(path[:-1]):
        text = f"{name} {{ {text} }}"
    return text


def _nested(path: list[str], value: str, indent: str, unit: str, newline: str) -> str:
    opening = [f"{indent}{unit * depth}{name} {{" for depth, name in enumerate(path[:-1])]
    closing = [f"{indent}{unit * depth}}}" for depth in reversed(range(len(path) - 1))]
    return newline.join([*opening, indent + unit * (len(path) - 1) + _inline(path[-1:], value), *closing])


def _number(value: float) -> str:
    """A number as people write it: nine digits are enough for a C float and hide the noise of the multiplication."""
    return f"{value:.9g}"
