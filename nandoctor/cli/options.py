"""The options of the report as one table: read here from a plain line, by click (`commands`) from any other.

Both readers follow this table, and `tests/unit/test_cli_options.py` holds them to the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

COMMANDS = ("explain", "kb", "evaluate", "replay", "watch", "probe")
LANGUAGES = ("en", "zh", "ko")
FORMATS = ("text", "markdown", "json", "html", "sarif")


class Options(msgspec.Struct, frozen=True):
    """What the owner wants of a report or a consultation; the defaults are those of the command line."""

    run_dir: str | None = None
    logs: tuple[str, ...] = ()
    net: str = ""
    solver: str = ""
    answers_file: str | None = None
    answer_list: tuple[str, ...] = ()
    describe: str = ""
    tried_list: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    dialect: str = ""
    form: str = "text"
    output: str | None = None
    patch_file: str | None = None
    apply_now: bool = False
    undone: str | None = None
    details: bool = False
    ascii_only: bool = False
    redacted: bool = False
    interactive: bool = False
    plain: bool = False
    resume: str | None = None
    transcript: str | None = None
    lang: str | None = None
    overlays: tuple[str, ...] = ()


class Option(msgspec.Struct, frozen=True):
    """One option: its names, the field of `Options` it fills, what it takes (nothing: a flag)."""

    names: tuple[str, ...]
    field: str
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    many: bool = False
    show_default: bool = False

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar and not self.choices


LANGUAGE = Option(("--lang",), "lang", "Language; default: the locale's.", choices=LANGUAGES)
KNOWLEDGE = Option(
    ("--knowledge",), "overlays", "A folder of knowledge files laid over the shipped ones.", metavar="DIR", many=True
)
# In the order in which help lists them.
REPORT = (
    Option(("--log",), "logs", "Training log or metrics file; `-` is standard input.", metavar="FILE", many=True),
    Option(("--net",), "net", "Caffe's train_val.prototxt.", metavar="FILE"),
    Option(("--solver",), "solver", "Caffe's solver.prototxt; leads to its net.", metavar="FILE"),
    Option(("--answers",), "answers_file", "YAML file of answers, `observation: state` a line.", metavar="FILE"),
    Option(("--answer",), "answer_list", "One answer.", metavar="ID=STATE", many=True),
    Option(("--describe",), "describe", "What is wrong, in your words (English, Chinese, Korean).", metavar="TEXT"),
    Option(("--tried",), "tried_list", "What you tried, and what came of it.", metavar="REMEDY=helped|no", many=True),
    Option(
        ("--input-shape",), "shapes", "Shape of an input the net file cannot tell.", metavar="BLOB=N,C,H,W", many=True
    ),
    Option(("--dialect",), "dialect", "Read the log as this dialect.", metavar="ID"),
    Option(("--format",), "form", "Form of the report.", choices=FORMATS, show_default=True),
    Option(("--output",), "output", "Write the report there.", metavar="FILE"),
    Option(("--patch",), "patch_file", "Write the first fix's edits as a diff.", metavar="FILE"),
    Option(("--apply",), "apply_now", "Make the first fix's edits, keeping a backup beside each file."),
    Option(("--undo",), "undone", "Take back what --apply did to this file.", metavar="FILE"),
    Option(("--details",), "details", "Every cause, every snippet."),
    Option(("--ascii",), "ascii_only", "No braille and no box characters."),
    Option(("--redact",), "redacted", "Leave out paths, users and hosts."),
    Option(("-i", "--interactive"), "interactive", "Start the consultation with these files."),
    Option(("--plain",), "plain", "The consultation line by line, for pipes, screen readers, dumb terminals."),
    Option(("--resume",), "resume", "Continue the consultation of a transcript.", metavar="FILE"),
    Option(("--transcript",), "transcript", "Where to record the consultation.", metavar="FILE"),
    LANGUAGE,
    KNOWLEDGE,
)


def read(arguments: Sequence[str]) -> Options | None:
    """The options of a plain line; None for what needs more than this table: other commands, help, any mistake."""
    if arguments and arguments[0] in COMMANDS:
        return None
    by_name = {name: option for option in REPORT for name in option.names}
    values: dict[str, Any] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            if not argument or "run_dir" in values:
                return None
            values["run_dir"] = argument
            continue
        name, equals, value = argument.partition("=")
        option = by_name.get(name)
        if option is None or (option.is_flag and equals):
            return None
        if option.is_flag:
            values[option.field] = True
            continue
        if not equals:
            value = next(rest, "")
        if not value or (value != "-" and value.startswith("-")) or (option.choices and value not in option.choices):
            return None
        values[option.field] = (*values.get(option.field, ()), value) if option.many else value
    return Options(**values)
