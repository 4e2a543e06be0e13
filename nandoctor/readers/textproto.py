"""Protobuf text format without a schema: every field with its place, every byte of the text kept.

The published format (protobuf.dev, "Text Format Language Specification") and what real Caffe files hold: `{}` and `<>`,
optional colon before a message, lists, optional `,` and `;`, adjacent strings, `#` comments, hexadecimal and octal
numbers, a trailing `f`, inf and nan, `[extension.names]`. Like Netron it knows no field names: unknown fields are kept
and enum names stay text. The tree only points into the text, so printing it gives back the same bytes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nandoctor.errors import TextFormatError
from nandoctor.readers.literals import NONFINITE, Enum, joined, number_value, unescaped, word_value
from nandoctor.readers.prototree import Document, Field, Message, Value
from nandoctor.remark import Remark
from nandoctor.source import Location, printable, snippet

# protobuf's own limit of nesting; a Caffe net needs 4, an unrolled one no more.
MAX_DEPTH = 100
# The largest nets (ResNet-1001) have about 50,000 fields. More are weights written as text; bounds time and memory.
MAX_FIELDS = 500_000

__all__ = ["MAX_DEPTH", "MAX_FIELDS", "Document", "Enum", "Field", "Message", "Value", "parse"]


# White space and comments. Python's \s also takes the no-break spaces of pasted text; \ufeff is a byte order mark.
_SKIP = r"[\s\ufeff]*+(?:\#[^\r\n]*+[\s\ufeff]*+)*+"
_QUOTED = r"""(?:"[^"\\\r\n]*+(?:\\.[^"\\\r\n]*+)*+"|'[^'\\\r\n]*+(?:\\.[^'\\\r\n]*+)*+')"""
_NUMBER = r"(?:0[xX][0-9a-fA-F]++|(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)[fFuUlL]?(?![\w.])"
# The beginning of a field, or the end of a message: 1 name, 2 extension name, 3 colon (may be empty);
# 4 closing bracket, 5 its separator; 6 end of the text.
_HEAD = re.compile(
    rf"{_SKIP}(?:(?:([A-Za-z_][A-Za-z0-9_]*+)|(\[[\w\s./%-]*+\])){_SKIP}(:?){_SKIP}|([}}>])(?:{_SKIP}([,;]))?|(\Z))"
)
# A value: 1 opening bracket, 2 word, 3 number, 4 string, 5 list, 6 minus with a word, or apart from its number;
# 7 the separator behind it.
_VALUE = re.compile(
    rf"([{{<])|(?:([A-Za-z_][A-Za-z0-9_]*+)|(-?{_NUMBER})|({_QUOTED})|(\[)|(-{_SKIP}(?:[A-Za-z_][A-Za-z0-9_]*+|{_NUMBER})))"
    rf"(?:{_SKIP}([,;]))?"
)
_OPEN, _WORD, _PLAIN, _STRING, _LIST, _SIGNED, _SEPARATED = range(1, 8)
_MORE_STRING = re.compile(rf"{_SKIP}({_QUOTED})")
_SEPARATOR = re.compile(rf"{_SKIP}([,;])")
_LIST_END = re.compile(rf"{_SKIP}\]")
_LIST_NEXT = re.compile(rf"{_SKIP}([,\]])")
_SPACE = re.compile(_SKIP)
_CLOSED_STRING = re.compile(_QUOTED)
_LUMP = re.compile(r"[\w.+-]+")
_CLOSER = {"{": "}", "<": ">"}
# From a Chinese or Korean keyboard, or out of a document; Caffe refuses them.
_LOOKALIKES = {"：": ":", "｛": "{", "｝": "}", "，": ",", "；": ";", "＃": "#"} | dict.fromkeys("“”„‘’＂＇", '"')


def parse(text: str, file: str = "<text>", first_line: int = 1, partial: bool = False) -> Document:
    """Reads a text in protobuf text format.

    Args:
        text: the decoded text.
        file: the name to show in locations.
        first_line: 1-based line of the text's first line in `file` (a dump inside a log).
        partial: at the first error, close what is open and return the tree so far, with the error in `Document.error`.
            For dumps that glog has cut at 30,000 characters.

    Raises:
        TextFormatError: with location and caret; also for more than MAX_DEPTH levels or MAX_FIELDS fields.
    """
    document = Document(text, file, Message([], 0, len(text)), first_line)
    reader = _Reader(document)
    try:
        reader.read()
    except TextFormatError as error:
        if not partial:
            raise
        reader.abandon()
        document.error = error
    return document


class _Open(NamedTuple):
    """A message being read: its own field, what closes it, and for a list element where the list's fields begin."""

    message: Message
    field: Field | None
    closer: str
    list_from: int = -1


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.stack = [_Open(document.root, None, "")]
        self.left = MAX_FIELDS

    def read(self) -> None:
        text, stack = self.text, self.stack
        head_match, value_match = _HEAD.match, _VALUE.match
        fields = stack[0].message.fields
        pos = 0
        while True:
            head = head_match(text, pos)
            if head is None:
                raise self.no_field(pos)
            name, extension, colon, closer, _, _ = head.groups()
            pos = head.end()
            if closer:
                pos = self.close(head)
                fields = stack[-1].message.fields
                continue
            if name:
                at = head.start(1)
            elif extension:
                at = head.start(2)
                name = "".join(extension.split())
            elif len(stack) > 1:
                raise self.unclosed()
            else:
                return
            value = value_match(text, pos)
            self.left -= 1
            if value is None or self.left < 0:
                raise self.no_value(at, pos, name, colon)
            if value.lastindex == _OPEN:
                pos = self.open(name, at, pos)
                fields = stack[-1].message.fields
            elif value[_LIST]:
                pos = self.read_list(name, at, value.end(_LIST))
                fields = stack[-1].message.fields
            elif colon:
                read, end, after = self.scalar(value)
                fields.append(Field(name, read, at, pos, end, end, after))
                pos = after
            else:
                raise self.no_value(at, pos, name, colon)

    def open(self, name: str, at: int, pos: int, list_from: int = -1) -> int:
        """Begins a message at its bracket; returns the offset behind it."""
        if len(self.stack) > MAX_DEPTH:
            raise self.error(Remark("messages nested deeper than {depth} levels", depth=MAX_DEPTH), pos)
        message = Message([], pos + 1, -1)
        field = Field(name, message, at, pos, -1, -1, -1)
        self.stack[-1].message.fields.append(field)
        self.stack.append(_Open(message, field, _CLOSER[self.text[pos]], list_from))
        return pos + 1

    def close(self, head: re.Match[str]) -> int:
        """Ends the innermost message at a matched bracket; returns where to go on."""
        message, field, closer, list_from = self.stack[-1]
        at = head.start(4)
        if head[4] != closer or field is None:
            raise self.wrong_bracket(at, head[4], field)
        self.stack.pop()
        message.end = at
        field.value_end = field.end = at + 1
        field.after = head.end()
        if list_from < 0:
            return head.end()
        pos, more = self.after_element(at + 1, list_from)
        return self.elements(field.name, field.start, pos, list_from) if more else pos

    def abandon(self) -> None:
        """Ends every open message at the end of the text."""
        for message, field, _, _ in self.stack[1:]:
            message.end = len(self.text)
            if field is not None:
                field.value_end = field.end = field.after = message.end

    def read_list(self, name: str, at: int, pos: int) -> int:
        """Reads `[...]` from behind its bracket, up to the first message in it, or to its end."""
        empty = _LIST_END.match(self.text, pos)
        if empty is not None:
            separator = _SEPARATOR.match(self.text, empty.end())
            return (separator or empty).end()
        return self.elements(name, at, pos, len(self.stack[-1].message.fields))

    def elements(self, name: str, at: int, pos: int, list_from: int) -> int:
        """Reads the elements of a list from `pos`, up to the first message among them, or to its end."""
        fields = self.stack[-1].message.fields
        while True:
            pos = self.skip(pos)
            value = _VALUE.match(self.text, pos)
            self.left -= 1
            if value is None or value[_LIST] or self.left < 0:
                raise self.no_value(at, pos, name, ":")
            if value.lastindex == _OPEN:
                return self.open(name, at, pos, list_from)
            read, end, _ = self.scalar(value)
            fields.append(Field(name, read, at, pos, end, end, end))
            pos, more = self.after_element(end, list_from)
            if not more:
                return pos

    def after_element(self, pos: int, list_from: int) -> tuple[int, bool]:
        """Where to go on behind an element of a list, and whether another one follows."""
        following = _LIST_NEXT.match(self.text, pos)
        if following is None:
            raise self.expected(Remark("',' or ']' in the list"), pos)
        pos = following.end()
        if following[1] == ",":
            return pos, True
        separator = _SEPARATOR.match(self.text, pos)
        after = separator.end() if separator else pos
        for field in self.stack[-1].message.fields[list_from:]:
            field.end, field.after = pos, after
        return after, False

    def scalar(self, value: re.Match[str]) -> tuple[Value, int, int]:
        """The value of a match, where it ends, and where its separator ends."""
        _, word, number, string, _, signed, _ = value.groups()
        if word:
            read: Value = word_value(word)
            return read, value.end(_WORD), value.end()
        if number:
            return self.number(number, value.start(_PLAIN)), value.end(_PLAIN), value.end()
        if signed:
            rest = signed[self.skip_in(signed) :]
            at = value.start(_SIGNED)
            if rest.lower() in NONFINITE:
                return -NONFINITE[rest.lower()], value.end(_SIGNED), value.end()
            if not (rest[0].isdigit() or rest[0] == "."):
                raise self.expected(Remark("a number after '-'"), at + len(signed) - len(rest))
            return self.number("-" + rest, at), value.end(_SIGNED), value.end()
        end, after = value.end(_STRING), value.end()
        body = string[1:-1]
        if after == end:
            more = _MORE_STRING.match(self.text, end)
            if more is not None:
                bodies = [body]
                while more is not None:
                    bodies.append(more[1][1:-1])
                    end = more.end()
                    more = _MORE_STRING.match(self.text, end)
                body = joined(bodies)
                separator = _SEPARATOR.match(self.text, end)
                after = separator.end() if separator else end
        return unescaped(body), end, after

    def number(self, lump: str, at: int) -> int | float:
        read = number_value(lump)
        if read is None:
            raise self.error(Remark("'{number}' is not a number: a leading 0 means octal", number=lump[:40]), at)
        return read

    def skip(self, pos: int) -> int:
        match = _SPACE.match(self.text, pos)
        return match.end() if match else pos

    @staticmethod
    def skip_in(signed: str) -> int:
        match = _SPACE.match(signed, 1)
        return match.end() if match else 1

    # --- errors: what was expected, what stands there, and the caret

    def error(self, message: Remark, at: int) -> TextFormatError:
        text = self.text
        location = self.place(at)
        line_start = at - location.column + 1
        line_end = next((i for i in range(at, min(at + 200, len(text))) if text[i] in "\r\n"), at + 200)
        shown_from = max(line_start, at - 200)
        return TextFormatError(message, location, snippet(text[shown_from:line_end], at - shown_from + 1))

    def place(self, at: int) -> Location:
        """Like Document.location, but counted: the index of a hostile text's lines would be larger than the text."""
        text = self.text
        line_start = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
        line = text.count("\n", 0, at) + text.count("\r", 0, at) - text.count("\r\n", 0, at)
        return Location(self.document.file, line + self.document.first_line, at - line_start + 1)

    def expected(self, what: Remark, pos: int) -> TextFormatError:
        pos = self.skip(pos)
        char = self.text[pos : pos + 1]
        if not char:
            return self.error(Remark("expected {what}, but the file ends", what=what), pos)
        lump = _LUMP.match(self.text, pos) or _CLOSED_STRING.match(self.text, pos)
        if char in "\"'" and lump is None:
            return self.error(Remark("the string is not closed on its line"), pos)
        shown = lump[0][:40] if lump else printable(char)
        if char in _LOOKALIKES:
            plain = _LOOKALIKES[char]
            found = Remark(
                "expected {what}, found {found} (Caffe needs the plain {plain})", what=what, found=shown, plain=plain
            )
            return self.error(found, pos)
        return self.error(Remark("expected {what}, found {found}", what=what, found=shown), pos)

    def no_field(self, pos: int) -> TextFormatError:
        return self.expected(Remark("a field name or '}}'") if len(self.stack) > 1 else Remark("a field name"), pos)

    def no_value(self, at: int, pos: int, name: str, colon: str) -> TextFormatError:
        if self.left < 0:
            many = Remark("more than {count} fields; weights written as text are not read", count=f"{MAX_FIELDS:,}")
            return self.error(many, at)
        if not colon:
            return self.expected(Remark("':' or '{{' after {name}", name=name[:40]), pos)
        return self.expected(Remark("a value for {name}", name=name[:40]), pos)

    def unclosed(self) -> TextFormatError:
        message, field, closer, _ = self.stack[-1]
        name = field.name[:40] if field is not None else ""
        opened = Remark("{name} is opened here and never closed with {closer}", name=name, closer=closer)
        return self.error(opened, message.start - 1)

    def wrong_bracket(self, at: int, bracket: str, field: Field | None) -> TextFormatError:
        if field is None:
            return self.error(Remark("{bracket} closes nothing", bracket=bracket), at)
        other = Remark(
            "{bracket} does not close the {opened} of {name} in line {line}",
            bracket=bracket,
            opened=self.text[field.value_start],
            name=field.name[:40],
            line=self.place(field.value_start).line,
        )
        return self.error(other, at)
