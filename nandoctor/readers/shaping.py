"""Makes the shape of a line, so that lines of its kind can be read many at a time.

When a pattern has read a line, the line's letters, signs and the places of its numbers are known. The regex made of
them reads all lines of that kind in one sweep, several times faster than the pattern; a line that does not fit it is
read by the pattern as before.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from nandoctor.readers.collect import Gathered
from nandoctor.readers.dialect import Line
from nandoctor.readers.runstate import RunState
from nandoctor.readers.shape import Shape, Span

MAX_LENGTH = 2_000  # characters of a line that is given a shape
MIN_LEAD = 4  # characters in front of the first number that are worth a search
_PIECE = re.compile(
    r"(?P<number>[-+]?\d[\d.]*(?:[eE][-+]?\d+)?)|(?P<space>[ \t]+)|(?P<drawn>[^\x00-\x7f][^\x00-\x7f ]*|[#=>]{2,})"
    r"|(?P<other>.)",
    re.DOTALL,
)
_VARIES = re.compile(r"[\d#=>]|[^\x00-\x7f]")
_DRAWN_OR_NUMBER = re.compile(r"\d|[^\x00-\x7f]|[.#=>]{2,}|>")  # a lone `=` stands in front of a number
_NUMBER = rb"[-+\d.]++"
_EXPONENT = rb"(?:[eE][-+]?\d++)?"
_LAYER = ("phase", "layer", "blob", "value")  # groups of a pattern for layers, in this order
_PADDING = rb"[ \t]*+"  # numbers are padded; words are not


def shape_of(pattern: Line, text: str, run: RunState) -> Shape | None:
    """The shape of a line that `pattern` has just read; None for lines that only the pattern can read."""
    if pattern.pattern.records not in ("reading", "layer") or len(text) > MAX_LENGTH or "\n" in text:
        return None
    match = pattern.search(text)
    if match is None:
        return None
    if pattern.pattern.records == "layer" and set(match.re.groupindex) == set(_LAYER):
        shape = _shape_of_layers(pattern, match.re)
        read = tuple(group.encode("utf-8", "replace") for group in match.groups())
        if shape is not None and shape.findall(text.encode("utf-8", "replace")) == [read]:
            return shape
    places = {g: getattr(pattern, g) for g in ("step", "steps", "epoch", "iter", "iters")}
    spans = [Span(*match.span(i), what) for what, i in places.items() if i and match[i] is not None]
    names: list[tuple[int, int]] = []  # whose digits tell them apart
    if pattern.pattern.records == "layer":
        spans += [Span(*match.span(name), "text") for name in ("phase", "layer", "blob")]
        spans.append(Span(*match.span("value"), "value"))
    else:
        if pattern.name:
            spans += [Span(*match.span(pattern.name), "name"), Span(*match.span(pattern.value), "value")]
        for group, name in pattern.quantities:
            target = run.target(pattern, name)
            if match[group] is not None and isinstance(target, Gathered):
                spans.append(Span(*match.span(group), "column", target))
        if pattern.pairs is not None:
            start, end = match.span(pattern.pair_group) if pattern.pair_group else (match.end(), len(text))
            found = _pairs(pattern, text[start:end], start, run)
            if found is None:
                return None
            spans += found[0]
            names = found[1]
    shape = _build(pattern, text, sorted(spans, key=lambda span: span.start), names)
    if shape is not None and shape.name >= 0:
        printed = match[pattern.name]
        if isinstance(target := run.target(pattern, printed), Gathered):
            shape.words[target] = (
                text[match.start(pattern.name) : match.start(pattern.value)].strip(" \t").encode("utf-8", "replace")
            )
    return shape


@lru_cache(maxsize=16)
def _shape_of_layers(pattern: Line, regex: re.Pattern[str]) -> Shape | None:
    """One shape for all layers, so that one sweep reads them: by their letters each has kinds of its own."""
    if regex.groups != len(_LAYER):
        return None
    in_order = sorted(regex.groupindex, key=regex.groupindex.__getitem__)
    spans = [Span(0, 0, "value" if name == "value" else "text") for name in in_order]
    return Shape(pattern, regex.pattern.encode(), spans) if tuple(in_order) == _LAYER else None


def _pairs(pattern: Line, part: str, offset: int, run: RunState) -> tuple[list[Span], list[tuple[int, int]]] | None:
    """Spans of the `name value` pairs and of their names; None if the line's place is told in a way not swept."""
    assert pattern.pairs is not None
    places = set()
    spans: list[Span] = []
    names: list[tuple[int, int]] = []
    for pair in pattern.pairs.finditer(part):
        target = run.target(pattern, pair["name"])
        if target is None:
            continue
        low, high = pair.span("value")
        names.append((pair.start("name") + offset, pair.end("name") + offset))
        if isinstance(target, str):
            places.add(target)
            if target == "step" and not pattern.step:
                spans.append(Span(low + offset, high + offset, "step"))
            continue
        spans.append(Span(low + offset, high + offset, "column", target))
        if "mean" in pattern.pairs.groups and pair["mean"] is not None:
            low, high = pair.span("mean")
            spans.append(Span(low + offset, high + offset, "column", run.mean(pattern, target)))
    if not places or "step" in places or pattern.has_place:
        return spans, names
    return (spans, names) if places == {"progress"} and run.place.step is not None else None


