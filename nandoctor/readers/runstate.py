"""One run in the making: what each recognised line adds to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Literal

from nandoctor.readers.collect import PART, Events, Gathered, Layers
from nandoctor.readers.dialect import PLACES, VALIDATION, Event, Line, RoleTable, number
from nandoctor.readers.facts import Embedded, LayerReading, Printed, Role, Run
from nandoctor.readers.place import Place
from nandoctor.readers.shape import Shape
from nandoctor.source import printable

LOSSES: tuple[Role, ...] = ("loss", "loss_part", "loss_running")
MAX_SERIES = 3_000
MAX_NAMES = 50_000  # printed names remembered
MAX_HEADER = 400  # entries kept of what stands before the first number
MAX_WAITING = 100_000
STAND_IN_READINGS = 3  # fewer are no curve
GOES_ON = 20  # lines; a loss printed later than that after an end shows that the run went on
MORE_CELLS = 12  # numbers beyond the named columns (YOLO's results of the validation)

Target = Gathered | str | None  # where the numbers of a name go: a series, a place (`step`, `epoch`, ...), nowhere


class RunState:
    """What has been gathered of one run."""

    def __init__(self, roles: RoleTable, last_resort: bool = False) -> None:
        self.roles = roles
        self.last_resort = last_resort  # nothing is called a loss in this log: some quantity may have to stand for it
        self.series: dict[tuple[str, str, str], Gathered] = {}
        self.targets: dict[Line, dict[str, Target]] = {}
        self.shapes: dict[bytes, list[Shape]] = {}
        self.events = Events()
        self.layers = Layers()
        self.top_shapes: dict[str, tuple[int, ...]] = {}
        self.solver: Embedded | None = None
        self.nets: list[Embedded] = []
        self.header: dict[str, tuple[str, int]] = {}
        self.ended: Literal["", "complete", "crashed", "stopped"] = ""
        self.ended_line = 0
        self.resumed_from = ""
        self.has_loss = False
        self.place = Place()
        self.glued = ""  # the rest of a line that began with a bar without numbers
        self.cleared = 0  # number of the last line of blanks only: a bar was wiped
        self.waiting: list[Gathered] = []  # whose last reading gets its step from the next line that carries one
        self.layers_waiting: list[tuple[int, str, str, str, float]] = []
        self._layer_name = ""
        self._tops: list[str] = []
        self._columns: list[str] = []

    def skip(self) -> None:
        """Lines were left out."""
        self.place.lost()
        self.waiting.clear()
        self.layers_waiting.clear()

    def apply(self, pattern: Line, text: str, line: int) -> bool:
        """Reads the line with this pattern; False if it does not fit."""
        match = pattern.search(text)
        if match is None:
            return False
        records = pattern.pattern.records
        if records == "reading":
            return self._readings(pattern, match, text, line)
        if records == "layer":
            self._layer(pattern, match, line)
        elif records == "columns":
            self._columns = _cells(match["rest"])
        elif records == "row":
            return self._row(pattern, match, line)
        elif records == "header":
            self.header.setdefault(match["key"].strip(), (match["value"].strip(), line))
        elif records != "nothing":
            self._shape(records, match)
        return True

    # --- numbers

    def _readings(self, pattern: Line, match: re.Match[str], text: str, line: int) -> bool:
        found: list[tuple[Gathered, str]] = []
        places: list[tuple[str, str]] = []
        for group, name in pattern.quantities:
            value = match[group]
            if value is not None and isinstance(target := self.target(pattern, name), Gathered):
                found.append((target, value))
        if pattern.name and isinstance(target := self.target(pattern, match[pattern.name]), Gathered):
            found.append((target, match[pattern.value]))
            if pattern.weight and match[pattern.weight] is not None and target.weight is None:
                target.weight = number(match[pattern.weight])
        if pattern.pairs is not None:
            pairs = pattern.pairs
            part = match[pattern.pair_group] if pattern.pair_group else text[match.end() :]
            for groups in pairs.findall(part or ""):
                target = self.target(pattern, groups[pairs.name])
                if isinstance(target, Gathered):
                    found.append((target, groups[pairs.value]))
                    if pairs.mean >= 0 and groups[pairs.mean]:
                        found.append((self.mean(pattern, target), groups[pairs.mean]))
                elif target is not None:
                    places.append((target, groups[pairs.value]))
        if not found:
            bar = pattern.pattern.carries_step or pattern.pattern.refreshes
            if not pattern.has_place or ((pattern.pairs is not None or pattern.name) and not bar):
                return False
            if bar:  # what was printed while the bar stood there is glued to it
                self.glued = text[match.end() :].lstrip("] \t")
        elif not self.last_resort and pattern.dialect.generic and all(g.role == "other" for g, _ in found):
            return False
        step, unit = self._stands(pattern, match, places)
        if self.place.gap and not self._found_again(step, found):
            return True
        for gathered, value in found:
            gathered.unit = unit
            gathered.add(step, line, value)
        follows = pattern.pattern.step_follows
        if follows and (follows == "always" or self.cleared == line - 1):
            self.waiting += [gathered for gathered, _ in found]
        return True

    def _found_again(self, step: float | None, found: Sequence[tuple[Gathered, str]]) -> bool:
        """After lines were left out: whether the line's place is known, if the series tell theirs at all."""
        if step is not None:
            self.place.gap = False
            return True
        return not any(gathered.items and gathered.items[-1][0] is not None for gathered, _ in found)

    def target(self, pattern: Line, name: str) -> Target:
        """Where numbers of this name go."""
        targets = self.targets.get(pattern)
        if targets is None:
            targets = self.targets[pattern] = {}
        try:
            return targets[name]
        except KeyError:
            target = self._new_target(pattern, " ".join(name.split()))
            if len(targets) < MAX_NAMES:
                targets[name] = target
            return target

    def _new_target(self, pattern: Line, name: str) -> Target:
        role = pattern.role(name) or self.roles.role(name)
        if role in PLACES:
            return role
        if role == "ignore":
            return None
        if pattern.pattern.validation:
            role = VALIDATION.get(role, role)
        only_epoch = pattern.epoch and not (pattern.step or pattern.iter)
        key = (name, pattern.dialect.id, role + (" by epoch" if only_epoch else ""))
        gathered = self.series.get(key)
        if gathered is None:
            if len(self.series) >= MAX_SERIES:
                return None
            bar = pattern.pattern
            gathered = Gathered(name, role, bar.refreshes, bar.keeps)  # type: ignore[arg-type]
            self.series[key] = gathered
        if role in LOSSES:
            self.has_loss = True
        return gathered

    def mean(self, pattern: Line, of: Gathered) -> Gathered:
        """The series of the running mean that is printed beside a value."""
        if of.mean is None:
            role: Role = "loss_running" if of.role in LOSSES else of.role
            of.mean = Gathered(f"{of.quantity} (mean)", role, pattern.pattern.refreshes)
            self.series[of.mean.quantity, pattern.dialect.id, of.role] = of.mean
        return of.mean

    def _row(self, pattern: Line, match: re.Match[str], line: int) -> bool:
        """A line of a table whose columns a line above named."""
        names, cells = self._columns, _cells(match["rest"])
        if len(cells) < len(names) == len(match["rest"].split()):
            cells = match["rest"].split()  # a wide number leaves a single blank before it
        more = MORE_CELLS if pattern.has_place else 0
        if len(cells) < 2 or not len(names) <= len(cells) <= len(names) + more:
            return False
        found: list[tuple[Gathered, str]] = []
        places: list[tuple[str, str]] = []
        for name, cell in zip(names, cells):
            value = cell.rstrip(":,")
            try:
                number(value)
            except ValueError:
                continue
            target = self.target(pattern, name)
            if isinstance(target, Gathered):
                found.append((target, value))
            elif target is not None:
                places.append((target, value))
        if not found:
            return False
        step, unit = self._stands(pattern, match, places)
        for gathered, value in found:
            gathered.unit = unit
            gathered.add(step, line, value)
        return True

    # --- where the line stands

    def _stands(
        self, pattern: Line, match: re.Match[str], places: Sequence[tuple[str, str]]
    ) -> tuple[float | None, str]:
        """Step and unit of a line: its own, one among its pairs, or carried from above."""
        place = self.place
        step, unit = self._own_place(pattern, match) if pattern.has_place else self.carried()
        if places and not pattern.step:
            said = {role: number(value) for role, value in places}
            if "step" in said:
                return said["step"], "iteration"
            if not pattern.has_place:
                if "epoch" in said:
                    place.set_epoch(said["epoch"])
                    step, unit = said["epoch"], "epoch"
                if "iter" in said:
                    return place.within(id(pattern), said["iter"], 0.0), "iteration"
                if "progress" in said and step is None:
                    return said["progress"], "epoch"
        return step, unit

    def carried(self) -> tuple[float | None, str]:
        """Step and unit of a line that prints none."""
        if self.place.step is not None:
            return self.place.step, "iteration"
        return self.place.epoch, "epoch" if self.place.epoch is not None else ""

    def _own_place(self, pattern: Line, match: re.Match[str]) -> tuple[float | None, str]:
        place = self.place
        if pattern.epoch and match[pattern.epoch] is not None:
            place.set_epoch(float(match[pattern.epoch]))
            if not (pattern.step or pattern.iter):
                place.step = None
        total = 0.0
        if pattern.step and match[pattern.step] is not None:
            step = float(match[pattern.step])
            if pattern.steps and match[pattern.steps] is not None:
                total = float(match[pattern.steps])
        elif pattern.iter and match[pattern.iter] is not None:
            if pattern.iters and match[pattern.iters] is not None:
                total = float(match[pattern.iters])
            step = place.within(id(pattern), float(match[pattern.iter]), total)
        else:
            return self.carried()
        if pattern.pattern.carries_step and place.is_training_bar(total):
            place.step = step
            self.told(step)
        return step, "iteration"

    def told(self, step: float) -> None:
        """The line after tells the step of what was printed before it."""
        if self.waiting:
            for gathered in self.waiting:
                gathered.set_last_step(step)
            self.waiting = []
        if self.layers_waiting:
            for waiting in self.layers_waiting:
                self.layers.add(LayerReading(step, *waiting))
            self.layers_waiting = []

    # --- the rest

    def _layer(self, pattern: Line, match: re.Match[str], line: int) -> None:
        reading = (line % PART, match["phase"], match["layer"], match["blob"], number(match["value"]))
        if pattern.pattern.step_follows and len(self.layers_waiting) < MAX_WAITING:
            self.layers_waiting.append(reading)
        else:
            self.layers.add(LayerReading(self.place.step, *reading))

    def _shape(self, records: str, match: re.Match[str]) -> None:
        """Caffe prints a layer's tops by name, and their shapes after setting it up, in the same order."""
        if records == "layer_name":
            self._layer_name, self._tops = match["layer"], []
        elif records == "top":
            self._tops.append(match["top"])
        elif self._tops or self._layer_name:
            top = self._tops.pop(0) if self._tops else self._layer_name
            sizes = tuple(int(size) for size in match["shape"].split())
            self.top_shapes.setdefault(top, sizes)
            self.top_shapes.setdefault(self._layer_name, sizes)

    def happened(self, event: Event, match: re.Match[str], text: str, line: int) -> None:
        """An event's line."""
        pattern = event.pattern
        fields = {name: printable(value.strip()) for name, value in match.groupdict().items() if value is not None}
        step, _ = self.carried()
        if "iteration" in fields:  # the lines that follow belong to it
            self.place.step = number(fields["iteration"])
        elif step is not None:
            fields.setdefault("step", f"{step:g}")
        self.events.add(pattern.id, line, text, fields)
        if pattern.ends and not (self.ended and pattern.ends == "complete"):
            self.ended, self.ended_line = pattern.ends, line
        if pattern.resumes:
            self.resumed_from = fields.get("checkpoint", "") or self.resumed_from or "a checkpoint"

    def read_header(self, text: str, line: int) -> None:
        """Settings that stand before the first loss."""
        if self.has_loss or len(self.header) >= MAX_HEADER:
            return
        from nandoctor.readers.header import settings

        for key, value in settings(text)[:MAX_HEADER]:
            self.header.setdefault(key, (value, line))

    def finish(self, parts: Sequence[str]) -> Run:
        """The run as the detectors see it; `parts` are the files of a rotated log, or the one file. Changes nothing."""
        gathered = [g for g in self.series.values() if g.items]
        alone = _alone(gathered) or (_stand_in(gathered, self.roles) if self.last_resort else None)
        last = max((g.items[-1][1] for g in gathered if g.role in LOSSES), default=0)
        # readings whose step would have come in a line that is not there (yet)
        unplaced = tuple(LayerReading(None, *waiting) for waiting in self.layers_waiting)
        return Run(
            files=tuple(parts),
            dialects={},
            series=tuple(g.finish(parts, "loss" if g is alone else g.role) for g in gathered),
            events=self.events.finish(parts),
            layers=(*self.layers.finish(), *unplaced),
            top_shapes=dict(self.top_shapes),
            solver_text=self.solver,
            net_texts=tuple(self.nets),
            header={k: Printed(text, n % PART, parts[n // PART]) for k, (text, n) in self.header.items()},
            ended=self.ended if last <= self.ended_line + GOES_ON else "",
            resumed_from=self.resumed_from,
        )


def _cells(text: str) -> list[str]:
    """The cells of a table's line, divided by bars, commas, tabs or blanks."""
    bare = text.strip(" \t|│┃")
    divided = re.split(r"[ \t]*[|,;\t│┃][ \t]*", bare)
    return divided if len(divided) > 1 else re.split(r"  +", bare) if "  " in bare else bare.split()


def _stand_in(series: Sequence[Gathered], roles: RoleTable) -> Gathered | None:
    """Where nothing is called a loss: the quantity printed most often that is no known one, the first on its line."""
    if any(g.role in LOSSES for g in series):
        return None
    fractions = [g for g in series if _is_measured(g)]
    rows = [g for g in fractions if g.role == "other"] or [g for g in fractions if roles.stands_in(g.quantity)]
    most = max((g.held for g in rows), default=0)
    return next((g for g in rows if g.held >= STAND_IN_READINGS and g.held >= 0.8 * most), None)


def _is_measured(series: Gathered) -> bool:
    """Whether the values are those of a measure: fractions or not finite, most of them."""
    values = [value for _, _, value in series.items]
    return 2 * sum(not isfinite(v) or not v.is_integer() for v in values) > len(values)


def _alone(series: Iterable[Gathered]) -> Gathered | None:
    """A single component without a total beside it is the loss itself; so is Caffe's only output with a weight."""
    parts = [g for g in series if g.role == "loss_part"]
    if len(parts) != 1:
        return None
    totals: Sequence[Role] = ("loss",) if parts[0].weight is not None else ("loss", "loss_running")
    return None if any(g.role in totals for g in series) else parts[0]
