"""Compiled dialects: which pattern a line belongs to, and what its numbers mean.

Patterns come from `knowledge/dialects/*.yaml`. A pattern is compiled when its literal is met for the first time, so a
log of one program does not pay for the patterns of thirty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from nandoctor.errors import KnowledgeError
from nandoctor.readers.facts import Role

if TYPE_CHECKING:
    from nandoctor.kb.model import BlockPattern, Dialect, EventPattern, KnowledgeBase, LinePattern, Quantity

LINE_LIMIT = 20_000  # characters of a line that regexes see

# Digits are taken whole, so that a long run of them costs no more than its length.
# A number as any program prints it: 1.5e-3, nan, -nan(ind), 1.#QNAN, nan.0 (Lightning), NAN (C's %E), Infinity (JSON).
# Not the beginning of a word (`nano`, `info`, `nan-data`), but `nanBatch` is nan: Keras glues its message on.
NUMBER = (
    r"[-+]?(?:(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?+(?:#(?:QNAN|SNAN|INF|IND)\d*+)?"
    r"|(?:nan|NaN|[Ii]nfinity|[Ii]nf)(?:\.0(?!\d)|\(\w*\))?(?![a-z0-9_]|[-./\\][A-Za-z])"
    r"|(?:NAN|INF)(?:\(\w*\))?(?![A-Za-z0-9_]|[-./\\][A-Za-z]))"
)
# What may stand in front of it: quotes, markdown stars, a tensor's or array's name.
OPEN = r"(?:[\w.:<]{0,40}(?:[Tt]ensor|[Aa]rray|float\d*)\(|<tf\.Tensor[^>]{0,80}numpy=)?\[*['\"*]*"
# A name of one to four words, the later ones beginning with a letter. The look-behind keeps a search linear.
WORD = r"[^\W\d][\w./@#-]*+"
NAME = rf"(?<![\w./@#-]){WORD}(?: {WORD}){{0,3}}?"
# Without a sign between name and value three words must do, and a value is no name (`|grad| nan lr 0.05`).
NEAR = rf"(?<![\w./@#-])(?!(?i:nan|inf)\b){WORD}(?: {WORD}){{0,2}}?"
LOOSE = r"(?:\|[\w ]{1,20}\||[^\W\d][\w./@#^²*-]*+)"
# Not the beginning of a date, a time, a version or a fraction.
WHOLE = r"(?![\d.]*[:/-]?\d)"
MEAN = rf"(?:[ \t]*\([ \t]*(?P<mean>{NUMBER})[ \t]*\))?"
MACROS = {
    "num": NUMBER,
    "open": OPEN,
    "name": NAME,
    # `name: value`, `name=value`, `name value`, each with a running mean in brackets if there is one
    "pair": rf"(?P<name>{NAME})\s{{0,20}}[:=：]\s{{0,20}}{OPEN}(?P<value>{NUMBER}){WHOLE}{MEAN}",
    "spaced": rf"(?P<name>{NAME})[ \t]{{1,20}}{OPEN}(?P<value>{NUMBER}){WHOLE}{MEAN}",
    "either": rf"(?P<name>{NEAR}(?:(?: {WORD})(?=\s{{0,20}}[:=：]))?)(?:\s{{0,20}}[:=：]\s{{0,20}}|[ \t]{{1,20}})"
    rf"{OPEN}(?P<value>{NUMBER}){WHOLE}{MEAN}",
    # any name, with or without quotes, as people write it (`|g|`, `rmse^2`, `'train/mse'`)
    "loose": rf"(?<![\w./@#^|*-])['\"]?(?P<name>(?!(?i:nan|inf)\b){LOOSE}(?: {LOOSE}){{0,2}}?)['\"]?"
    rf"(?:\s{{0,20}}[:=：]\s{{0,20}}|[ \t]{{1,20}}){OPEN}(?P<value>{NUMBER}){WHOLE}",
    # a dict as Python or JSON prints it
    "quoted": rf"['\"](?P<name>[\w./@ \-]+)['\"]: {OPEN}(?P<value>{NUMBER}){WHOLE}",
}

_PLACE = ("step", "steps", "epoch", "epochs", "iter", "iters")
_SPECIAL = frozenset(
    (*_PLACE, "name", "value", "weight", "mean", "pairs", "layer", "blob", "phase", "top", "shape", "rest", "key")
)
_BARE = re.compile(r"[a-z0-9_ /]+")  # a name that is no regular expression
MAX_NAME = 200  # characters of a name that are looked at
MAX_NAMES = 10_000  # printed names whose role is remembered
_C_RUNTIME = re.compile(r"([-+]?)\d*\.?\d*#(QNAN|SNAN|IND|INF)\d*")


def _of_dialect(regex: str, dialect: Dialect, pattern: str) -> re.Pattern[str]:
    try:
        return compiled(regex)
    except (re.error, OverflowError, RecursionError) as exc:
        raise KnowledgeError(f"dialect `{dialect.id}`, pattern `{pattern}`: {exc}") from None


def compiled(regex: str) -> re.Pattern[str]:
    """The regex with the placeholders of `MACROS` (`{num}`, `{pair}`, ...) filled in.

    Raises:
        re.error: not a regular expression.
    """
    for name, meaning in MACROS.items():
        regex = regex.replace(f"{{{name}}}", meaning)
    return re.compile(regex)


def number(text: str) -> float:
    """The value of a matched `{num}`.

    Raises:
        ValueError: no number after all.
    """
    try:
        return float(text)
    except ValueError:
        pass
    if found := _C_RUNTIME.fullmatch(text):
        sign = -1.0 if found[1] == "-" else 1.0
        return sign * float("inf" if found[2] == "INF" else "nan")
    bare = text.partition("(")[0].removesuffix(".0")
    return float(bare)


PLACES = ("step", "epoch", "iter", "progress")  # roles of the common table that say where a line stands


class PairMatch(msgspec.Struct, frozen=True):
    """How a pairs regex hands out its groups: indexes of name, value and (-1 if none) running mean."""

    findall: Callable[[str], list[tuple[str, ...]]]
    finditer: Callable[[str], Iterator[re.Match[str]]]
    groups: Mapping[str, int]
    name: int
    value: int
    mean: int


@lru_cache(maxsize=256)
def _pairs(regex: str) -> PairMatch:
    pattern = compiled(regex)
    groups = pattern.groupindex
    return PairMatch(
        pattern.findall, pattern.finditer, groups, groups["name"] - 1, groups["value"] - 1, groups.get("mean", 0) - 1
    )


class Line:
    """A line pattern of a dialect, compiled at first use."""

    __slots__ = (
        "_roles",
        "compiled",
        "dialect",
        "epoch",
        "epochs",
        "has_place",
        "hits",
        "iter",
        "iters",
        "mean",
        "name",
        "needs",
        "needs_any",
        "pair_group",
        "pairs",
        "pattern",
        "place",
        "quantities",
        "search",
        "step",
        "steps",
        "value",
        "weight",
    )

    def __init__(self, dialect: Dialect, pattern: LinePattern) -> None:
        self.dialect = dialect
        self.pattern = pattern
        self.needs = pattern.needs
        self.needs_any = pattern.needs_any
        self.compiled = False
        self.hits = 0
        self.search: Callable[[str], re.Match[str] | None] = self._first_search

    def _first_search(self, line: str) -> re.Match[str] | None:
        self.compile()
        return self.search(line)

    def compile(self) -> None:
        """Compiles the regexes and plans the groups."""
        if self.compiled:
            return
        regex = _of_dialect(self.pattern.regex, self.dialect, self.pattern.id)
        groups = regex.groupindex
        self.step, self.steps, self.epoch, self.epochs, self.iter, self.iters = (groups.get(g, 0) for g in _PLACE)
        self.name, self.value = groups.get("name", 0), groups.get("value", 0)
        self.weight, self.mean = groups.get("weight", 0), groups.get("mean", 0)
        self.pair_group = groups.get("pairs", 0)
        self.has_place = bool(self.step or self.iter or self.epoch)
        self.quantities = tuple((i, name) for name, i in groups.items() if name not in _SPECIAL)
        self.pairs = _pairs(self.pattern.pairs) if self.pattern.pairs else None
        self._roles = tuple((re.compile(name, re.IGNORECASE), role) for name, role in self.pattern.roles.items())
        self.compiled = True
        self.search = regex.search

    def role(self, name: str) -> str:
        """The role this pattern gives the name; empty: see the common table."""
        self.compile()
        return next((role for regex, role in self._roles if regex.fullmatch(name)), "")


class Event:
    """An event pattern of a dialect, compiled at first use."""

    __slots__ = ("dialect", "is_border", "needs", "needs_any", "pattern", "search")

    def __init__(self, dialect: Dialect, pattern: EventPattern) -> None:
        self.needs_any = pattern.needs_any
        self.is_border = pattern.starts_run or pattern.resumes or bool(pattern.ends)
        self.dialect = dialect
        self.pattern = pattern
        self.needs = pattern.needs
        self.search: Callable[[str], re.Match[str] | None] = self._first_search

    def _first_search(self, line: str) -> re.Match[str] | None:
        self.search = _of_dialect(self.pattern.regex, self.dialect, self.pattern.id).search
        return self.search(line)


class Block:
    """A pattern for a text inside the log, compiled at first use."""

    __slots__ = ("belongs", "needs", "pattern", "search")

    def __init__(self, pattern: BlockPattern) -> None:
        self.pattern = pattern
        self.needs = pattern.needs
        self.search: Callable[[str], re.Match[str] | None] = self._first_search
        self.belongs: Callable[[str], re.Match[str] | None] = self._first_belongs

    def _first_search(self, line: str) -> re.Match[str] | None:
        self.search = compiled(self.pattern.regex).search
        return self.search(line)

    def _first_belongs(self, line: str) -> re.Match[str] | None:
        self.belongs = compiled(self.pattern.line).match
        return self.belongs(line)


class RoleTable:
    """The common table of printed names: the first row that matches the whole name wins."""

    def __init__(self, quantities: Sequence[Quantity]) -> None:
        self._rows: list[tuple[str, re.Pattern[str] | frozenset[str] | tuple[str, ...]]] = [
            (q.role, frozenset(q.names) if all(_BARE.fullmatch(name) for name in q.names) else q.names)
            for q in quantities
        ]
        self._known: dict[str, str] = {}
        self._stand_ins = "|".join(f"(?:{name})" for q in quantities if q.stands_in for name in q.names)

    def stands_in(self, name: str) -> bool:
        """Whether the name is one of a metric that may be taken for the loss."""
        return bool(self._stand_ins and re.fullmatch(self._stand_ins, name[:MAX_NAME], re.IGNORECASE))

    def role(self, name: str) -> str:
        """The role of a printed name; `other` if the table does not know it."""
        role = self._known.get(name)
        if role is None:
            role = self._look_up(name)
            if len(self._known) < MAX_NAMES:
                self._known[name] = role
        return role

    def _look_up(self, name: str) -> str:
        name = name[:MAX_NAME]
        lowered = name.lower()
        for i, (role, names) in enumerate(self._rows):
            if isinstance(names, frozenset):
                if lowered in names:
                    return role
                continue
            if isinstance(names, tuple):
                names = re.compile("|".join(f"(?:{n})" for n in names), re.IGNORECASE)  # noqa: PLW2901
                self._rows[i] = role, names
            if names.fullmatch(name):
                return role
        return "other"


VALIDATION: dict[str, Role] = {
    "loss": "validation_loss",
    "loss_part": "validation_loss",
    "loss_running": "validation_loss",
    "metric": "validation_metric",
}


class Lexicon:
    """All dialects of a knowledge base, ready to recognise lines. Made once per reading; holds no state of a run.

    only: id of the one dialect whose lines count. last_resort: whether dialects count that are for logs without a loss.
    """

    def __init__(self, kb: KnowledgeBase, only: str = "", last_resort: bool = False) -> None:
        self.kb = kb
        self.only = only
        self.last_resort = last_resort or (only in kb.dialects and kb.dialects[only].last_resort)
        dialects = sorted(kb.dialects.values(), key=lambda d: (d.generic, -d.weight, d.id))
        self.roles = RoleTable(kb.quantities)
        self.dialects = kb.dialects
        used = [d for d in dialects if (d.id == only if only else last_resort or not d.last_resort)]
        self.lines = [Line(d, p) for d in used for p in d.lines]
        self.events = [Event(d, p) for d in dialects for p in d.events]
        self.blocks = [Block(p) for d in dialects for p in d.blocks]
        self.hints = [(hint, d) for d in dialects for hint in d.hints]
        self._line_table = _Table(self.lines)
        self._event_table = _Table(self.events)

    def event_candidates(self, line: str) -> list[Event]:
        """The events whose literals the line holds."""
        return self._event_table.candidates(line)

    def line_candidates(self, line: str, hits: dict[str, int]) -> list[Line]:
        """The patterns whose literals the line holds: those of the dialects that recognised most so far go first."""
        found = self._line_table.candidates(line)
        if len(found) > 1 and hits:
            found.sort(key=lambda p: (p.dialect.generic, -min(hits.get(p.dialect.id, 0), 1_000_000)))
        return found


Pattern = TypeVar("Pattern", Line, Event)


class _Table(Generic[Pattern]):
    """Patterns by their literals. Those with equal `needs_any` are tested for them once."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns: Sequence[Pattern] = patterns
        self._plain = [(i, p.needs) for i, p in enumerate(patterns) if not p.needs_any]
        groups: dict[tuple[str, ...], list[tuple[int, str]]] = {}
        for i, p in enumerate(patterns):
            if p.needs_any:
                groups.setdefault(p.needs_any, []).append((i, p.needs))
        self._groups = list(groups.items())

    def candidates(self, line: str) -> list[Pattern]:
        """The patterns whose literals the line holds, in their order."""
        found = [i for i, needs in self._plain if needs in line]
        lowered = line.lower()
        for words, members in self._groups:
            for word in words:
                if word in lowered:
                    found += [i for i, needs in members if needs in line]
                    break
        found.sort()
        return [self._patterns[i] for i in found]
