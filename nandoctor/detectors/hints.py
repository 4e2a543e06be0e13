"""Hints: what names, silence and the rounding of numbers suggest until anybody says it outright."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence

import msgspec

from nandoctor.detectors.view import View, number
from nandoctor.diagnosis import Evidence
from nandoctor.kb.model import KnowledgeBase, Tell
from nandoctor.readers.facts import Reading, Series
from nandoctor.readers.series import LOSS_ROLES

OWN_MEANING = ("grad_norm", "lr", "loss_scale")  # detectors of their own judge these
DISTINCT = 40  # printed losses that are compared with a number format's grid
SURE = 14.0  # bits: losses of a finer format all lie on the grid by chance once in 16,000 runs
MIN_VALUES = 4
# How often a program that loads weights says nothing of it in its log. Of our own runs outside Caffe, all that load
# weights say so and all that are silent do not; set with care, as three runs are few. Hugging Face's from_pretrained
# is silent.
SILENT = {"scratch": 1.0, "pretrained": 0.4, "resumed": 0.25}
SILENT_HF = {"scratch": 1.0, "pretrained": 0.95, "resumed": 0.25}
# Lightning's first lines name mixed precision ("Using 16bit Automatic Mixed Precision"), not weights cast by hand.
NO_MIXED = {"fp32": 1.0, "fp64": 1.0, "pure_fp16": 0.6, "fp16": 0.03, "bf16": 0.05}


def observe(kb: KnowledgeBase, view: View) -> Iterator[Evidence]:
    """Every hint of the log, one for each observation."""
    told: set[str] = set()
    for item in (*names(kb.tells, view), *number_format(view), *mixed_precision(view), *starting_point(view),
                 *framework(view)):  # fmt: skip
        if item.observation not in told:
            told.add(item.observation)
            yield msgspec.structs.replace(item, hint=True)


def names(tells: Sequence[Tell], view: View) -> Iterator[Evidence]:
    """What the names of the printed quantities betray (`tells` of quantities.yaml)."""
    if not view.run.series:
        return
    for tell in tells:
        pattern = re.compile("|".join(f"(?:{name})" for name in tell.names), re.IGNORECASE)
        for series in view.run.series:
            if series.role in OWN_MEANING or not pattern.fullmatch(series.quantity):
                continue
            at = _shown(tell, series, view)
            if at is None:
                continue
            note = "first" if tell.first else "turns" if tell.turns is not None else "reaches" if _bounded(tell) else ""
            yield view.seen(tell.observation, tell.state, f"named-quantity-{note}".rstrip("-"), at=at, series=series,
                            trust=tell.trust, name=series.quantity, value=number(at.value))  # fmt: skip
            break


def _bounded(tell: Tell) -> bool:
    return tell.at_least is not None or tell.at_most is not None


def _shown(tell: Tell, series: Series, view: View) -> Reading | None:
    """The reading that fulfils the tell's conditions; None if they are not."""
    if tell.first:
        bad, start = series.first_nonfinite, view.onset
        return bad if bad is not None and start is not None and bad.line < start[1].line else None
    if tell.turns is not None:
        return _turning(tell.turns, series, view)
    if _bounded(tell):
        last = _last_before(view, series)
        return last if last is not None and _within(last.value, tell) else None
    return next(iter(series.readings), None)


def _turning(value: float, series: Series, view: View) -> Reading | None:
    """The reading on the line of the NaN, if it is this value and at most a fifth of those before are."""
    if view.start is None or view.start[0].file != series.file:
        return None
    line = view.start[1].line
    before = [r for r in series.readings if r.line < line]
    here = next((r for r in series.readings if r.line == line), None)
    if here is None or here.value != value or len(before) < MIN_VALUES:
        return None
    return here if 5 * sum(r.value == value for r in before) <= len(before) else None


