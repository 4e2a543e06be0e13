"""Training configurations that are no Caffe files: Darknet's cfg, JSON and YAML dumps of training arguments.

Facts only: which setting has which value at which line. What they mean is said by `detectors.configs` and
`detectors.darknet`. JSON and YAML are read token by token, so every setting keeps its place, nothing is constructed,
and hostile nesting ends in a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nandoctor.errors import TextFormatError, UnreadableError, reason
from nandoctor.readers.config_tokens import Token, json_tokens, yaml_tokens
from nandoctor.readers.lines import encoding
from nandoctor.readers.settings import Kind, Scalar, Section, Setting, TrainingConfig
from nandoctor.readers.sniff import HEAD, ConfigForm, config_form
from nandoctor.remark import Remark
from nandoctor.source import Location

if TYPE_CHECKING:
    from _typeshed import StrPath

MAX_CONFIG = 4 << 20  # bytes; the largest published configurations (whole model trees as YAML) stay below 1 MB
MAX_DEPTH = 64
MAX_SETTINGS = 50_000


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
    for item, in_list in _gathered(json_tokens(text, file) if form == "json" else yaml_tokens(text, file), file):
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


# --- JSON and YAML


class _Level(NamedTuple):
    """An open table or list: its own key, and for a list of scalars what it holds so far."""

    key: tuple[str, int, int]
    items: list[Scalar] | None
    in_list: bool


def _gathered(tokens: Iterator[Token], file: str) -> Iterator[tuple[Setting, bool]]:
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
