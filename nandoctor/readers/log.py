"""Reads the log of a training run, whatever wrote it.

Recognition is per line. The letters of a line (its key) tell the kinds of lines apart: the first line of a kind is held
against all patterns, the following ones only against the pattern that took the first. A number that turns into `nan`
changes the letters, so it is never missed by that.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Callable, Iterable, Sequence

from nandoctor.errors import UnreadableError, UsageError
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.collect import PART, Events, Gathered, Layers
from nandoctor.readers.dialect import PLACES, VALIDATION, Block, Event, Lexicon, Line, number
from nandoctor.readers.facts import Embedded, LayerReading, Role, Run
from nandoctor.readers.lines import aligned, overprinted, text_of, without_marks
from nandoctor.source import printable

Progress = Callable[[int, int], None]
MAX_KEYS = 50_000  # kinds of lines remembered
MAX_HEADER = 400  # entries kept of what stands before the first number
TRIES = 3  # lines of one kind held against all patterns before the kind is given up
SHARES_LOSS: tuple[Role, ...] = ("loss", "loss_part", "loss_running")

# A key is the line's letters in lower case. Bytes of drawn bars (U+2500 to U+259F) go, other scripts stay.
_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_DROPPED = (
    bytes(c for c in range(256) if not (chr(c).isalpha() and c < 128) and not c >= 0xA0 and c not in b"\n\r(") + b"\xe2"
)
_HEADER = re.compile(r"^[\s\"'{\[*-]*([A-Za-z_][\w.\- /]{0,60}?)[\"']?\s*(?::|=|\.{3,})\s*(\S.{0,200}?)\s*,?$")
_ARGUMENT = re.compile(
    r"[\"']?([A-Za-z_]\w{0,60})[\"']?\s*(?:=|:\s)\s*('[^']{0,200}'|\"[^\"]{0,200}\"|[^\s,(){}\[\]]{1,200})"
)
# A dump of arguments or of a configuration on one line
_DUMP = re.compile(r"\W{0,4}(?:[\w.]+[\s:=]{1,3}){0,4}\w{0,60}[({]|\w{1,60}=\S+,? +\w{1,60}=")
# What loggers put in front: glog and absl, dates, levels, ranks. For the header only; patterns search past it.
_PREFIX = re.compile(
    r"^(?:[IWEF]\d{4,8} [\d:.]+ +\d+ \S+:\d+\]|\[?\d{2,4}[-/]\d\d(?:[-/]\d\d)?[ T][\d:.,]+[^\s\]]*\]?"
    r"|\[?rank\s?\d+\]?:?|[-|:\s]+|\[?(?:DEBUG|INFO|WARNING|ERROR)\]?|\[[\w.: -]{1,60}\]"
    r"|[\w.]+ - (?=INFO|DEBUG|WARN))+\s*"
)


def read_run(
    paths: Sequence[str | os.PathLike[str]],
    kb: KnowledgeBase,
    *,
    dialect: str = "",
    progress: Progress | None = None,
) -> Run:
    """One training run from all its files (`-` is standard input), merged into one history.

    Args:
        paths: log, metrics.csv, train.jsonl, trainer_state.json, scalars.json, rotated parts, packed or not.
        kb: dialects and quantities come from here.
        dialect: id of the only dialect whose lines are read; events of all dialects are still found.
        progress: called now and then with bytes read and bytes in all (0 if unknown).

    Raises:
        UnreadableError: a file is missing, a folder, empty, binary or no log; or none was given.
        UsageError: no dialect of that id.
    """
    from nandoctor.readers.merge import read_files

    if dialect and dialect not in kb.dialects:
        raise UsageError(f"no dialect `{printable(dialect)}`; there are: {', '.join(sorted(kb.dialects))}")
    if not paths:
        raise UnreadableError("no log was given")
    return read_files([os.fspath(path) for path in paths], kb, dialect, progress)


def read_text(text: str | bytes, name: str, kb: KnowledgeBase) -> Run:
    """The run in a pasted text.

    Raises:
        UnreadableError: nothing in it.
    """
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if not data.strip():
        raise UnreadableError(f"{printable(name)} is empty")
    reader = LogReader(name, Lexicon(kb))
    for chunk in aligned(iter([data])):
        reader.feed(chunk)
    return reader.finish()


def _told_apart(series: Iterable[Gathered]) -> list[Gathered]:
    """A single component without a total beside it is the loss itself; so is Caffe's only output with a weight."""
    gathered = [g for g in series if g.items]
    parts = [g for g in gathered if g.role == "loss_part"]
    if len(parts) == 1:
        totals: Sequence[Role] = ("loss",) if parts[0].weight is not None else ("loss", "loss_running")
        if not any(g.role in totals for g in gathered):
            parts[0].role = "loss"
    return gathered


