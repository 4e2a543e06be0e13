"""JSON and YAML as one stream of tokens, each with its place. Nothing is constructed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from nandoctor.errors import TextFormatError
from nandoctor.readers.settings import Scalar, Value, plain_scalar
from nandoctor.remark import Remark
from nandoctor.source import LineIndex, Location


class Token(NamedTuple):
    """`open` or `close` a table or list; `key`; `value`; `unknown`: a value that stands elsewhere (a YAML alias)."""

    what: Literal["open", "close", "key", "value", "unknown"]
    value: Value
    line: int
    column: int


# Comments are no JSON, but DeepSpeed reads its file with hjson, which takes them.
_JSON = re.compile(
    r"(?:[ \t\r\n]++|//[^\r\n]*+|\#[^\r\n]*+)*+(?:(?P<mark>[{}\[\],:])"
    r'|"(?P<string>[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+)"'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|-?Infinity|NaN)(?![\w.])|(?P<word>true|false|null)(?!\w)|(?P<end>\Z))"
)
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_BLANK = re.compile(r"(?:[ \t\r\n]++|//[^\r\n]*+|#[^\r\n]*+)*+")


def json_tokens(text: str, file: str) -> Iterator[Token]:
    """The tokens of a JSON text; comments are skipped.

    Raises:
        TextFormatError: a syntax error, with file:line:column.
    """
    index = LineIndex(text)
    at, wanted = 0, "a value"
    open_: list[str] = []
    while True:
        match = _JSON.match(text, at)
        place = index.line_column(match.start(match.lastgroup or 0) if match else _skipped(text, at))
        found = match.lastgroup if match else None
        if found == "string":
            place = (place[0], place[1] - 1)  # of the quote
        if match is None or found is None:
            raise _wrong(file, place, Remark("expected {what}", what=Remark.of(wanted)))
        token = match[found]
        at = match.end()
        if found == "end":
            if wanted != "the end":
                raise _wrong(file, place, Remark("expected {what}, but the file ends", what=Remark.of(wanted)))
            return
        if wanted == "the end":
            raise _wrong(file, place, Remark("something follows the closing brace"))
        if found == "mark":
            if token in "{[" and wanted in ("a value", "a value or ]"):
                open_.append(token)
                yield Token("open", token, *place)
                wanted = "a key or }" if token == "{" else "a value or ]"
            elif token in "}]" and _may_close(token, open_, wanted):
                open_.pop()
                yield Token("close", None, *place)
                wanted = "a comma or the closing bracket" if open_ else "the end"
            elif token == "," and wanted == "a comma or the closing bracket":
                wanted = "a key" if open_[-1] == "{" else "a value"
            elif token == ":" and wanted == "a colon":
                wanted = "a value"
            else:
                raise _wrong(file, place, _not_found(wanted, token))
        elif found == "string" and wanted in ("a key", "a key or }"):
            yield Token("key", _unquoted(token), *place)
            wanted = "a colon"
        elif wanted in ("a value", "a value or ]") and (open_ or found == "string"):
            value: Scalar = (
                _unquoted(token) if found == "string" else _WORDS[token] if found == "word" else float(token)
            )
            yield Token("value", value, *place)
            wanted = "a comma or the closing bracket" if open_ else "the end"
        else:
            raise _wrong(file, place, _not_found(wanted, token[:20]))


def _skipped(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _may_close(token: str, open_: list[str], wanted: str) -> bool:
    fits = bool(open_) and open_[-1] + token in ("{}", "[]")
    return fits and wanted in ("a comma or the closing bracket", "a key or }", "a value or ]")


def _not_found(wanted: str, token: str) -> Remark:
    return Remark("expected {what}, found {found}", what=Remark.of(wanted), found=f"`{token}`")


def _wrong(file: str, place: tuple[int, int], problem: Remark) -> TextFormatError:
    return TextFormatError(Remark("not valid JSON: {problem}", problem=problem), Location(file, *place))


def _unquoted(token: str) -> str:
    if "\\" not in token:
        return token
    try:
        return msgspec.json.decode(f'"{token}"', type=str)
    except msgspec.MsgspecError:
        return token


def yaml_tokens(text: str, file: str) -> Iterator[Token]:
    """The tokens of the first document of a YAML text.

    Events, not nodes: no tag is built, no alias unfolds, and depth is counted before anything recurses.

    Raises:
        TextFormatError: a syntax error, with file:line:column.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    keys: list[bool | None] = []  # for each open table whether a key comes next; None for a list
    try:
        for event in yaml.parse(text, Loader=loader):
            mark: Any = event.start_mark
            place = (mark.line + 1, mark.column + 1)
            is_key = bool(keys and keys[-1])
            if keys and keys[-1] is not None and not isinstance(event, yaml.CollectionEndEvent):
                keys[-1] = not keys[-1]
            if isinstance(event, yaml.CollectionStartEvent):
                if is_key:
                    raise TextFormatError(Remark("a key must be plain text"), Location(file, *place))
                table = isinstance(event, yaml.MappingStartEvent)
                keys.append(True if table else None)
                yield Token("open", "{" if table else "[", *place)
            elif isinstance(event, yaml.CollectionEndEvent):
                keys.pop()
                yield Token("close", None, *place)
            elif isinstance(event, yaml.ScalarEvent):
                plain = not event.style and not is_key
                yield Token("key" if is_key else "value", plain_scalar(event.value) if plain else event.value, *place)
            elif isinstance(event, yaml.AliasEvent):
                yield Token("key" if is_key else "unknown", "" if is_key else None, *place)
            elif isinstance(event, yaml.DocumentEndEvent):
                return
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = exc.problem or exc.context
        raise TextFormatError(Remark("not valid YAML: {problem}", problem=problem), Location(file, *place)) from None
    except yaml.YAMLError as exc:
        problem = " ".join(str(exc).split())
        raise TextFormatError(Remark("not valid YAML: {problem}", problem=problem), Location(file, 1, 1)) from None
