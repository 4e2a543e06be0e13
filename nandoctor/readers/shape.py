"""Lines of one kind read many at a time.

When a pattern has read a line, the line's letters, signs and the places of its numbers are known. The regex made of
them reads all lines of that kind in one sweep, several times faster than the pattern; a line that does not fit it is
read by the pattern as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nandoctor.readers.dialect import Line
    from nandoctor.readers.runstate import RunState, Target

MAX_LENGTH = 2_000  # characters of a line that is given a shape
_PIECE = re.compile(
    r"(?P<number>[-+]?\d[\d.]*(?:[eE][-+]?\d+)?)|(?P<space>[ \t]+)|(?P<drawn>[^\x00-\x7f][^\x00-\x7f ]*|[#=>]{2,})"
    r"|(?P<other>.)",
    re.DOTALL,
)
_VARIES = re.compile(r"[\d#=>]|[^\x00-\x7f]")
MIN_LEAD = 4  # characters
_NUMBER = rb"[ \t]*+[-+]?[\d.]++"
_EXPONENT = rb"(?:[eE][-+]?\d++)?"


class Shape:
    """A regex that reads one line each and what its groups are.

    `columns`: (group, where its numbers go). `name`: group of a printed name that varies, its number in `value`.
    `step`, `epoch`, `iter`, `iters`, `steps`: groups, -1 if there is none. `texts`: groups of a layer's phase, name, blob.
    """

    __slots__ = (
        "columns",
        "epoch",
        "findall",
        "iter",
        "iters",
        "name",
        "pattern",
        "search",
        "step",
        "steps",
        "texts",
        "value",
    )

    def __init__(self, pattern: Line, regex: bytes) -> None:
        self.pattern = pattern
        made = re.compile(regex)
        self.findall: Callable[[bytes], list[tuple[bytes, ...]]] = made.findall
        self.search: Callable[[bytes], re.Match[bytes] | None] = made.search
        self.columns: tuple[tuple[int, object], ...] = ()
        self.name = self.value = self.step = self.steps = self.epoch = self.iter = self.iters = -1
        self.texts: tuple[int, ...] = ()


def shape_of(pattern: Line, text: str, run: RunState) -> Shape | None:
    """The shape of a line that `pattern` has just read; None for lines that only the pattern can read."""
    if pattern.pattern.records not in ("reading", "layer") or len(text) > MAX_LENGTH or "\n" in text:
        return None
    match = pattern.search(text)
    if match is None:
        return None
    spans: list[tuple[int, int, str, object]] = []
    literal: list[tuple[int, int]] = []  # names, whose digits tell them apart
    for group, what in (
        (pattern.step, "step"),
        (pattern.steps, "steps"),
        (pattern.epoch, "epoch"),
        (pattern.iter, "iter"),
        (pattern.iters, "iters"),
    ):
        if group and match[group] is not None:
            spans.append((*match.span(group), what, None))
    if pattern.pattern.records == "layer":
        spans += [(*match.span(name), "text", name) for name in ("phase", "layer", "blob")]
        spans.append((*match.span("value"), "value", None))
    else:
        if pattern.name:
            spans.append((*match.span(pattern.name), "name", None))
            spans.append((*match.span(pattern.value), "value", None))
        for group, name in pattern.quantities:
            if match[group] is not None:
                spans.append((*match.span(group), "column", run.target(pattern, name)))
        if pattern.pairs is not None and not _pairs(pattern, match, text, run, spans, literal):
            return None
    return _build(pattern, text, spans, literal)


def _pairs(
    pattern: Line,
    match: re.Match[str],
    text: str,
    run: RunState,
    spans: list[tuple[int, int, str, object]],
    literal: list[tuple[int, int]],
) -> bool:
    """Adds the spans of the `name value` pairs; False if the line's place is told in a way that is not swept."""
    assert pattern.pairs is not None
    start, end = match.span(pattern.pair_group) if pattern.pair_group else (match.end(), len(text))
    places = set()
    for pair in pattern.pairs.finditer(text[start:end]):
        target: Target = run.target(pattern, pair["name"])
        if target is None:
            continue
        low, high = pair.span("value")
        literal.append((pair.start("name") + start, pair.end("name") + start))
        if isinstance(target, str):
            places.add(target)
            if target == "step" and not pattern.step:
                spans.append((low + start, high + start, "step", None))
            continue
        spans.append((low + start, high + start, "column", target))
        if "mean" in pattern.pairs.groups and pair["mean"] is not None:
            low, high = pair.span("mean")
            spans.append((low + start, high + start, "column", run.mean(pattern, target)))
    if "step" in places or pattern.has_place or not places:
        return True
    return places == {"progress"} and run.place.step is not None


