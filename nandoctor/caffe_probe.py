"""Probes for Caffe: an instrumented copy of the owner's net, a net that only reads the data, a solver that shows it.

Everything is written as new files; the owner's are read and never changed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nandoctor.check_finite_layer import MODULE, SOURCE
from nandoctor.errors import UnreadableError, UsageError
from nandoctor.probe_nets import About, data_only, instrumented, quoted
from nandoctor.readers.caffe import Solver, kind_of, read_net, read_solver
from nandoctor.readers.edits import FieldEdit, apply_edits
from nandoctor.readers.textproto import Document, parse
from nandoctor.source import printable

if TYPE_CHECKING:
    from nandoctor.kb.model import KnowledgeBase
    from nandoctor.readers.facts import Run

NET, DATA_NET, SOLVER, DATA_SOLVER = "probe_net", "probe_data", "probe_solver", "probe_data_solver"
# What hides or slows the search: tests, smoothing.
_REMOVED = (
    "test_net", "test_iter", "test_interval", "test_initialization", "test_compute_loss", "test_state",
    "test_net_param", "average_loss",
)  # fmt: skip
_NETS = ("net", "train_net", "net_param", "train_net_param")
# Enough for a data set of this many samples; the run may be stopped earlier.
DATA_ITERATIONS = 1_000_000


def write_probes(texts: Mapping[str, str], folder: Path, *, force: bool = False) -> list[Path]:
    """Writes what `probe_texts` made into a folder, which is made if it is missing.

    Args:
        texts: file name -> text.
        folder: where to; the one the texts were made for.
        force: overwrite files of these names.

    Returns:
        the files written, in the order of `texts`.

    Raises:
        UsageError: files exist already.
        UnreadableError: the folder cannot be written.
    """
    paths = [folder / name for name in texts]
    there = [path.name for path in paths if path.exists()]
    if there and not force:
        raise UsageError(f"{printable(str(folder))} holds {', '.join(there)} already; --force overwrites")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, texts.values()):
            _write(path, text)
    except OSError as error:
        raise UnreadableError(f"cannot write {printable(str(folder))}: {error.strerror or error}") from None
    return paths


def probe_texts(
    net: Document | None,
    solver: Document | None,
    folder: Path,
    *,
    layers: Sequence[str] = (),
    snapshot: str = "",
    onset: float | None = None,
    stop: bool = False,
) -> dict[str, str]:
    """The probes as texts: file name -> text, in this order: net, layer, data net, data solver, solver.

    Args:
        net: the owner's training net; None: only the solver is written, with `debug_info`.
        solver: the owner's solver, if there is one.
        folder: where they will lie; the solvers name their nets by absolute path.
        layers: names of the layers to watch; none: all of them.
        snapshot: the `.solverstate` to start from; its iteration is read from its name. "": the last one up to
            `onset` that the solver's own `snapshot` and `snapshot_prefix` make.
        onset: the iteration of the last finite loss; that of the first non-finite one is too late if the log does not
            show every iteration.
        stop: let the layers end the run at the first non-finite number; else they report it and the run goes on, so
            that the log shows what follows.

    Raises:
        UsageError: an unknown layer; neither net nor solver.
        UnreadableError: the net is of the format of 2014, which has no Python layers, or has no layers.
    """
    if net is None and solver is None:
        raise UsageError("a probe needs a net or a solver")
    if net is not None and kind_of(net) == "solver":
        raise UsageError(f"{printable(net.file)} is a solver, not a net")
    owner = None if solver is None else read_solver(solver)
    snapshot = snapshot or (snapshot_before(owner, onset) if owner is not None else "")
    texts: dict[str, str] = {}
    if net is not None:
        about = About(iteration_of(snapshot), max(1, owner.whole("iter_size", 1)) if owner is not None else 1, stop)
        found = read_net(net)
        texts[f"{NET}.prototxt"] = instrumented(found, layers, about)
        texts[f"{MODULE}.py"] = SOURCE
        if data := data_only(found):
            texts[f"{DATA_NET}.prototxt"] = data
            texts[f"{DATA_SOLVER}.prototxt"] = data_solver(_absolute(folder, DATA_NET))
    if owner is not None:
        place = _absolute(folder, NET) if net is not None else ""
        texts[f"{SOLVER}.prototxt"] = probing_solver(owner, place, caffe_command(folder, SOLVER, snapshot))
    return texts


# --- the solvers


def data_solver(net: str) -> str:
    """A solver that learns nothing and prints the loss of every sample. `net`: the path of the data net."""
    return (
        "# Written by nandoctor: reads every sample, one per iteration, from 0. A `finite_` output that is nan names\n"
        "# a dirty one (the loss in the Iteration line is a running value and stays nan). Set max_iter to the number\n"
        "# of samples, or stop it at `Restarting data prefetching from start.` There is usually more than one.\n"
        f'net: {quoted(net)}\nbase_lr: 0\nlr_policy: "fixed"\ndisplay: 1\nmax_iter: {DATA_ITERATIONS}\n'
        "snapshot: 0\nsnapshot_after_train: false\nsolver_mode: CPU\n"
    )


def probing_solver(solver: Solver, net: str = "", command: str = "") -> str:
    """The owner's solver with debug_info, every iteration printed, the probe's net, and nothing that hides the onset.

    No tests, no smoothing, no snapshots: those of a run that goes bad would lie over the good ones. max_iter stays,
    because learning-rate policies depend on it.

    Args:
        solver: the owner's.
        net: path of the instrumented net; "" keeps the owner's.
        command: how to run it, for the comment at the top.
    """
    edits = [FieldEdit("remove", path) for path in (*_REMOVED, *(_NETS if net else ()))]
    if net:
        edits.append(FieldEdit("set", "net", quoted(net)))
    edits += [
        FieldEdit("set", "debug_info", "true"),
        FieldEdit("set", "display", "1"),
        FieldEdit("set", "snapshot", "0"),
        FieldEdit("set", "snapshot_after_train", "false"),
    ]
    text = apply_edits(solver.document, edits)
    newline = "\r\n" if "\r\n" in text else "\n"
    mark, text = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    head = ["Written by nandoctor: your solver with debug_info, every iteration printed, no tests, no snapshots."]
    head += [command] if command else []
    return mark + "".join(f"# {printable(line)}{newline}" for line in head) + text


def last_snapshot(run: Run | None) -> str:
    """The last solver state the log names before the first non-finite loss."""
    if run is None:
        return ""
    from nandoctor.readers.series import onset

    first = onset(run)
    stop = first[1].line if first else float("inf")
    found = ""
    for event in run.events:
        name = event.fields.get("file", "")
        if (
            event.kind == "snapshot"
            and name.endswith((".solverstate", ".solverstate.h5"))
            and event.location.line < stop
        ):
            found = name
    return printable(found)


def snapshot_before(solver: Solver, iteration: float | None) -> str:
    """The last `.solverstate` that this solver writes up to an iteration; "" if it writes none."""
    every = solver.whole("snapshot")
    if iteration is None or every <= 0 or iteration < every:
        return ""
    ending = ".solverstate" + (".h5" if solver.text("snapshot_format") == "HDF5" else "")
    return f"{solver.text('snapshot_prefix')}_iter_{int(iteration // every) * every}{ending}"


def iteration_of(snapshot: str) -> int:
    """The iteration in the name of a snapshot; 0 if there is none."""
    found = re.search(r"_iter_(\d{1,12})\.solverstate", snapshot)
    return int(found[1]) if found else 0


def caffe_command(folder: Path, name: str, snapshot: str = "", weights: str = "") -> str:
    """The command line that runs a solver of the probe, with the layer's folder where Python finds it."""
    path = f'PYTHONPATH={shlex.quote(str(folder.resolve()))}:"$PYTHONPATH" ' if name == SOLVER else ""
    start = f" --snapshot={shlex.quote(snapshot)}" if snapshot else ""
    start = start or (f" --weights={shlex.quote(weights)}" if weights else "")
    log = f"{name.removesuffix('_solver')}.log"
    return f"{path}caffe train --solver={shlex.quote(_absolute(folder, name))}{start} 2>&1 | tee {log}"


