"""What the log readers hand to the detectors: numbers with their lines, and no opinion.

Everything here is immutable and plain. A `Run` is one training as one or several files show it.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import msgspec

from nandoctor.source import Location

Role = Literal[
    "loss",  # a raw training loss (one step, or the mean over a display interval), total
    "loss_part",  # one component of the training loss (`loss_bbox`, Caffe's `Train net output #1: loss2/...`)
    "loss_running",  # a smoothed or running mean of the training loss; one NaN may poison it for ever
    "lr",
    "grad_norm",
    "loss_scale",
    "metric",  # accuracy, IoU, perplexity, throughput-free training metrics
    "validation_loss",
    "validation_metric",
    "other",  # recognised and kept, but without meaning for the detectors (weight norms, momentum)
]


class Reading(msgspec.Struct, frozen=True):
    """One printed number: `step` as the log prints it (iteration or epoch; None if unknown), 1-based `line`."""

    step: float | None
    line: int
    value: float
    file: str = ""  # only where a series goes through several files (rotated parts): the one of this line


class Series(msgspec.Struct, frozen=True):
    """All readings of one printed quantity, in file order, down-sampled if there are very many.

    Down-sampling keeps: the first and last 200 readings, 200 before and 50 after the first non-finite one, and of the
    rest each bucket's first, minimum and maximum. `count` is the number of readings before that.
    """

    quantity: str  # the name as printed: `loss`, `Train net output #0: loss1/loss`, `loss_bbox`, `lr`
    role: Role
    file: str
    readings: tuple[Reading, ...]
    count: int
    first_nonfinite: Reading | None = None
    nonfinite_count: int = 0
    finite_after_nonfinite: int = 0  # finite readings after the first non-finite one
    weight: float | None = None  # Caffe's `(* 0.3 = ...)` loss weight, if printed
    sign: Literal["", "-"] = ""  # of the first NaN as printed: `-nan` or `nan` (C++ programs; meaningless elsewhere)
    unit: Literal["", "iteration", "epoch"] = ""  # what `step` counts; iterations within epochs are counted through

    def where(self, reading: Reading) -> Location:
        """The place of one of its readings."""
        return Location(reading.file or self.file, reading.line)

    def finite(self) -> list[Reading]:
        """The finite readings in file order."""
        return [r for r in self.readings if math.isfinite(r.value)]

    def before_nonfinite(self) -> list[Reading]:
        """The finite readings before the first non-finite one (all of them if there is none)."""
        if self.first_nonfinite is None:
            return self.finite()
        return list(itertools.takewhile(lambda r: math.isfinite(r.value), self.readings))


class Event(msgspec.Struct, frozen=True):
    """A line that says more than a number: a warning, an assertion, an overflow message, a restart."""

    kind: str  # id from the dialect file, e.g. `anomaly-function`, `numpy-divide`, `loss-scale-reduced`
    location: Location
    text: str  # the line, cut to 500 characters, control characters removed
    fields: dict[str, str] = {}  # named groups of the pattern: `operation`, `scale`, `file`, ...
    count: int = 1  # repeats of the same kind in the run; the location is the first one's


class LayerReading(msgspec.Struct, frozen=True):
    """One `debug_info` line of Caffe (or a probe's line): the mean absolute value of a blob."""

    step: float | None
    line: int
    phase: str  # Forward | Backward | Update
    layer: str
    blob: str  # `top blob conv1 data`, `param blob 0 diff`, `bottom blob ip1 diff`
    value: float


class Embedded(msgspec.Struct, frozen=True):
    """A text inside the log, e.g. the dump of the solver: `line` is the log's line of its first line."""

    text: str
    file: str
    line: int
    phase: str = ""  # of a net dump: TRAIN or TEST


class Printed(msgspec.Struct, frozen=True):
    """A setting that the log prints: its value as text, and the place."""

    value: str
    line: int
    file: str = ""  # only of a rotated log: the part it stands in


class Run(msgspec.Struct, frozen=True):
    """One training run, read from one or several files of it."""

    files: tuple[str, ...]
    dialects: dict[str, int]  # dialect id -> number of lines it recognised
    framework: str = ""  # caffe | darknet | pytorch | lightning | hf | keras | tensorflow | jax | mm | detectron2 | ...
    lines: int = 0
    unrecognised_share: float = 0.0  # of non-empty lines
    series: tuple[Series, ...] = ()
    events: tuple[Event, ...] = ()
    layers: tuple[LayerReading, ...] = ()
    top_shapes: dict[str, tuple[int, ...]] = {}  # Caffe: blob or layer top -> shape, from the log's "Top shape" lines
    solver_text: Embedded | None = None
    net_texts: tuple[Embedded, ...] = ()
    header: dict[str, Printed] = {}  # key: value lines and argument dumps near the start (precision, batch_size, ...)
    ended: Literal["", "complete", "crashed", "stopped"] = ""
    resumed_from: str = ""  # snapshot or checkpoint the log says it starts from
    several_runs: int = 1  # how many runs the file holds; the last one with numbers is this one
    notes: tuple[str, ...] = ()  # remarks of the reader, English, for stderr

    def of(self, *roles: Role) -> list[Series]:
        """The series of these roles."""
        return [s for s in self.series if s.role in roles]

    @property
    def first_step(self) -> float | None:
        """The first step of any series, as printed."""
        return next((r.step for s in self.series for r in s.readings[:1] if r.step is not None), None)

    @property
    def last_step(self) -> float | None:
        """The largest last step of any series, as printed."""
        steps = [r.step for s in self.series for r in s.readings[-1:] if r.step is not None]
        return max(steps, default=None)
