"""The settings of a training configuration: which key has which value at which line."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

from nandoctor.source import Location, printable

Kind = Literal["darknet", "huggingface", "deepspeed", "other"]
Scalar = str | float | bool | None
Value = Scalar | tuple[Scalar, ...]

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?\.?(?:inf|infinity|nan)\b", re.IGNORECASE)


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


def as_float(text: str) -> float:
    """A number that `NUMBER` matches; YAML writes `.inf` and `.nan`."""
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def plain_scalar(text: str) -> Scalar:
    """A plain YAML scalar. `1e-4` is a number here: trainers convert it where PyYAML alone would leave text."""
    word = text.lower()
    if word in ("true", "yes", "on"):
        return True
    if word in ("false", "no", "off"):
        return False
    if word in ("", "~", "null", "none"):
        return None
    return as_float(text) if NUMBER.fullmatch(text) else text


def _numbers(text: str) -> list[float]:
    """The numbers of a text such as `.1,.1` or `(0.9, 0.98)`; none of a text with other words (`16-mixed`)."""
    bare = text.split("#", maxsplit=1)[0].strip().strip("()[]")
    items = [item.strip() for item in bare.split(",")]
    return [as_float(item) for item in items if NUMBER.fullmatch(item)]


def _written(item: Scalar) -> str:
    if isinstance(item, bool) or item is None:
        return str(item).lower() if item is not None else "null"
    return item if isinstance(item, str) else f"{item:g}"
