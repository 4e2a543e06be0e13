"""One run as the detectors see it: which series is the loss, where it becomes non-finite, what came before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

from nandoctor.diagnosis import Evidence, Note, Origin
from nandoctor.readers import series as curves
from nandoctor.readers.caffe import Net, Solver
from nandoctor.readers.facts import Reading, Run, Series
from nandoctor.readers.series import median
from nandoctor.source import Location, significant

STOPPED_BY_NAN = ("loss-became-nonfinite", "debug-nans")  # messages: detectron2's, and those of JAX's debug_nans


class View:
    """The run with everything the detectors share, computed once."""

    def __init__(self, run: Run, net: Net | None = None, solver: Solver | None = None) -> None:
        self.run = run
        self.net = net
        self.solver = solver

    @cached_property
    def onset(self) -> tuple[Series, Reading] | None:
        """The first printed non-finite training loss."""
        return curves.onset(self.run)

    @cached_property
    def gradient(self) -> Series | None:
        """The gradient norm, if the log prints one."""
        return max(self.run.of("grad_norm"), key=lambda s: s.count, default=None)

    @cached_property
    def hidden_onset(self) -> tuple[Series, Reading] | None:
        """A NaN that the loss column hides: the loss printed as exactly 0 on the line of a non-finite gradient norm.

        Hugging Face's Trainer replaces a non-finite step loss by the mean of the others; right after a reset that is 0.
        """
        gradient = self.gradient
        if gradient is None or gradient.first_nonfinite is None:
            return None
        for series in self.run.of("loss", "loss_running"):
            for reading in series.readings:
                if reading.line == gradient.first_nonfinite.line and reading.value == 0.0:
                    return gradient, gradient.first_nonfinite
        return None

    @cached_property
    def told_onset(self) -> tuple[Series, Reading] | None:
        """A NaN that stopped the program before it was printed: the message tells of it, and often the iteration."""
        if self.loss is None:
            return None
        told = (e for e in self.run.events if e.kind.startswith(STOPPED_BY_NAN) and e.location.file == self.loss.file)
        event = min(told, key=lambda e: e.location.line, default=None)
        if event is None:
            return None
        iteration = event.fields.get("iteration")
        return self.loss, Reading(float(iteration) if iteration else None, event.location.line, math.nan)

    @cached_property
    def start(self) -> tuple[Series, Reading] | None:
        """The printed onset; the hidden one, or the one that a message tells, if that is earlier."""
        found = [onset for onset in (self.onset, self.hidden_onset, self.told_onset) if onset is not None]
        return min(found, key=lambda onset: onset[1].line, default=None)

    @cached_property
    def loss(self) -> Series | None:
        """The raw loss to judge the course by: that of the onset where it is raw, else the main one."""
        if self.onset is not None:
            first = self.onset[0]
            if first.role != "loss_running":
                total = next((s for s in self.run.of("loss") if s.file == first.file and s.count > 1), None)
                return total or first
            return self._first_raw(first) or first
        return curves.main_loss(self.run)

    def _first_raw(self, running: Series) -> Series | None:
        """The raw loss that goes first; of several in one step the one that had climbed most."""
        raw = [
            (s, s.first_nonfinite)
            for s in self.run.of("loss", "loss_part")
            if s.file == running.file and s.first_nonfinite is not None
        ]
        if not raw:
            return None
        _, earliest = min(raw, key=lambda pair: pair[1].line)
        together = [
            s for s, at in raw if at.line == earliest.line or (at.step is not None and at.step == earliest.step)
        ]
        return max(together, key=_climbed)

    @cached_property
    def before(self) -> list[Reading]:
        """The finite readings of the loss before the NaN (all of them if there is none)."""
        if self.loss is None:
            return []
        if self.start is None:
            return self.loss.finite()
        stop = self.start[1].line
        same = self.loss.file == self.start[0].file
        readings = self.loss.before_nonfinite()
        return [r for r in readings if not same or r.line < stop]

    @cached_property
    def interval(self) -> float:
        """Steps between two printed losses (median); 1 if unknown."""
        if self.loss is None:
            return 1.0
        steps = [r.step for r in self.loss.readings if r.step is not None]
        gaps = [b - a for a, b in zip(steps, steps[1:]) if b > a]
        return float(median(gaps)) if gaps else 1.0

    @cached_property
    def from_start(self) -> bool:
        """Whether the log shows the beginning of the run, rather than an excerpt pasted from its middle.

        It does if the first loss is printed for the first step or display interval, or if the program's own header is
        there. A single reading without a step says nothing about when it was.
        """
        if self.told_onset is not None:
            loss, told = self.told_onset
            if (told.step or 0.0) > 1 and loss.readings and loss.readings[0].line >= told.line:
                return False  # a message of a later iteration comes first
        if self.run.solver_text is not None or self.run.net_texts or self.run.header:
            return True
        if self.loss is None or not self.loss.readings:
            return False
        first = self.loss.readings[0]
        if first.step is None:
            return self.loss.count > 2
        return first.step <= max(1.0, 2.0 * self.interval)

    @cached_property
    def approach(self) -> curves.Approach | None:
        """How the loss came to the NaN."""
        return curves.approach(self.before)

    @cached_property
    def epochs_only(self) -> bool:
        """Whether a printed step is a whole epoch (Keras verbose 2, `epoch 3 | loss`), so that much happens unseen."""
        return self.loss is not None and getattr(self.loss, "unit", "") == "epoch"

    def seen(
        self,
        observation: str,
        state: str,
        note: str,
        *,
        at: Reading | None = None,
        series: Series | None = None,
        where: tuple[Location, ...] = (),
        trust: float = 0.985,
        likelihoods: dict[str, float] | None = None,
        origin: Origin = "log",
        args: Mapping[str, str | float | int] | None = None,
        **more: str | float | int,
    ) -> Evidence:
        """A piece of evidence with its line and the sentence `seen:<note>`."""
        if at is not None:
            file = series.file if series else self.loss.file if self.loss else self.run.files[0]
            where = (Location(file, at.line), *where)
        shown: dict[str, str | int | float] = {
            k: number(v) if isinstance(v, float) else v for k, v in {**(args or {}), **more}.items()
        }
        return Evidence(observation, state, origin, where, Note(f"seen:{note}", shown), trust, likelihoods or {})


def _climbed(series: Series) -> float:
    """How many times its first value the last one before the NaN is."""
    readings = series.before_nonfinite()
    return abs(readings[-1].value) / max(abs(readings[0].value), 1e-3) if readings else 0.0


def number(value: float) -> str:
    """A number for people: at most four significant digits."""
    if math.isnan(value) or math.isinf(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return significant(value)
