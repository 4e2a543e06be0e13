"""Training configurations that are no Caffe files: Darknet's cfg, JSON and YAML dumps of training arguments.

Facts only: which setting has which value at which line. What they mean is said by `detectors.configs` and
`detectors.darknet`. JSON and YAML are read token by token, so every setting keeps its place, nothing is constructed,
and hostile nesting ends in a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from nandoctor.errors import TextFormatError, UnreadableError, reason
from nandoctor.readers.lines import encoding
from nandoctor.readers.sniff import HEAD, ConfigForm, config_form
from nandoctor.remark import Remark
from nandoctor.source import LineIndex, Location, printable

if TYPE_CHECKING:
    from _typeshed import StrPath

Kind = Literal["darknet", "huggingface", "deepspeed", "other"]
Scalar = str | float | bool | None
Value = Scalar | tuple[Scalar, ...]

MAX_CONFIG = 4 << 20  # bytes; the largest published configurations (whole model trees as YAML) stay below 1 MB
MAX_DEPTH = 64
MAX_SETTINGS = 50_000
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?\.?(?:inf|infinity|nan)\b", re.IGNORECASE)


class Setting(NamedTuple):
    """One key and its value. `name`: the path in lower case, dotted (`fp16.enabled`); lines and columns from 1."""

    name: str
    value: Value
    line: int
    column: int = 0

    @property
    def number(self) -> float | None:
        """The value as a number; the first one of a list or of a text like `(0.9, 0.98)`; None if there is none."""
        return next(iter(self.numbers), None)

    @property
    def numbers(self) -> tuple[float, ...]:
        """All numbers of the value, in order; switches are none."""
        items = self.value if isinstance(self.value, tuple) else (self.value,)
        found: list[float] = []
        for item in items:
            if isinstance(item, str):
                found += _numbers(item)
            elif item is not None and not isinstance(item, bool):
                found.append(item)
        return tuple(found)

    @property
    def text(self) -> str:
        """The value as one would write it, safe to show."""
        items = self.value if isinstance(self.value, tuple) else (self.value,)
        return printable(", ".join(_written(item) for item in items))[:80]

    @property
    def on(self) -> bool | None:
        """Whether a switch is on; None where the value is no switch (`auto`)."""
        if isinstance(self.value, bool) or self.value is None:
            return bool(self.value)
        if isinstance(self.value, str):
            word = self.value.strip().lower()
            return True if word in ("true", "yes", "on", "1") else False if word in _OFF else None
        return bool(self.value) if isinstance(self.value, float | int) else None


_OFF = ("false", "no", "off", "0", "none", "null", "")


class Section(msgspec.Struct, frozen=True):
    """A section of a Darknet cfg. Of an option given twice the first counts, as Darknet reads it."""

    name: str
    line: int
    options: dict[str, Setting] = {}

    def number(self, name: str, default: float) -> float:
        """The leading number of an option, as C's atof takes it."""
        held = self.options.get(name)
        value = held.number if held is not None else None
        return default if value is None else value

    def whole(self, name: str, default: int) -> int:
        """The leading whole number of an option."""
        value = self.number(name, default)
        return int(value) if abs(value) < 1e12 else default


class TrainingConfig(msgspec.Struct, frozen=True):
    """One configuration. `settings`: by name; for Darknet those of [net]. `notes`: English, for stderr."""

    kind: Kind
    file: str
    settings: dict[str, Setting] = {}
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()

    def find(self, *names: str) -> Setting | None:
        """The setting of the first of these names that is there: the name itself, else the shallowest path ending so.

        A name may be a path (`optimizer.type`). Lists of tables (several parameter groups) count like one.
        """
        for name in names:
            if name in self.settings:
                return self.settings[name]
            tail = "." + name
            held = [s for key, s in self.settings.items() if key.endswith(tail)]
            if held:
                return min(held, key=lambda s: (s.name.count("."), s.line, s.column))
        return None

    def where(self, setting: Setting) -> Location:
        """The place of a setting."""
        return Location(self.file, setting.line, setting.column)


def read_config(path: StrPath) -> TrainingConfig:
    """A configuration file, whatever of the three forms it has.

    Raises:
        UnreadableError: missing, binary, empty, too large, or no configuration.
        TextFormatError: a syntax error, with file:line:column.
    """
    text = _text_of(path)
    form = config_form(text[:HEAD].encode("utf-8", "replace"), str(path))
    if not form:
        raise UnreadableError(Remark("{file} is not a training configuration that nandoctor knows", file=path))
    return config_of_text(text, str(path), form)