def _last_before(view: View, series: Series) -> Reading | None:
    """The last finite reading before the NaN of the loss, or on its line."""
    readings = series.before_nonfinite()
    if view.start is not None and view.start[0].file == series.file:
        readings = [r for r in readings if r.line <= view.start[1].line]
    return readings[-1] if readings else None


def _within(value: float, tell: Tell) -> bool:
    low = -math.inf if tell.at_least is None else tell.at_least
    high = math.inf if tell.at_most is None else tell.at_most
    return low <= value <= high


def number_format(view: View) -> Iterator[Evidence]:
    """Losses that are all numbers of fp16 or bf16: the loss itself is computed in that format."""
    for series in view.run.of(*LOSS_ROLES):
        for state, nearest, digits in _GRIDS:
            if _bits_on_grid(series, nearest, digits) < SURE:
                continue
            odds = {"pure_fp16": 0.6, "fp16": 0.4} if state == "pure_fp16" else {state: 1.0}
            at = series.finite()[-1]
            yield view.seen("precision", state, "on-grid", at=at, series=series, name=_NAMES[state],
                            likelihoods=odds)  # fmt: skip
            return


def _bits_on_grid(series: Series, nearest: Callable[[float], float], digits: int) -> float:
    """How improbable it is that a finer format's losses all lie on this grid by chance, in bits; 0 if one does not.

    The grid has steps of 2^(e - digits) at numbers of 2^e; what is printed with d decimals hits it by chance with
    10^-d / step. Losses of fewer decimals than the grid's step tell nothing.
    """
    values = list(dict.fromkeys(r.value for r in series.finite() if 1e-3 < abs(r.value) < 1e3))[:DISTINCT]
    if len(values) < MIN_VALUES:
        return 0.0
    shown = [f"{value!r}".partition(".")[2] for value in values]
    decimals = max(len(text) for text in shown if "e" not in text) if shown else 0
    bits = 0.0
    for value in values:
        if abs(nearest(value) - value) > 0.5000001 * 10.0**-decimals:
            return 0.0
        step = 2.0 ** (math.frexp(abs(value))[1] - 1 - digits)
        bits += max(0.0, math.log2(step) + decimals * math.log2(10.0))
    return bits


def _half(value: float) -> float:
    return float(struct.unpack("<e", struct.pack("<e", value))[0])


def _bfloat(value: float) -> float:
    whole = int(struct.unpack("<I", struct.pack("<f", value))[0])
    whole = (whole + 0x7FFF + ((whole >> 16) & 1)) & 0xFFFF0000
    return float(struct.unpack("<f", struct.pack("<I", whole))[0])


_GRIDS = (("bf16", _bfloat, 7), ("pure_fp16", _half, 10))  # state, nearest number, digits of the fraction
_NAMES = {"bf16": "bf16", "pure_fp16": "fp16"}


def starting_point(view: View) -> Iterator[Evidence]:
    """A log that shows its beginning and says nothing of loading weights rather started from scratch."""
    if view.run.framework == "caffe" or not view.from_start or view.run.resumed_from or not view.run.series:
        return
    odds = SILENT_HF if view.run.framework == "hf" else SILENT
    yield view.seen("starting_point", "scratch", "no-loading", likelihoods=odds)


def mixed_precision(view: View) -> Iterator[Evidence]:
    """A log of Lightning that shows its beginning, and no mixed precision in it."""
    if view.run.framework == "lightning" and view.from_start:
        yield view.seen("precision", "fp32", "no-mixed", likelihoods=NO_MIXED)


def framework(view: View) -> Iterator[Evidence]:
    """A log of no known program is not one of Caffe or Darknet: theirs are always recognised."""
    if not view.run.framework and view.run.dialects:
        odds = {"pytorch": 1.0, "lightning": 0.3, "hf": 0.3, "keras": 0.4, "tensorflow": 0.7, "jax": 1.0,
                "detection_toolbox": 0.5, "llm_trainer": 0.5, "other": 1.0}  # fmt: skip
        yield view.seen("framework", "pytorch", "no-program", likelihoods=odds)
