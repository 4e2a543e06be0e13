"""Holds every dialect against its own samples, and against those of all others. For `kb check` and the tests."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from nandoctor.kb.model import Dialect, KnowledgeBase, Sample
from nandoctor.readers.dialect import MACROS, Lexicon, compiled, number
from nandoctor.readers.facts import Run
from nandoctor.readers.logreader import LogReader


class Failure(NamedTuple):
    """A sample that is not read as it says; `sample` is its number, from 0, or -1 for a fault of a pattern."""

    dialect: str
    sample: int
    text: str


def failures(kb: KnowledgeBase) -> list[Failure]:
    """Every sample of every dialect that fails.

    A sample must be read by its dialect alone, and with all dialects together it must be its dialect that takes it.
    A sample that must not match is refused by its dialect.
    """
    faulty = {d.id: [Failure(d.id, -1, text) for text in _faulty_patterns(d)] for d in kb.dialects.values()}
    found = [failure for failures_ in faulty.values() for failure in failures_]
    sound = {name: dialect for name, dialect in kb.dialects.items() if not faulty[name]}
    kb = msgspec.structs.replace(kb, dialects=sound)
    for dialect in sound.values():
        for index, sample in enumerate(dialect.samples):
            found += [Failure(dialect.id, index, text) for text in _faults(kb, dialect, sample)]
    return found


def _faulty_patterns(dialect: Dialect) -> Iterator[str]:
    """Regexes that do not compile, roles that do not exist."""
    regexes = [(line.id, line.regex) for line in dialect.lines]
    regexes += [(event.id, event.regex) for event in dialect.events]
    regexes += [(b.id, regex) for b in dialect.blocks for regex in (b.regex, b.line)]
    regexes += [(p.id, p.pairs) for p in dialect.lines if p.pairs]
    regexes += [(p.id, name) for p in dialect.lines for name in p.roles]
    for name, regex in regexes:
        try:
            compiled(regex)
        except (re.error, RecursionError, OverflowError) as exc:
            yield f"pattern {name}: {exc} in {regex}"
    for pattern in dialect.lines:
        if pattern.pairs and pattern.pairs not in MACROS and "(?P<name>" not in pattern.pairs:
            macro = pattern.pairs.strip("{}")
            if macro not in MACROS:
                yield f"pattern {pattern.id}: `pairs` needs the groups name and value"


def _faults(kb: KnowledgeBase, dialect: Dialect, sample: Sample) -> Iterator[str]:
    alone = _read(sample.line, kb, dialect.id)
    lines = alone.dialects.get(dialect.id, 0)
    if not sample.match:
        if lines:
            yield f"must not match, but does: {sample.line}"
        return
    if not lines:
        yield f"must match, but does not: {sample.line}"
        return
    yield from _misread(alone, sample)
    together = _read(sample.line, kb, "")
    if dialect.id not in together.dialects and not dialect.last_resort:
        yield f"is taken by {', '.join(together.dialects) or 'nobody'}: {sample.line}"


def _read(line: str, kb: KnowledgeBase, only: str) -> Run:
    reader = LogReader("sample", Lexicon(kb, only))
    reader.feed(line.encode() + b"\n")
    return reader.finish()


def _misread(run: Run, sample: Sample) -> Iterator[str]:
    values = {s.quantity: (s.readings[0].value, s.sign) for s in run.series if s.readings}
    if run.layers:
        values["value"] = (run.layers[0].value, "")
    for name, expected in sample.reads.items():
        if name == "step":
            step = next((r.step for s in run.series for r in s.readings), None)
            if step != float(expected):
                yield f"step {step} instead of {expected}: {sample.line}"
            continue
        if name not in values:
            yield f"no `{name}` read, only {', '.join(values) or 'nothing'}: {sample.line}"
            continue
        value, sign = values[name]
        wanted = number(expected) if isinstance(expected, str) else expected
        same = value == wanted or (math.isnan(value) and math.isnan(wanted))
        if not same or (expected == "-nan" and sign != "-"):
            yield f"`{name}` is read as {sign if math.isnan(value) else ''}{value}, not {expected}: {sample.line}"
    if sample.event and sample.event not in {event.kind for event in run.events}:
        yield f"no event `{sample.event}`, only {', '.join(e.kind for e in run.events) or 'none'}: {sample.line}"
