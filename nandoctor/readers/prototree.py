"""The tree of a text in protobuf text format. It only points into the text, so printing it gives the same bytes."""

from __future__ import annotations

from functools import cached_property
from typing import TypeVar, overload

import msgspec

from nandoctor.errors import TextFormatError
from nandoctor.readers.literals import Enum
from nandoctor.source import LineIndex, Location

# `gc=False` below: a tree has no cycles, and the collector would walk over every field again and again.
_T = TypeVar("_T")


class Message(msgspec.Struct, eq=False, gc=False):
    """The fields between two braces (or the whole file). `start` and `end` are the offsets of the text between them."""

    fields: list[Field]
    start: int
    end: int

    def field(self, path: str) -> Field | None:
        """The first field at a dotted path; only first matches are followed on the way. A shorter path is faster."""
        head, _, rest = path.partition(".")
        for field in self.fields:
            if field.name == head:
                if not rest:
                    return field
                if isinstance(field.value, Message):
                    found = field.value.field(rest)
                    if found is not None:
                        return found
        return None

    @overload
    def get(self, path: str) -> Value | None: ...
    @overload
    def get(self, path: str, default: _T) -> Value | _T: ...
    def get(self, path: str, default: object = None) -> object:
        """The value of the first field at a dotted path, `default` if there is none."""
        found = self.field(path)
        return default if found is None else found.value

    def all(self, path: str) -> list[Value]:
        """The values of every field at a dotted path, in file order."""
        return [field.value for field in self.every(path)]

    def every(self, path: str) -> list[Field]:
        """Every field at a dotted path, in file order; all matches are followed on the way."""
        head, _, rest = path.partition(".")
        if not rest:
            return [field for field in self.fields if field.name == head]
        found: list[Field] = []
        for field in self.fields:
            if field.name == head and isinstance(field.value, Message):
                found += field.value.every(rest)
        return found


class Field(msgspec.Struct, eq=False, gc=False):
    """A field and its place. All offsets are 0-based characters of the text.

    start: of the name. value_start, value_end: of the value (of one element, if it stands in a list).
    end: behind the whole field, list bracket included, separator not. after: behind its `,` or `;`, else equal to end.
    """

    name: str
    value: Value
    start: int
    value_start: int
    value_end: int
    end: int
    after: int

    @property
    def in_list(self) -> bool:
        """Whether the value is an element of a `[...]` list."""
        return self.end != self.value_end


Value = Message | str | Enum | int | float | bool


class Document(msgspec.Struct, eq=False, dict=True):
    """A text and its tree. `error`: what stopped a `partial` reading; the tree holds what came before it."""

    text: str
    file: str
    root: Message
    first_line: int = 1
    error: TextFormatError | None = None

    @cached_property
    def _lines(self) -> LineIndex:
        return LineIndex(self.text)

    def location(self, offset: int) -> Location:
        """File, line and column of an offset; the line counts from `first_line`."""
        line, column = self._lines.line_column(offset)
        return Location(self.file, line + self.first_line - 1, column)

    def source(self) -> str:
        """The text, rebuilt from the tree and what lies between its fields: byte for byte what was read."""
        parts: list[str] = []
        _write(self.text, self.root, 0, len(self.text), parts)
        return "".join(parts)


def _write(text: str, message: Message, start: int, end: int, parts: list[str]) -> None:
    at = start
    for field in message.fields:
        if isinstance(field.value, Message):
            parts.append(text[at : field.value_start])
            _write(text, field.value, field.value_start, field.value_end, parts)
            at = field.value_end
        else:
            parts.append(text[at : field.value_start])
            parts.append(text[field.value_start : field.value_end])
            at = field.value_end
    parts.append(text[at:end])