class Kind:
    """What is known of lines with one key."""

    __slots__ = ("events", "lines", "tries")

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.events: list[Event] = []
        self.tries = 0


class Place:
    """Where in the training a line stands: step, or epoch and iteration within it, counted through."""

    def __init__(self) -> None:
        self.step: float | None = None  # carried to lines without their own
        self.epoch: float | None = None
        self.base = 0.0  # number of the first epoch, 0 or 1
        self.seen_epoch = False
        self.total = 0.0  # of the bar whose count is carried
        self._turns: dict[tuple[int, float], list[float]] = {}

    def set_epoch(self, epoch: float) -> None:
        """An epoch number was printed."""
        if not self.seen_epoch:
            self.seen_epoch = True
            self.base = 1.0 if epoch == 1.0 else 0.0
        self.epoch = epoch

    def within(self, pattern: int, iteration: float, total: float) -> float:
        """The step of an iteration within an epoch: counted through if the epoch (or a turn-over) tells how."""
        if self.epoch is not None and total:
            return (self.epoch - self.base) * total + iteration
        turn = self._turns.setdefault((pattern, total), [iteration, 0.0, -1.0])
        epoch = -1.0 if self.epoch is None else self.epoch
        if iteration < turn[0] and epoch >= turn[2]:
            turn[1] += total or turn[0] + 1
        turn[0], turn[2] = iteration, epoch
        return turn[1] + iteration

    def lost(self) -> None:
        """Lines were left out: nothing is carried over."""
        self.step = None
        self.epoch = None