def config_of_text(text: str, file: str, form: ConfigForm) -> TrainingConfig:
    """A configuration from its text; `file` names it in messages.

    Raises:
        TextFormatError: a syntax error, with file:line:column; nested too deeply or too many settings.
    """
    if form == "darknet":
        return _darknet(text, file)
    notes: list[str] = []
    settings: dict[str, Setting] = {}
    for item, in_list in _gathered(_json(text, file) if form == "json" else _yaml(text, file), file):
        if item.name not in settings:
            settings[item.name] = item
        elif not in_list:
            place = Location(file, item.line, item.column)
            notes.append(Remark("{place}: `{name}` is given again; the last one counts", place=place, name=item.name))
            settings[item.name] = item
    return TrainingConfig(_kind(settings), file, settings, notes=tuple(notes[:5]))


def _text_of(path: StrPath) -> str:
    try:
        if Path(path).stat().st_size > MAX_CONFIG:
            size = MAX_CONFIG >> 20
            raise UnreadableError(
                Remark("{file}: more than {size} MB is too large for a training configuration", file=path, size=size)
            )
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise UnreadableError(Remark("{file}: no such file", file=path)) from None
    except OSError as exc:
        raise UnreadableError(Remark("{file} cannot be read: {reason}", file=path, reason=reason(exc))) from None
    code, mark = encoding(data)
    if not data.strip():
        raise UnreadableError(Remark("{file} is empty", file=path))
    if b"\0" in data and not code.startswith("utf-"):
        raise UnreadableError(Remark("{file} is binary, not a training configuration", file=path))
    return data[mark:].decode(code or "utf-8", "replace")


def _kind(settings: dict[str, Setting]) -> Kind:
    names = {name.rpartition(".")[2] for name in settings} | {name.split(".")[0] for name in settings}
    if names & {"train_micro_batch_size_per_gpu", "zero_optimization"} and "per_device_train_batch_size" not in names:
        return "deepspeed"
    if names & _HUGGING_FACE:
        return "huggingface"
    return "other"


_HUGGING_FACE = {
    "per_device_train_batch_size", "lr_scheduler_type", "adam_epsilon", "transformers_version", "peft_type",
    "base_model", "model_name_or_path", "pretrained_model_name_or_path", "finetuning_type", "distributed_type",
}  # fmt: skip


# --- Darknet


def _darknet(text: str, file: str) -> TrainingConfig:
    """As parser.c reads it: `[name]`, `key=value`, lines that begin with # or ; are comments, blanks mean nothing."""
    sections: list[Section] = []
    notes: list[str] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        bare = "".join(line.split())
        if not bare or bare[0] in "#;":
            continue
        if bare[0] == "[":
            if len(sections) >= MAX_SETTINGS:
                raise TextFormatError(Remark("too many sections"), Location(file, number, 1))
            sections.append(Section(bare.strip("[]").lower(), number, {}))
            continue
        key, equals, value = bare.partition("=")
        column = len(line) - len(line.lstrip()) + 1
        if not equals or not sections:
            odd = (
                "{place}: `{line}` is not `key=value`; Darknet skips or refuses it"
                if sections
                else "{place}: `{line}` stands before the first section; Darknet skips or refuses it"
            )
            notes.append(Remark(odd, place=Location(file, number, column), line=bare[:40]))
        elif key in sections[-1].options:
            first = sections[-1].options[key].line
            place = Location(file, number, column)
            notes.append(
                Remark("{place}: `{name}` is given again; line {line} counts", place=place, name=key[:40], line=first)
            )
        else:
            sections[-1].options[key] = Setting(key, value, number, column)
    nets = [section for section in sections if section.name in ("net", "network")]
    if not nets or sections[0] is not nets[0]:
        notes.append(Remark("{file}: Darknet wants [net] as the first section", file=file))
    notes += [
        Remark("{place}: a second [net]; line {line} counts", place=Location(file, net.line), line=nets[0].line)
        for net in nets[1:2]
    ]
    return TrainingConfig("darknet", file, nets[0].options if nets else {}, tuple(sections), tuple(notes[:5]))


# --- JSON and YAML: a stream of tokens, and what is made of it


class _Token(NamedTuple):
    """`open` or `close` a table or list; `key`; `value`; `unknown`: a value that stands elsewhere (a YAML alias)."""

    what: Literal["open", "close", "key", "value", "unknown"]
    value: Value
    line: int
    column: int


class _Level(NamedTuple):
    """An open table or list: its own key, and for a list of scalars what it holds so far."""

    key: tuple[str, int, int]
    items: list[Scalar] | None
    in_list: bool


