"""Mathematics of a curve: onset, growth, jump, plateau, spikes. Pure functions over readings; no opinion about causes.

Thresholds: a loss explodes when it at least doubles per displayed step over a window of 4 ratios, or exceeds ten times
the largest of its first 100 values (TheDeepChecker's settings; Megatron's rerun state machine); all are graded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from nandoctor.readers.facts import Reading, Role, Run, Series

LOSS_ROLES: tuple[Role, ...] = ("loss", "loss_part", "loss_running")
FLOAT32_MAX = 3.4028235e38
FLOAT16_MAX = 65504.0
GROWTH_FACTOR = 10.0  # from the calm level to the last finite value: clearly larger
JUMP_FACTOR = 10.0  # at least ten times larger, directly before the NaN


def median(values: Sequence[float]) -> float:
    """The middle value (mean of the two middle ones); `statistics` would cost 6 ms of imports for it.

    Raises:
        IndexError: there are no values.
    """
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else 0.5 * (ordered[half - 1] + ordered[half])


def onset(run: Run) -> tuple[Series, Reading] | None:
    """The first printed non-finite training loss, total or component, by line; raw before running on the same line."""
    found = [(s, s.first_nonfinite) for s in run.series if s.role in LOSS_ROLES and s.first_nonfinite is not None]
    if not found:
        return None
    main = run.files[0] if run.files else ""
    return min(found, key=lambda f: (f[0].file != main, f[1].line, LOSS_ROLES.index(f[0].role)))


def first_nonfinite(run: Run) -> list[tuple[Series, Reading]]:
    """Every quantity that becomes non-finite, at its first such reading, by file and line."""
    found = [(s, s.first_nonfinite) for s in run.series if s.first_nonfinite is not None]
    order = {file: number for number, file in enumerate(run.files)}
    return sorted(found, key=lambda f: (order.get(f[0].file, 99), f[1].line))


def main_loss(run: Run) -> Series | None:
    """The series that stands for the training loss: raw total, else a component, else the running total."""
    for role in LOSS_ROLES:
        candidates = run.of(role)
        if candidates:
            best = max(candidates, key=lambda s: (s.count, s.quantity.lower() in ("loss", "total_loss", "train_loss")))
            if best.count >= 1:
                return best
    return None


class Approach(msgspec.Struct, frozen=True):
    """How a series came to its first non-finite value (or to its end).

    `calm`: median of the readings before the last rise; `last`: the last finite one; `ratio`: |last| / calm;
    `steps_growing`: number of consecutive readings at the end each larger than the one before; `per_step`: geometric
    growth per reading over them; `readings`: the ones of the rise, first to last; `fall`: first reading / calm.
    """

    calm: float
    last: float
    ratio: float
    steps_growing: int
    per_step: float
    rise: tuple[Reading, ...]
    fall: float
    length: int


def approach(readings: Sequence[Reading]) -> Approach | None:
    """The last finite readings before the onset, described; None if there are none."""
    if not readings:
        return None
    values = [abs(r.value) for r in readings]
    end = len(values) - 1
    start = end
    # A rise may have small setbacks: a reading may fall, if the next earlier ones are still clearly lower.
    while start > 0 and (values[start - 1] < values[start] or (start > 1 and values[start - 2] < 0.5 * values[start])):
        start -= 1
    before = values[max(0, start - 50) : start + 1]
    calm = median(before) if before else values[0]
    calm = max(calm, 1e-12)
    steps = end - start
    low = max(values[start], 1e-12)
    per_step = (max(values[end], 1e-12) / low) ** (1.0 / steps) if steps else 1.0
    return Approach(
        calm=calm,
        last=readings[-1].value,
        ratio=values[end] / calm,
        steps_growing=steps,
        per_step=per_step,
        rise=tuple(readings[start : end + 1]),
        fall=values[0] / calm,
        length=len(values),
    )


def steps_to_overflow(value: float, per_step: float, limit: float = FLOAT32_MAX) -> float:
    """Readings until |value| passes `limit` at geometric growth `per_step`: (ln limit - ln |value|) / ln per_step."""
    if per_step <= 1.0 or value == 0.0:
        return math.inf
    return max(0.0, (math.log(limit) - math.log(abs(value))) / math.log(per_step))


class Divergence(msgspec.Struct, frozen=True):
    """A loss that runs away without (or before) a non-finite value: where it stands against its own past."""

    start: Reading
    peak: Reading
    factor: float  # peak against the level before
    stays: bool  # the end is still far above that level


def divergence(readings: Sequence[Reading]) -> Divergence | None:
    """The largest lasting rise of a positive curve: from the lowest level so far to the later peak.

    Losses that may be negative (adversarial, likelihoods) move around zero, where a ratio says nothing: they are
    compared with their own size.
    """
    if len(readings) < 3:
        return None
    finite = [r for r in readings if math.isfinite(r.value)]
    if len(finite) < 3:
        return None
    lowest = finite[0]
    floor = 1e-3 if all(r.value >= 0 for r in finite) else max(1e-3, median([abs(r.value) for r in finite]))
    best: tuple[float, Reading, Reading] | None = None
    for reading in finite[1:]:
        base = max(abs(lowest.value), floor)
        factor = reading.value / base
        if best is None or factor > best[0]:
            best = (factor, lowest, reading)
        if abs(reading.value) < abs(lowest.value):
            lowest = reading
    if best is None or best[0] < 2.0:
        return None
    factor, start, peak = best
    tail = [abs(r.value) for r in finite[-max(3, len(finite) // 20) :]]
    base = max(abs(start.value), floor)
    return Divergence(start, peak, factor, median(tail) > base * max(2.0, factor**0.5))


def level(readings: Sequence[Reading], count: int = 5) -> float | None:
    """Median of the first `count` finite values."""
    values = [r.value for r in readings if math.isfinite(r.value)][:count]
    return median(values) if values else None
