"""Several files of one run into one history: which file is what, rotated parts in order, one `Run` of all."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from nandoctor.errors import UnreadableError
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.dialect import Lexicon
from nandoctor.readers.facts import Run
from nandoctor.readers.fastscan import HEAD, SMALL, Scanner
from nandoctor.readers.lines import Source
from nandoctor.readers.logreader import LogReader
from nandoctor.readers.metrics import metrics_kind, read_json, read_table
from nandoctor.readers.runstate import LOSSES
from nandoctor.readers.sniff import kind_of_bytes
from nandoctor.remark import Remark
from nandoctor.source import printable

Progress = Callable[[int, int], None]
_ROTATED = re.compile(r"(?P<stem>.+?)[._-](?P<number>\d{1,4})(?P<packed>\.(?:gz|xz|zst|bz2))?$")
_PACKED = re.compile(r"\.(?:gz|xz|zst|bz2)$")


def read_files(paths: Sequence[str], kb: KnowledgeBase, dialect: str, progress: Progress | None) -> Run:
    """All files of one run. The first log with a loss leads: the onset's line is a line of it.

    Raises:
        UnreadableError: as `read_run`.
    """
    groups = rotated(list(dict.fromkeys(paths)))
    collecting = gc.isenabled()
    gc.disable()  # hundreds of thousands of tuples and no cycles: the collector would only cost a quarter of the time
    try:
        return merged([read_parts(parts, Lexicon(kb, dialect), progress) for parts in groups])
    finally:
        if collecting:
            gc.enable()


def rotated(paths: Sequence[str]) -> list[list[str]]:
    """Parts of one rotated log together, oldest first: train.log.2.gz, train.log.1, train.log."""
    groups: dict[str, list[tuple[int, str]]] = {}
    plain = {_PACKED.sub("", path) for path in paths}
    for path in paths:
        match = _ROTATED.fullmatch(path)
        stem = match["stem"] if match else ""
        if match and stem in plain:  # the newest part has the bare name
            groups.setdefault(stem, []).append((-int(match["number"]), path))
        else:
            groups.setdefault(_PACKED.sub("", path), []).append((1, path))
    return [[path for _, path in sorted(parts)] for parts in groups.values()]


def read_parts(
    paths: Sequence[str], lexicon: Lexicon, progress: Progress | None = None, data: bytes | None = None
) -> Run:
    """One file, or the parts of one rotated log as one. With `data`, `paths` holds the name of that text.

    A log in which nothing is called a loss is read again, with dialects that take any name.

    Raises:
        UnreadableError: empty, binary, a net instead of a log, not to be opened.
    """
    run = _read_parts(paths, lexicon, progress, data)
    again = data is not None or all(Path(path).is_file() for path in paths)
    if has_loss(run) or lexicon.last_resort or lexicon.only or not again:
        return run
    wider = _read_parts(paths, Lexicon(lexicon.kb, last_resort=True), progress, data)
    if not has_loss(wider):
        return run
    taken = (s.quantity for s in wider.series if s.role == "loss" and lexicon.roles.role(s.quantity) not in LOSSES)
    notes = [
        Remark("{file}: nothing in it is called a loss; `{name}` is taken for it", file=paths[0], name=printable(name))
        for name in list(taken)[:1]
    ]
    return msgspec.structs.replace(wider, notes=(*wider.notes, *notes))


def _read_parts(paths: Sequence[str], lexicon: Lexicon, progress: Progress | None, data: bytes | None) -> Run:
    reader: LogReader | None = None
    for path in paths:
        source = Source(path) if data is None else Source(path, data)
        chunks = source.chunks()
        first = next(chunks, b"")
        second = next(chunks, b"") if len(first) < 4096 else b""
        head = first + second
        refuse(path, head, source)
        kind = metrics_kind(head)
        pieces = chain([first, second] if second else [first], chunks)
        if kind == "table" and len(paths) == 1:
            return read_table(pieces, path, lexicon)
        if kind == "json" and len(paths) == 1:
            return read_json(pieces, path, lexicon)
        if reader is None:
            reader = LogReader(path, lexicon)
        else:
            reader.next_part(path)
        told = read = 0
        scanner = Scanner(reader)
        limit = HEAD if source.size > SMALL and not source.packed else SMALL
        for piece in pieces:
            if read < limit - HEAD:
                reader.feed(piece)
            elif read < limit:
                scanner.head(piece)
            else:
                scanner.feed(piece)
            read += len(piece)
            if progress is not None and source.position - told > 1 << 22:
                told = source.position
                progress(source.position, source.size)
        scanner.finish()
        reader.notes += source.notes
    assert reader is not None
    return reader.finish()


def refuse(path: str, head: bytes, source: Source) -> None:
    """Raises for what is no log.

    Raises:
        UnreadableError: empty, binary, a net or solver.
    """
    name = path if path != "-" else Remark("standard input")
    if not head.strip():
        if source.size > 0 and not source.notes:
            raise UnreadableError(Remark("{file} holds nothing but blanks or zero bytes", file=name))
        raise UnreadableError(Remark("{file} is empty", file=name))
    kind = kind_of_bytes(head)
    if kind == "binary":
        raise UnreadableError(Remark("{file} is binary, not a log", file=name))
    if kind == "prototxt":
        raise UnreadableError(
            Remark("{file} is a net or solver (prototxt), not a log; give it with --net or --solver", file=name)
        )


def merged(runs: Sequence[Run]) -> Run:
    """The histories of several files as one; the first with a training loss leads."""
    if len(runs) == 1:
        return runs[0]
    tables = {"tables", "hf"}
    order = sorted(
        range(len(runs)),
        key=lambda i: (not has_loss(runs[i]), set(runs[i].dialects) <= tables and not runs[i].events, i),
    )
    lead = runs[order[0]]
    rest = [runs[i] for i in order[1:]]
    dialects = dict(lead.dialects)
    for run in rest:
        for name, count in run.dialects.items():
            dialects[name] = dialects.get(name, 0) + count
    lines = sum(run.lines for run in runs)
    some_loss = has_loss(lead)
    return msgspec.structs.replace(
        lead,
        files=tuple(dict.fromkeys(file for run in (lead, *rest) for file in run.files)),
        dialects=dialects,
        framework=lead.framework or next((run.framework for run in rest if run.framework), ""),
        lines=lines,
        unrecognised_share=sum(run.unrecognised_share * run.lines for run in runs) / lines if lines else 0.0,
        series=tuple(s for run in (lead, *rest) for s in run.series),
        events=tuple(e for run in (lead, *rest) for e in run.events),
        layers=lead.layers or next((run.layers for run in rest if run.layers), ()),
        top_shapes=lead.top_shapes or next((run.top_shapes for run in rest if run.top_shapes), {}),
        solver_text=lead.solver_text or next((run.solver_text for run in rest if run.solver_text), None),
        net_texts=lead.net_texts or next((run.net_texts for run in rest if run.net_texts), ()),
        header={key: value for run in (*reversed(rest), lead) for key, value in run.header.items()},
        ended=lead.ended or next((run.ended for run in rest if run.ended), ""),
        resumed_from=lead.resumed_from or next((run.resumed_from for run in rest if run.resumed_from), ""),
        several_runs=max(run.several_runs for run in runs),
        notes=tuple(note for run in runs for note in run.notes if not (some_loss and "no training loss" in note)),
    )


def has_loss(run: Run) -> bool:
    """Whether some quantity is the training loss, a part of it or its running mean."""
    return any(series.role in LOSSES for series in run.series)