def _gathered(tokens: Iterator[_Token], file: str) -> Iterator[tuple[Setting, bool]]:
    """Tokens to settings, each with whether it stands inside a list (of parameter groups, say).

    A list of scalars is one value; a list of tables adds to the name of the list.
    """
    levels: list[_Level] = []
    key: tuple[str, int, int] = ("", 1, 1)
    count = 0
    for token in tokens:
        place = Location(file, token.line, token.column)
        inside = levels[-1].items if levels else None
        value = token.value
        if token.what == "key":
            key = (str(value).strip().lower(), token.line, token.column)
            continue
        if token.what == "open":
            listed = inside is not None or bool(levels and levels[-1].in_list)
            levels.append(_Level(key, [] if value == "[" else None, listed))
            if len(levels) > MAX_DEPTH:
                raise TextFormatError(Remark("nested more than {depth} deep", depth=MAX_DEPTH), place)
            key = ("", token.line, token.column)
            continue
        if token.what == "close":
            level = levels.pop()
            key = level.key
            if not level.items:
                continue
            value = tuple(level.items)
        elif inside is not None:
            if token.what == "value" and not isinstance(value, tuple):
                inside.append(value)
            continue
        elif token.what == "unknown":
            continue
        count += 1
        if count > MAX_SETTINGS:
            raise TextFormatError(Remark("too many settings for a configuration"), place)
        name = _name([level.key[0] for level in levels] + [key[0]])
        in_list = bool(levels and (levels[-1].in_list or levels[-1].items is not None))
        yield Setting(name, value, key[1], key[2]), in_list


def _name(parts: list[str]) -> str:
    """The dotted path without what wrappers add: Lightning's `init_args`, the `value` of Weights & Biases."""
    kept = [part for part in parts if part and part != "init_args"]
    if len(kept) > 1 and kept[-1] == "value":
        kept.pop()
    return ".".join(kept)


# Comments are no JSON, but DeepSpeed reads its file with hjson, which takes them.
_JSON = re.compile(
    r"(?:[ \t\r\n]++|//[^\r\n]*+|\#[^\r\n]*+)*+(?:(?P<mark>[{}\[\],:])"
    r'|"(?P<string>[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+)"'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|-?Infinity|NaN)(?![\w.])|(?P<word>true|false|null)(?!\w)|(?P<end>\Z))"
)
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_BLANK = re.compile(r"(?:[ \t\r\n]++|//[^\r\n]*+|#[^\r\n]*+)*+")


def _json(text: str, file: str) -> Iterator[_Token]:
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
                yield _Token("open", token, *place)
                wanted = "a key or }" if token == "{" else "a value or ]"
            elif token in "}]" and _may_close(token, open_, wanted):
                open_.pop()
                yield _Token("close", None, *place)
                wanted = "a comma or the closing bracket" if open_ else "the end"
            elif token == "," and wanted == "a comma or the closing bracket":
                wanted = "a key" if open_[-1] == "{" else "a value"
            elif token == ":" and wanted == "a colon":
                wanted = "a value"
            else:
                raise _wrong(file, place, _not_found(wanted, token))
        elif found == "string" and wanted in ("a key", "a key or }"):
            yield _Token("key", _unquoted(token), *place)
            wanted = "a colon"
        elif wanted in ("a value", "a value or ]") and (open_ or found == "string"):
            value: Scalar = (
                _unquoted(token) if found == "string" else _WORDS[token] if found == "word" else float(token)
            )
            yield _Token("value", value, *place)
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


def _yaml(text: str, file: str) -> Iterator[_Token]:
    """Events, not nodes: no tag is built, no alias unfolds, and depth is counted before anything recurses."""
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
                yield _Token("open", "{" if table else "[", *place)
            elif isinstance(event, yaml.CollectionEndEvent):
                keys.pop()
                yield _Token("close", None, *place)
            elif isinstance(event, yaml.ScalarEvent):
                plain = not event.style and not is_key
                yield _Token("key" if is_key else "value", _plain(event.value) if plain else event.value, *place)
            elif isinstance(event, yaml.AliasEvent):
                yield _Token("key" if is_key else "unknown", "" if is_key else None, *place)
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


def _plain(text: str) -> Scalar:
    """A plain YAML scalar. `1e-4` is a number here: trainers convert it where PyYAML alone would leave text."""
    word = text.lower()
    if word in ("true", "yes", "on"):
        return True
    if word in ("false", "no", "off"):
        return False
    if word in ("", "~", "null", "none"):
        return None
    return _float(text) if _NUMBER.fullmatch(text) else text


def _numbers(text: str) -> list[float]:
    """The numbers of a text such as `.1,.1` or `(0.9, 0.98)`; none of a text with other words (`16-mixed`)."""
    bare = text.split("#", maxsplit=1)[0].strip().strip("()[]")
    items = [item.strip() for item in bare.split(",")]
    return [_float(item) for item in items if _NUMBER.fullmatch(item)]


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _written(item: Scalar) -> str:
    if isinstance(item, bool) or item is None:
        return str(item).lower() if item is not None else "null"
    return item if isinstance(item, str) else f"{item:g}"