def _build(
    pattern: Line, text: str, spans: list[tuple[int, int, str, object]], literal: list[tuple[int, int]]
) -> Shape | None:
    spans = sorted((span for span in spans if span[2] != "column" or span[3] is not None), key=lambda span: span[0])
    if any(start >= end for start, end, _, _ in spans) or any(a[1] > b[0] for a, b in pairwise(spans)):
        return None
    regex = [_lead(text, spans[0][0], literal) if spans else b"(?m)^" + _general(text, 0, len(text), literal) + b"$"]
    at = spans[0][0] if spans else len(text)
    for start, end, what, _ in spans:
        regex.append(_general(text, at, start, literal))
        if what in ("text", "name"):
            regex.append(b"(" + _general(text, start, end, []) + b")")
        else:
            regex.append(_captured(text[start:end]))
        at = end
    regex.append(b"()()")  # so that findall gives tuples
    groups = [(what, payload) for _, _, what, payload in spans]
    try:
        shape = Shape(pattern, b"".join(regex))
    except (re.error, OverflowError, RecursionError):
        return None
    shape.columns = tuple((i, payload) for i, (what, payload) in enumerate(groups) if what == "column")
    shape.texts = tuple(i for i, (what, _) in enumerate(groups) if what == "text")
    for i, (what, _) in enumerate(groups):
        if what in ("step", "steps", "epoch", "iter", "iters", "name", "value"):
            setattr(shape, what, i)
    found = shape.findall(text.encode("utf-8", "replace"))
    read = [text[start:end].encode("utf-8", "replace") for start, end, _, _ in spans]
    return shape if len(found) == 1 and list(found[0][: len(spans)]) == read else None


def _lead(text: str, end: int, literal: list[tuple[int, int]]) -> bytes:
    """What stands in front of the first group: its last words, which a search finds fast, or else the whole start."""
    start = max((piece.end() for piece in _VARIES.finditer(text, 0, end)), default=0)
    words = text[start:end]
    if len(words.strip()) >= MIN_LEAD and not any(low < start < high for low, high in literal):
        bare = words.rstrip(" \t")
        return re.escape(bare.lstrip(" \t").encode("utf-8", "replace")) + (rb"[ \t]*+" if bare != words else b"")
    return b"(?m)^" + _general(text, 0, end, literal)


def _general(text: str, start: int, end: int, literal: list[tuple[int, int]]) -> bytes:
    """Letters and signs as they are; any number for a number, any drawing for a drawing."""
    out = []
    at = start
    for low, high in [*((a, b) for a, b in literal if start <= a and b <= end), (end, end)]:
        for piece in _PIECE.finditer(text[at:low]):
            if piece["number"]:
                out.append(_NUMBER + (_EXPONENT if "e" in piece[0].lower() else b""))
            elif piece["space"]:
                out.append(rb"[ \t]*+")
            elif piece["drawn"]:
                out.append(rb"[\x80-\xff#=>. ]*+")
            else:
                out.append(re.escape(piece[0].encode("utf-8", "replace")))
        out.append(re.escape(text[low:high].encode("utf-8", "replace")))
        at = high
    return b"".join(out)


def _captured(text: str) -> bytes:
    """A group for one number: finite ones by their digits, the others by their letters (they are in the key)."""
    if re.fullmatch(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", text):
        return rb"[ \t]*+([-+]?[\d.]++" + (_EXPONENT if "e" in text.lower() else b"") + b")"
    if re.fullmatch(r"[-+]?[A-Za-z]+", text):
        return rb"[ \t]*+([-+]?" + re.escape(text.lstrip("+-").encode()) + b")"
    return b"(" + _general(text, 0, len(text), []) + b")"