def _absolute(folder: Path, name: str) -> str:
    """Caffe looks from the folder it is started in, which stays the owner's: paths of the data depend on it."""
    return str(folder.resolve() / f"{name}.prototxt")


def _write(path: Path, text: str) -> None:
    import os
    import tempfile

    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        mask = os.umask(0)
        os.umask(mask)
        Path(made).chmod(0o666 & ~mask)
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


# --- the command


def how_to(
    paths: Sequence[Path], kb: KnowledgeBase, lang: str, *, snapshot: str = "", weights: str = "", onset: str = ""
) -> str:
    """What was written and the commands to run, for people.

    Args:
        paths: as `write_probes` returns them.
        kb: for the texts.
        lang: en, zh or ko.
        snapshot: the `.solverstate` the run starts from, if any.
        weights: the `.caffemodel` it starts from, if any.
        onset: the iteration of the first non-finite loss as the log prints it, if known.
    """
    names = {path.stem: path for path in paths}
    folder = paths[0].parent
    lines = [f"{printable(str(path))}\n    {kb.text(f'probe.file-{_message_id(path.stem)}', lang)}" for path in paths]
    if DATA_SOLVER in names:
        lines += ["", kb.text("probe.run-data", lang), _indented(caffe_command(folder, DATA_SOLVER))]
    if SOLVER in names:
        words = kb.text("probe.run-onset", lang, onset=onset) if onset else kb.text("probe.run", lang)
        command = caffe_command(folder, SOLVER, snapshot, weights)
        lines += ["", words, _indented(command)]
        lines += ["" if snapshot else kb.text("probe.no-snapshot", lang)] if onset else []
        lines += [kb.text("probe.read", lang), "    nandoctor --log probe.log"]
    elif NET in names:
        lines += ["", kb.text("probe.no-solver", lang)]
    if NET in names:
        lines += ["", kb.text("probe.needs", lang)]
    return "\n".join(line for n, line in enumerate(lines) if line or (n and lines[n - 1])) + "\n"


