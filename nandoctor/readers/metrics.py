"""Tables and JSON files of numbers: metrics.csv, results.csv, trainer_state.json, history.json.

JSON lines (train.jsonl, scalars.json) are read as a log: the dialects know their lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Literal

from nandoctor.readers.collect import Gathered
from nandoctor.readers.dialect import NUMBER, PLACES, Lexicon, number
from nandoctor.readers.facts import Printed, Role, Run
from nandoctor.remark import Remark

MetricsKind = Literal["table", "json", "json lines", ""]
MAX_COLUMNS = 2_000
MAX_JSON = 48 << 20  # bytes of one JSON file that are read; beyond, its beginning
_DELIMITERS = (",", ";", "\t")
_TOKEN = (  # compiled when there is a JSON file
    rf'"(?P<key>(?:[^"\\]|\\.){{0,200}})"\s*:\s*(?:(?P<open>[{{\[])|"?(?P<number>{NUMBER})"?(?=[\s,}}\]]))?'
    rf"|(?P<brace>[{{}}\[\]])|(?P<element>{NUMBER})(?=[\s,\]])"
    r'|"(?:[^"\\]|\\.){0,20000}"'
)
_NAME = re.compile(r"[^\W\d][\w ./%@#()\[\]+-]*")
_VALUE = re.compile(r"(?<![\w.@/-])(?:[-+]?\d|(?:nan|inf|NaN|NAN)\b)")  # a number as a word of its own: no name
TENSORBOARD = ("Wall time", "Step", "Value")  # the columns of its CSV export; the quantity is in the file's name
_TAG = re.compile(r"(?:^|[-_. ])tag[-_](?P<tag>.+)")
_HELD_OUT = re.compile(r"(?:^|[-_./])(?:val|valid|validation|test|eval|evaluation)(?:[-_./]|$)", re.IGNORECASE)
_NAMES = ("loss", "epoch", "step", "iter", "lr", "acc")


def metrics_kind(head: bytes) -> MetricsKind:
    """Which kind of metrics file begins like this; empty if none (a log, a prototxt)."""
    text = head.lstrip()
    if text[:1] in (b"{", b"["):
        if not re.match(rb"[\[{\s]*\"", text):
            return ""
        first, _, rest = text.partition(b"\n")
        whole = first.rstrip().endswith(b"}") and first.count(b"{") == first.count(b"}")
        if text[:1] == b"{" and whole and not (rest.strip()[:1] == b"" and _holds_course(first)):
            return "json lines"
        return "json"
    first, _, rest = text.partition(b"\n")
    return "table" if _header(first.decode("utf-8", "replace")) and _row_follows(first, rest) else ""


def _holds_course(text: bytes) -> bool:
    return b"log_history" in text or re.search(rb'"[\w ]*loss"\s*:\s*\[', text) is not None


def _header(line: str) -> tuple[str, list[str]] | None:
    """Delimiter and names of a table's first line."""
    for delimiter in _DELIMITERS:
        names = [name.strip().strip('"').lstrip("#").strip() for name in line.strip().split(delimiter)]
        if len(names) < 2 or len(names) > MAX_COLUMNS or not all(len(name) <= 120 for name in names):
            continue
        if not all(_NAME.fullmatch(name) and not _VALUE.search(name) for name in names if name):
            continue
        lowered = [name.lower() for name in names]
        if any(word in name for name in lowered for word in _NAMES) and all(re.search(r"\w", n) for n in names if n):
            return delimiter, names
    return None