def _build(pattern: Line, text: str, spans: list[Span], names: list[tuple[int, int]]) -> Shape | None:
    if any(span.start >= span.end for span in spans) or any(a.end > b.start for a, b in pairwise(spans)):
        return None
    regex = [_lead(text, spans[0], names) if spans else b"(?m)^" + _general(text, 0, len(text), names) + b"$"]
    at = spans[0].start if spans else len(text)
    for span in spans:
        regex.append(_general(text, at, span.start, names))
        if span.what in ("text", "name"):
            regex.append(b"(" + _general(text, span.start, span.end, []) + b")")
        else:
            regex.append(_captured(text[span.start : span.end]))
        at = span.end
    regex.append(b"()()")  # so that findall gives tuples
    try:
        shape = Shape(pattern, b"".join(regex), spans)
    except (re.error, OverflowError, RecursionError):
        return None
    found = shape.findall(text.encode("utf-8", "replace"))
    read = [text[span.start : span.end].encode("utf-8", "replace") for span in spans]
    if len(found) != 1 or list(found[0][: len(spans)]) != read:
        return None
    for span in spans:
        if span.target is not None:
            shape.words.setdefault(span.target, _words(text, span.start))
    return shape


def _words(text: str, end: int) -> bytes:
    """The words in front of a number, back to the number or the bar before."""
    start = max((piece.end() for piece in _DRAWN_OR_NUMBER.finditer(text, 0, end)), default=0)
    return text[max(start, end - 40) : end].strip(" \t").encode("utf-8", "replace")


def _lead(text: str, first: Span, names: list[tuple[int, int]]) -> bytes:
    """What stands in front of the first group: its last words, which a search finds fast, or else the whole start."""
    end = first.start
    start = max((piece.end() for piece in _VARIES.finditer(text, 0, end)), default=0)
    words = text[start:end].strip(" \t")
    enough = 1 if first.what in ("text", "name") else MIN_LEAD
    if len(words) >= enough and not any(low < start < high for low, high in names):
        return re.escape(words.encode("utf-8", "replace")) + _PADDING
    return b"(?m)^" + _general(text, 0, end, names)


def _general(text: str, start: int, end: int, names: list[tuple[int, int]]) -> bytes:
    """Letters and signs as they are; any number for a number, any drawing for a drawing; names to the letter."""
    out = []
    at = start
    for low, high in [*((a, b) for a, b in names if start <= a and b <= end), (end, end)]:
        for piece in _PIECE.finditer(text[at:low]):
            if piece["number"]:
                out.append(_PADDING + _NUMBER + (_EXPONENT if "e" in piece[0].lower() else b""))
            elif piece["space"]:
                near = text[at + piece.end() : at + piece.end() + 2].lstrip("+-.")[:1]
                padded = near.isdigit() or len(piece[0]) > 1 or at + piece.end() >= low
                out.append(_PADDING if padded else re.escape(piece[0].encode()))
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
        return _PADDING + b"(" + _NUMBER + (_EXPONENT if "e" in text.lower() else b"") + b")"
    if re.fullmatch(r"[-+]?[A-Za-z]+", text):
        return _PADDING + rb"([-+]?" + re.escape(text.lstrip("+-").encode()) + b")"
    return b"(" + _general(text, 0, len(text), []) + b")"