def _message_id(stem: str) -> str:
    return "layer" if stem == MODULE else stem.removeprefix("probe_").replace("_", "-")


def _indented(line: str) -> str:
    return f"    {printable(line)}"


class _Course(NamedTuple):
    """What a log tells the probe."""

    snapshot: str = ""
    last_finite: float | None = None
    onset: str = ""
    weights: str = ""


def command(  # noqa: PLR0917
    net: str,
    solver: str,
    log: str,
    layers: Sequence[str],
    folder: str | Path,
    force: bool,
    lang: str,
    kb: KnowledgeBase,
    stop: bool = False,
) -> str:
    """All of `nandoctor probe`: reads the files, writes the probes, returns the text to print.

    Args:
        net: path of the net; "" takes the one the solver names.
        solver: path of the solver, or "".
        log: path of a log that shows the fault, or ""; it tells from which snapshot to start.
        layers: names of the layers to watch, none for all.
        folder: where to write.
        force: overwrite.
        lang: language of the text.
        kb: the knowledge base, for the log's dialects and the texts.
        stop: let the layers end the run at the first non-finite number.

    Raises:
        NandoctorError: a file cannot be read or written, or is not what it should be.
    """
    solver_document = _document(solver) if solver else None
    if net and solver_document is None and kind_of(found := _document(net)) == "solver":
        net, solver_document = "", found  # a solver alone leads to its net
    net_document = _document(net or _net_of(solver_document))
    course = _course(log, kb) if log else _Course()
    owner = None if solver_document is None else read_solver(solver_document)
    # The solver's interval tells the last of many; a solver that was changed since, or is not given, leaves the log's.
    snapshot = (snapshot_before(owner, course.last_finite) if owner is not None else "") or course.snapshot
    place = Path(folder)
    texts = probe_texts(net_document, solver_document, place, layers=layers, snapshot=snapshot, stop=stop)
    paths = write_probes(texts, place, force=force)
    return how_to(paths, kb, lang, snapshot=snapshot, weights=course.weights, onset=course.onset)


def _document(path: str) -> Document:
    from nandoctor.files import read_prototxt

    return parse(read_prototxt(path), path)


def _net_of(solver: Document | None) -> str:
    """The net a solver names: seen from the solver's folder, beside it, or from here."""
    named = read_solver(solver).net_path if solver is not None else ""
    if solver is None or not named:
        raise UsageError("a probe needs a net: --net train_val.prototxt")
    here = Path(solver.file).parent
    for candidate in (here / named, here / Path(named).name, Path(named)):
        if candidate.is_file():
            return str(candidate)
    raise UnreadableError(f"the solver's net {printable(named)} was not found beside it; name it with --net")


def _course(log: str, kb: KnowledgeBase) -> _Course:
    from nandoctor.readers.log import read_run
    from nandoctor.readers.series import onset

    run = read_run([log], kb)
    weights = next((event.fields.get("checkpoint", "") for event in run.events if event.kind == "finetuning"), "")
    found = onset(run)
    if found is None:
        return _Course(weights=weights)  # nothing to come close to: from the beginning
    series, bad = found
    before = [r.step for r in series.before_nonfinite() if r.step is not None]
    onset_step = "" if bad.step is None else f"{bad.step:g}"
    return _Course(last_snapshot(run), before[-1] if before else None, onset_step, weights)