def _row_follows(first: bytes, rest: bytes) -> bool:
    """The second line has as many cells, and a number in one."""
    second = rest.lstrip(b"\r\n").splitlines()
    if not second:
        return True
    found = _header(first.decode("utf-8", "replace"))
    assert found is not None
    cells = second[0].decode("utf-8", "replace").split(found[0])
    return abs(len(cells) - len(found[1])) <= 1 and any(_is_number(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    return re.fullmatch(rf"\s*\"?{NUMBER}\"?\s*", cell) is not None


class Metrics:
    """Series in the making from one file of numbers."""

    def __init__(self, name: str, lexicon: Lexicon) -> None:
        self.name = name
        self.lexicon = lexicon
        self.line = 0
        self.series: dict[str, Gathered] = {}
        self.header: dict[str, Printed] = {}
        self.dialect = "tables"
        self.several = 1
        self._targets: dict[str, Gathered | str | None] = {}
        self._first_epoch: float | None = None
        self._last_step: float | None = None

    def target(self, name: str) -> Gathered | str | None:
        """Where numbers of this name go: a series, `step`, `epoch`, `iter`, or nowhere."""
        found = self._targets.get(name, self)
        if not isinstance(found, Metrics):
            return found
        lines = (line for line in self.lexicon.lines if line.dialect.id == self.dialect and line.pattern.pairs)
        own = (line.role(name) for line in lines)
        role = next((role for role in own if role), "") or self.lexicon.roles.role(name)
        made: Gathered | str | None
        if role in PLACES:
            made = role
        elif role == "ignore" or len(self.series) >= MAX_COLUMNS:
            made = None
        else:
            made = self.series.setdefault(name, Gathered(name, role))  # type: ignore[arg-type]
        self._targets[name] = made
        return made

    def add(self, numbers: Iterable[tuple[str, str, int]]) -> None:
        """One record: names, numbers as printed, lines."""
        places: dict[str, float] = {}
        found: list[tuple[Gathered, str, int]] = []
        for name, text, line in numbers:
            target = self.target(name)
            if isinstance(target, Gathered):
                found.append((target, text, line))
            elif target is not None and target not in places:
                places[target] = number(text)
        step = places.get("step")
        unit = "iteration"
        if step is None and "iter" in places:
            step = places["iter"]
        if step is None:
            step, unit = places.get("epoch", places.get("progress")), "epoch"
        for gathered, text, line in found:
            gathered.unit = unit if step is not None else ""
            gathered.add(step, line, text)

    def finish(self, notes: tuple[str, ...] = ()) -> Run:
        """The run as this file shows it."""
        loss: tuple[Role, ...] = ("loss", "loss_part", "loss_running")
        series = tuple(g.finish((self.name,), g.role) for g in self.series.values() if g.items)
        if not any(s.role in loss for s in series):
            notes = (*notes, Remark("{file}: no training loss was recognised in it", file=self.name))
        dialect = next((d for d in (self.dialect,) if d), "")
        known = next((line.dialect for line in self.lexicon.lines if line.dialect.id == dialect), None)
        return Run(
            files=(self.name,),
            dialects={dialect: self.line},
            framework=known.framework if known else "",
            lines=self.line,
            series=series,
            header=self.header,
            notes=notes,
        )


def read_table(chunks: Iterator[bytes], name: str, lexicon: Lexicon) -> Run:
    """A table with a line of names (CSV, semicolons or tabs); empty cells, `NA` and text are left out.

    A second line of names in the middle (a file appended to) begins the columns anew. TensorBoard's export names its
    quantity in the file's name only; where that says nothing it is taken for the loss, with a note.
    """
    metrics = Metrics(name, lexicon)
    delimiter, names = ",", list[str]()
    notes: tuple[str, ...] = ()
    for chunk in chunks:
        for raw in chunk.splitlines():
            metrics.line += 1
            line = raw.decode("utf-8", "replace")
            if not line.strip():
                continue
            cells = line.split(delimiter) if names else []
            if not names or (cells[0].strip() == names[0] and (header := _header(line))):
                header = _header(line)
                if header is not None:
                    delimiter, names = header
                    if tuple(names) == TENSORBOARD:
                        quantity = tensorboard_quantity(name, lexicon)
                        names[2] = quantity or "loss"
                        if not quantity:
                            notes = (
                                Remark("{file}: its name does not say what `Value` is; taken for the loss", file=name),
                            )
                continue
            record = []
            for column, cell in zip(names, cells):
                text = cell.strip().strip('"')
                if text and (text[-1].isdigit() or text[-1] in "nfNFy)."):
                    try:
                        number(text)
                    except ValueError:
                        continue
                    record.append((column, text, metrics.line))
            metrics.add(record)
    return metrics.finish(notes)


def tensorboard_quantity(file: str, lexicon: Lexicon) -> str:
    """What the column `Value` of TensorBoard's export holds, by the file's name; "" if the name does not say.

    `run-.-tag-loss.csv` is `loss`, `run-validation-tag-epoch_loss.csv` is `val_epoch_loss`.
    """
    stem = PurePath(file).name.partition(".csv")[0]
    stem = re.sub(r" ?\(\d+\)$", "", stem)  # a browser's second download
    tag = _TAG.search(stem)
    if tag is None:
        return stem if lexicon.roles.role(stem) not in ("other", "ignore", *PLACES) else ""
    run = stem[: tag.start()]
    return f"val_{tag['tag']}" if _HELD_OUT.search(run) and not _HELD_OUT.search(tag["tag"]) else tag["tag"]


def read_json(chunks: Iterator[bytes], name: str, lexicon: Lexicon) -> Run:
    """A JSON file: a list of records anywhere in it (`log_history`), or an object of lists (Keras' history).

    Not parsed as JSON: NaN and Infinity are bare words there, and a file still being written ends anywhere.
    """
    metrics = Metrics(name, lexicon)
    pieces: list[bytes] = []
    size = 0
    notes: tuple[str, ...] = ()
    for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size > MAX_JSON:
            notes = (Remark("{file}: only the first {size} MB were read", file=name, size=MAX_JSON >> 20),)
            break
    text = b"".join(pieces).decode("utf-8", "replace")
    if '"log_history"' in text:
        metrics.dialect = "hf"
    line, at = 1, 0
    records: list[list[tuple[str, str, int]]] = [[]]
    lists: list[str] = [""]  # key of each open bracket
    index = 0
    for match in re.finditer(_TOKEN, text):
        line += text.count("\n", at, match.start())
        at = match.start()
        key, value, brace = match["key"], match["number"], match["brace"] or match["open"]
        if key is not None and value is not None:
            records[-1].append((key, value, line + text.count("\n", at, match.start("number"))))
        if brace in ("{", "["):
            records.append([])
            lists.append(key or "")
            index = 0
        elif brace in ("}", "]") and len(records) > 1:
            record = records.pop()
            lists.pop()
            if record and (len(lists) > 1 or lists[-1:] == [""]):
                _close(metrics, record, bool(records[1:]))
        elif match["element"] is not None and lists[-1]:
            target = metrics.target(lists[-1])
            if isinstance(target, Gathered):
                target.unit = "epoch"
                target.add(float(index), line, match["element"])
            index += 1
        if len(records) > 200:
            break
    metrics.line = text.count("\n") + (not text.endswith("\n"))
    return metrics.finish(notes)


def _close(metrics: Metrics, record: list[tuple[str, str, int]], inner: bool) -> None:
    """An object has ended: a record of the course, or the head of the file."""
    if inner or any("loss" in name for name, _, _ in record):
        metrics.add(record)
    else:
        metrics.header.update((name, Printed(value, line)) for name, value, line in record[:100])
