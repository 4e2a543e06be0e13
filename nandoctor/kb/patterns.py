"""Regular expressions of the knowledge files: do they compile, and can they take for ever?

A log line is untrusted, and Python's regex engine backtracks. The dangerous form is a repeat inside a repeat whose
rounds can be cut in several ways, `(\\w+\\s*)+`; with a separator that the inner repeat cannot match, `(\\w+,)+`, every
round ends in one place only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any

MANY = 16  # a repeat allowed this often counts as unbounded
# What the sets of two parts are compared on: ASCII, and one letter and one sign of other scripts.
_ALPHABET = frozenset(map(chr, range(32, 127))) | {"\t", "\n", "é", "中", "，"}
_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)
_CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}


def fault(regex: str) -> str:
    """What is wrong with a regular expression, in words; empty if nothing is."""
    try:
        re.compile(regex)
    except (re.error, OverflowError, RecursionError) as exc:
        return f"not a regular expression: {exc}"
    return ""


def backtracking(regex: str) -> bool:
    """Whether a repeat holds a repeat without a separator between its rounds: exponential on a hostile line.

    A heuristic: it knows nested repeats, not alternatives that overlap; possessive repeats and atomic groups are safe.
    """
    return any(_ambiguous(body) for body in _repeated(sre_parser.parse(regex)))


def _repeated(parsed: Iterable[Any]) -> Iterator[Any]:
    """The body of every unbounded repeat, at any depth."""
    for operation, argument in parsed:
        if operation in _REPEATS and argument[1] >= MANY:
            yield argument[2]
        for part in _parts(operation, argument):
            yield from _repeated(part)


def _parts(operation: Any, argument: Any) -> list[Any]:
    """The sub-patterns of a node; none of those in which nothing is tried twice."""
    if operation in _REPEATS:
        return [argument[2]]
    if operation is sre.SUBPATTERN:
        return [argument[-1]]
    if operation is sre.BRANCH:
        return list(argument[1])
    if operation in (sre.ASSERT, sre.ASSERT_NOT):
        return [argument[1]]
    if operation is sre.GROUPREF_EXISTS:
        return [part for part in argument[1:] if part is not None]
    return []


def _ambiguous(body: Any) -> bool:
    """Whether the body of a repeat holds repeats and nothing that none of them could swallow."""
    swallowed: set[str] = set()
    fixed: list[frozenset[str]] = []
    for nodes, optional in _sequences(body, False):
        for operation, argument in nodes:
            if operation in _REPEATS and argument[1] >= MANY:
                for inner in _sets(argument[2]):
                    swallowed |= inner
            elif not optional and (characters := _set(operation, argument)) is not None:
                fixed.append(characters)
    return bool(swallowed) and not any(characters.isdisjoint(swallowed) for characters in fixed)


def _sequences(body: Any, optional: bool) -> Iterator[tuple[list[Any], bool]]:
    """The nodes of a body with those of its groups; `optional` where a round may do without them."""
    yield list(body), optional
    for operation, argument in body:
        if operation in _REPEATS and argument[1] >= MANY:
            continue
        skips = operation is sre.BRANCH or (operation in _REPEATS and argument[0] == 0)
        if operation not in (sre.ASSERT, sre.ASSERT_NOT):
            for part in _parts(operation, argument):
                yield from _sequences(part, optional or skips)


def _sets(body: Any) -> Iterator[frozenset[str]]:
    """The characters that each node of a body may match."""
    for operation, argument in body:
        characters = _set(operation, argument)
        if characters is not None:
            yield characters
        for part in _parts(operation, argument):
            yield from _sets(part)


def _set(operation: Any, argument: Any) -> frozenset[str] | None:
    """The characters of the alphabet that a one-character node matches; None if it is no such node."""
    if operation is sre.LITERAL:
        return frozenset({chr(argument)})
    if operation is sre.NOT_LITERAL:
        return _ALPHABET - {chr(argument)}
    if operation is sre.ANY:
        return _ALPHABET - {"\n"}
    if operation is not sre.IN:
        return None
    found: set[str] = set()
    negated = False
    for kind, value in argument:
        if kind is sre.NEGATE:
            negated = True
        elif kind is sre.LITERAL:
            found.add(chr(value))
        elif kind is sre.RANGE:
            found |= {char for char in _ALPHABET if value[0] <= ord(char) <= value[1]}
        elif kind is sre.CATEGORY:
            found |= {char for char in _ALPHABET if re.match(_CATEGORIES[value], char)}
    return frozenset(_ALPHABET - found if negated else found)