class RunState:
    """What has been gathered of one run."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, str, str], Gathered] = {}
        self.targets: dict[tuple[int, str], Gathered | str | None] = {}  # (pattern, name) -> where its numbers go
        self.events = Events()
        self.layers = Layers()
        self.top_shapes: dict[str, tuple[int, ...]] = {}
        self.solver: Embedded | None = None
        self.nets: list[Embedded] = []
        self.header: dict[str, str] = {}
        self.ended = ""
        self.ended_line = 0
        self.resumed_from = ""
        self.has_loss = False
        self.place = Place()
        self.layer_name = ""
        self.tops: list[str] = []
        self.columns: list[str] = []


class LogReader:
    """Takes chunks of one file and gathers a run. `finish` may be called at any time."""

    def __init__(self, name: str, lexicon: Lexicon) -> None:
        self.name = name
        self.parts = [name]
        self.lexicon = lexicon
        self.line = 0  # plus PART for each rotated part before this one
        self.lines_before = 0
        self.filled = 0  # non-empty lines
        self.unrecognised = 0
        self.dialects: dict[str, int] = {}
        self.hints: dict[str, float] = {}
        self.runs: list[RunState] = []
        self.run = RunState()
        self.notes: list[str] = []
        self._kinds: dict[bytes, Kind | None] = {}
        self._block: Block | None = None
        self._block_lines: list[str] = []
        self._block_start = 0
        self._cleared = 0  # number of the last line of blanks only
        self._waiting: list[Gathered] = []  # readings whose step the next bar tells
        self._layers_waiting: list[tuple[int, str, str, str, float]] = []
        self._started = 0  # line of the last start event

    # --- lines

    def feed(self, chunk: bytes) -> None:
        """Complete lines of the file, in order; the last chunk may end within a line."""
        keys = chunk.translate(_LOWER, _DROPPED).splitlines()
        lines = chunk.splitlines()
        dirty = b"\x1b" in chunk or b"\x08" in chunk or b"**" in chunk or b"\\*" in chunk or b"\n> " in chunk
        kinds = self._kinds
        number_ = self.line
        for key, raw in zip(keys, lines):
            number_ += 1
            kind = kinds.get(key, kinds)
            if kind is None and key and self._block is None:
                self.filled += 1
                self.unrecognised += 1
                continue
            self.line = number_
            if self._block is not None and self._block_line(raw):
                continue
            if not key and not raw.strip():
                self._cleared = number_
                continue
            self.filled += 1
            text = text_of(raw)
            if dirty:
                if "\x08" in text:
                    self._overprinted(text)
                    continue
                text = without_marks(text)
            if kind is kinds or kind is None:
                self._learn(key, text)
            else:
                self._known(key, kind, text)
        self.line = number_

    def next_part(self, name: str) -> None:
        """The log goes on in another file: its lines are counted anew."""
        self._close_block()
        self.lines_before += self.line % PART
        self.parts.append(name)
        self.line = (len(self.parts) - 1) * PART

    def skip(self, lines: int) -> None:
        """Lines of the file that are not read."""
        self.line += lines
        self.run.place.lost()
        self._waiting.clear()
        self._layers_waiting.clear()

    def _overprinted(self, text: str) -> None:
        for piece in overprinted(text):
            self._learn(b"\x08", without_marks(piece))

    def _known(self, key: bytes, kind: Kind, text: str) -> None:
        """A line of a kind that was met before."""
        for event in kind.events:
            match = event.search(text)
            if match is not None:
                self._event(event, match, text)
        for pattern in kind.lines:
            if self._apply(pattern, text):
                self.dialects[pattern.dialect.id] += 1
                return
        if kind.lines or not kind.events:
            self._learn(key, text, kind)

    def _learn(self, key: bytes, text: str, kind: Kind | None = None) -> None:
        """A line of a new kind: held against everything."""
        fresh = kind is None
        if kind is None:
            kind = Kind()
            if len(self._kinds) < MAX_KEYS and key != b"\x08":
                self._kinds[key] = kind
        for block in self.lexicon.blocks:
            if block.needs in text and block.search(text):
                self._close_block()
                self._block, self._block_start = block, self.line + 1
        if fresh:
            for event in self.lexicon.events:
                if event.needs in text and (match := event.search(text)) is not None:
                    kind.events.append(event)
                    self._event(event, match, text)
        for pattern in self.lexicon.line_candidates(text, self.dialects):
            if self._apply(pattern, text):
                if pattern not in kind.lines:
                    kind.lines.append(pattern)
                self.dialects[pattern.dialect.id] = self.dialects.get(pattern.dialect.id, 0) + 1
                return
        for hint, dialect in self.lexicon.hints:
            if hint in text:
                self.hints[dialect.framework] = self.hints.get(dialect.framework, 0.0) + dialect.weight
        if self._block is not None and self._block_start == self.line + 1:
            return
        if not self.run.has_loss:
            self._header(text)
        if not kind.events:
            self.unrecognised += 1
            kind.tries += 1
            if key and kind.tries >= TRIES and not kind.lines and key in self._kinds:
                self._kinds[key] = None

    # --- what a line says

    def _apply(self, pattern: Line, text: str) -> bool:
        """Reads the line with this pattern; False if it does not fit."""
        match = pattern.search(text)
        if match is None:
            return False
        records = pattern.pattern.records
        if records == "reading":
            return self._readings(pattern, match, text)
        if records == "nothing":
            return True
        if records == "columns":
            self.run.columns = match["rest"].split()
            return True
        if records == "row":
            return self._row(pattern, match)
        if records == "layer":
            self._layer(pattern, match)
        elif records == "header":
            self.run.header.setdefault(match["key"].strip(), match["value"].strip())
        else:
            self._shape(records, match)
        return True

    def _readings(self, pattern: Line, match: re.Match[str], text: str) -> bool:
        targets = self.run.targets
        identity = id(pattern)
        found: list[tuple[Gathered, str]] = []
        places: list[tuple[str, str]] = []
        for group, name in pattern.quantities:
            value = match[group]
            if value is not None:
                target = targets.get((identity, name), targets)
                if target is targets:
                    target = self._target(pattern, name)
                if target.__class__ is Gathered:
                    found.append((target, value))
        if pattern.name:
            name = match[pattern.name]
            target = targets.get((identity, name), targets)
            if target is targets:
                target = self._target(pattern, name)
            if target.__class__ is Gathered:
                found.append((target, match[pattern.value]))
                if pattern.weight and match[pattern.weight] is not None and target.weight is None:
                    target.weight = number(match[pattern.weight])
                if pattern.mean and match[pattern.mean] is not None:
                    found.append((self._mean(pattern, target), match[pattern.mean]))
        if pattern.pairs is not None:
            pairs = pattern.pairs
            part = match[pattern.pair_group] if pattern.pair_group else text[match.end() :]
            for groups in pairs.findall(part or ""):
                name = groups[pairs.name]
                target = targets.get((identity, name), targets)
                if target is targets:
                    target = self._target(pattern, name)
                if target.__class__ is Gathered:
                    found.append((target, groups[pairs.value]))
                    if pairs.mean >= 0 and groups[pairs.mean]:
                        found.append((self._mean(pattern, target), groups[pairs.mean]))
                elif target is not None:
                    places.append((target, groups[pairs.value]))
        if not found:
            bar = pattern.pattern.carries_step or pattern.pattern.refreshes
            if not pattern.has_place or ((pattern.pairs is not None or pattern.name) and not bar):
                return False
        elif pattern.dialect.generic and all(gathered.role == "other" for gathered, _ in found):
            return False
        step, unit = self._stands(pattern, match, places)
        line = self.line
        for gathered, value in found:
            gathered.unit = unit
            gathered.add(step, line, value)
        follows = pattern.pattern.step_follows
        if follows and (follows == "always" or self._cleared == line - 1):
            self._waiting += [gathered for gathered, _ in found]
        return True

    def _stands(self, pattern: Line, match: re.Match[str], places: list[tuple[str, str]]) -> tuple[float | None, str]:
        """Step and unit of a line: its own, one among its pairs, or carried from above."""
        place = self.run.place
        if pattern.has_place:
            step, unit = self._place(pattern, match)
        elif place.step is not None:
            step, unit = place.step, "iteration"
        else:
            step, unit = place.epoch, "epoch" if place.epoch is not None else ""
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

    def _place(self, pattern: Line, match: re.Match[str]) -> tuple[float | None, str]:
        """Step and unit of a line that prints them."""
        place = self.run.place
        if pattern.epoch and match[pattern.epoch] is not None:
            place.set_epoch(float(match[pattern.epoch]))
            if not (pattern.step or pattern.iter):
                place.step = None
        if pattern.step and match[pattern.step] is not None:
            step = float(match[pattern.step])
            if pattern.steps and match[pattern.steps] is not None:
                total = float(match[pattern.steps])
                if pattern.pattern.carries_step and place.total and total != place.total:
                    return step, "iteration"  # another bar, of an evaluation
                place.total = total
            if pattern.pattern.carries_step:
                place.step = step
                if self._waiting or self._layers_waiting:
                    self._told(step)
            return step, "iteration"
        if pattern.iter and match[pattern.iter] is not None:
            total = float(match[pattern.iters]) if pattern.iters and match[pattern.iters] is not None else 0.0
            step = place.within(id(pattern), float(match[pattern.iter]), total)
            if pattern.pattern.carries_step:
                if place.total and total != place.total:
                    return step, "iteration"  # another bar, of an evaluation
                place.total = total
                place.step = step
                if self._waiting or self._layers_waiting:
                    self._told(step)
            return step, "iteration"
        if place.step is not None:
            return place.step, "iteration"
        return place.epoch, "epoch" if place.epoch is not None else ""

    def _told(self, step: float) -> None:
        """The bar after a line that was printed over it tells the line's step."""
        for gathered in self._waiting:
            if gathered.items:
                _, line, value = gathered.items[-1]
                gathered.items[-1] = (step, line, value)
                if gathered.first is not None and gathered.first[1] == line:
                    gathered.first = (step, line, gathered.first[2])
        self._waiting = []
        for waiting in self._layers_waiting:
            self.run.layers.add(LayerReading(step, *waiting))
        self._layers_waiting = []

    def _target(self, pattern: Line, name: str) -> Gathered | str | None:
        """Where numbers of this name go: a series, a place (`step`, `epoch`, `iter`), nowhere."""
        printed = " ".join(name.split())
        role = pattern.role(printed) or self.lexicon.roles.role(printed)
        target: Gathered | str | None
        if role in PLACES:
            target = role
        elif role == "ignore":
            target = None
        else:
            if pattern.pattern.validation:
                role = VALIDATION.get(role, role)
            only_epoch = pattern.epoch and not (pattern.step or pattern.iter)
            key = (printed, pattern.dialect.id, role + (" by epoch" if only_epoch else ""))
            target = self.run.series.get(key)
            if target is None:
                target = Gathered(printed, role, pattern.pattern.refreshes)
                self.run.series[key] = target
            if role in SHARES_LOSS:
                self.run.has_loss = True
        if len(self.run.targets) < MAX_KEYS:
            self.run.targets[id(pattern), name] = target
        return target

    def _mean(self, pattern: Line, of: Gathered) -> Gathered:
        """The series of the running mean that is printed beside a value."""
        if of.mean is None:
            role: Role = "loss_running" if of.role in SHARES_LOSS else of.role
            of.mean = Gathered(f"{of.quantity} (mean)", role, pattern.pattern.refreshes)
            self.run.series[of.mean.quantity, pattern.dialect.id, role] = of.mean
        return of.mean

    def _row(self, pattern: Line, match: re.Match[str]) -> bool:
        """A line of a table whose columns a line above named."""
        names, cells = self.run.columns, match["rest"].split()
        if not names or len(cells) < 2 or len(cells) > len(names) + 12:
            return False
        found = []
        places = []
        for name, cell in zip(names, cells):
            value = cell.rstrip(":,")
            try:
                number(value)
            except ValueError:
                continue
            target = self._target(pattern, name)
            if isinstance(target, Gathered):
                found.append((target, value))
            elif target is not None:
                places.append((target, value))
        if not found:
            return False
        step, unit = self._stands(pattern, match, places)
        for gathered, text in found:
            gathered.unit = unit
            gathered.add(step, self.line, text)
        return True

    def _layer(self, pattern: Line, match: re.Match[str]) -> None:
        reading = (self.line, match["phase"], match["layer"], match["blob"], number(match["value"]))
        if pattern.pattern.step_follows and len(self._layers_waiting) < MAX_KEYS:
            self._layers_waiting.append(reading)
        else:
            self.run.layers.add(LayerReading(self.run.place.step, *reading))

    def _shape(self, records: str, match: re.Match[str]) -> None:
        """Caffe prints a layer's tops by name, and their shapes after setting it up, in the same order."""
        run = self.run
        if records == "layer_name":
            run.layer_name, run.tops = match["layer"], []
        elif records == "top":
            run.tops.append(match["top"])
        elif run.tops or run.layer_name:
            top = run.tops.pop(0) if run.tops else run.layer_name
            shape = tuple(int(size) for size in match["shape"].split())
            run.top_shapes.setdefault(top, shape)
            run.top_shapes.setdefault(run.layer_name, shape)

    def _event(self, event: Event, match: re.Match[str], text: str) -> None:
        pattern = event.pattern
        if pattern.starts_run:
            self._start()
        fields = {name: value.strip() for name, value in match.groupdict().items() if value is not None}
        run = self.run
        step = run.place.step if run.place.step is not None else run.place.epoch
        if step is not None:
            fields.setdefault("step", f"{step:g}")
        run.events.add(pattern.id, self.line, text, fields)
        self.dialects[event.dialect.id] = self.dialects.get(event.dialect.id, 0) + 1
        if "iteration" in fields:  # the lines that follow belong to it
            run.place.step = number(fields["iteration"])
        if pattern.ends and not (run.ended and pattern.ends == "complete"):
            run.ended, run.ended_line = pattern.ends, self.line
        if pattern.resumes:
            run.resumed_from = fields.get("checkpoint", "") or run.resumed_from or "a checkpoint"

    def _start(self) -> None:
        """A new run begins, if the one so far has shown a loss."""
        if self.run.has_loss and self._started != self.line:
            self._close_block()
            self.runs.append(self.run)
            self.run = RunState()
        self._started = self.line

    def _header(self, text: str) -> None:
        header = self.run.header
        if len(header) >= MAX_HEADER:
            return
        text = _PREFIX.sub("", text)
        found = _ARGUMENT.findall(text) if _DUMP.match(text) else []
        if not found and not text.startswith("  ") and (match := _HEADER.match(text)):
            found = [match.groups()]
        for key, value in found[:MAX_HEADER]:
            header.setdefault(printable(key).strip(), printable(value).strip("'\" ,"))

    # --- dumps of solver and net

    def _block_line(self, raw: bytes) -> bool:
        """Takes the line into the open dump; False, and the dump is closed, if it does not belong to it."""
        assert self._block is not None
        text = text_of(raw)
        if not self._block.belongs(text) or len(self._block_lines) > 200_000:
            self._close_block()
            return False
        self.filled += 1
        self._block_lines.append(text)
        return True

    def _close_block(self) -> None:
        if self._block is None:
            return
        text = "\n".join(self._block_lines).rstrip() + "\n"
        if text.strip():
            if self._block.pattern.kind == "solver":
                self.run.solver = Embedded(text, self.parts[-1], self._block_start % PART)
            else:
                phase = re.search(r"state\s*\{[^}]*phase:\s*(TRAIN|TEST)", text)
                self.run.nets.append(
                    Embedded(text, self.parts[-1], self._block_start % PART, phase[1] if phase else "")
                )
        self._block, self._block_lines = None, []

    # --- the result

    def finish(self) -> Run:
        """The last run with a loss in the file (or the last one)."""
        self._close_block()
        for waiting in self._layers_waiting:  # the log ends before the line with their step
            self.run.layers.add(LayerReading(None, *waiting))
        self._layers_waiting = []
        runs = [*self.runs, self.run]
        number_ = len(runs)
        run = next((r for r in reversed(runs) if r.has_loss), self.run)
        notes = list(self.notes)
        if number_ > 1:
            which = runs.index(run) + 1
            notes.append(f"{printable(self.name)} holds {number_} runs; run {which} is diagnosed")
        series = tuple(g.finish(self.parts) for g in _told_apart(run.series.values()) if g.items)
        if not any(s.role in SHARES_LOSS for s in series):
            notes.append(f"{printable(self.name)}: no training loss was recognised in it")
        return Run(
            files=tuple(self.parts),
            dialects=dict(sorted(self.dialects.items(), key=lambda item: -item[1])),
            framework=self._framework(),
            lines=self.lines_before + self.line % PART,
            unrecognised_share=self.unrecognised / self.filled if self.filled else 0.0,
            series=series,
            events=run.events.finish(self.parts),
            layers=run.layers.finish(),
            top_shapes=run.top_shapes,
            solver_text=run.solver,
            net_texts=tuple(run.nets),
            header=run.header,
            ended=run.ended,
            resumed_from=run.resumed_from,
            several_runs=number_,
            notes=tuple(notes),
        )

    def _framework(self) -> str:
        """By the lines that were recognised; where they say nothing, by names of packages in paths and messages."""
        of = {item.dialect.id: item.dialect for item in (*self.lexicon.lines, *self.lexicon.events)}
        votes: dict[str, float] = {}
        for name, count in self.dialects.items():
            dialect = of[name]
            if dialect.framework:
                votes[dialect.framework] = votes.get(dialect.framework, 0.0) + count * dialect.weight
        votes = votes or self.hints
        return max(votes, key=lambda f: (votes[f], self.hints.get(f, 0.0))) if votes else ""
