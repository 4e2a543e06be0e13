"""Writes instrumented copies of an owner's Caffe net and solver: the first non-finite blob names itself in the next run.

Five files: the net with a check-finite layer behind every layer (in place, TRAIN only, the rest byte for byte the
owner's), that layer's source for pycaffe, a net that only reads the data with its solver, and the owner's solver with
`debug_info`. Nothing is overwritten unless asked.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nandoctor.check_finite_layer import CLASS, MODULE, SOURCE
from nandoctor.errors import UnreadableError, UsageError
from nandoctor.readers.caffe import Layer, Net, Solver, kind_of, read_net, read_solver
from nandoctor.readers.edits import FOUND, FieldEdit, apply_edits
from nandoctor.readers.layer_types import SOURCES
from nandoctor.readers.textproto import Document, Message, parse
from nandoctor.source import printable

if TYPE_CHECKING:
    from nandoctor.kb.model import KnowledgeBase

NET, DATA_NET, SOLVER, DATA_SOLVER = "probe_net", "probe_data", "probe_solver", "probe_data_solver"
# Their tops are counts or ranks: nothing flows back through them, and Accuracy's -nan may be harmless.
METRICS = frozenset("Accuracy ArgMax SegAccuracy DetectionEvaluate EvalDetection LabelsequenceAccuracy".split())  # noqa: SIM905
# Sources whose tops need no samples from disk; a net of nothing else has no data to walk through.
MADE_UP = frozenset({"DummyData", "Input", "Parameter"})
DATA_ITERATIONS = 100_000  # of the data run, where the size of the data set cannot be read


def write_probes(
    net: Document | None,
    solver: Document | None,
    folder: Path,
    *,
    layers: Sequence[str] = (),
    snapshot: str = "",
    onset: float | None = None,
    stop: bool = False,
    force: bool = False,
) -> list[Path]:
    """Writes the probes into a folder, which is made if it is missing.

    Args:
        net: the owner's training net; None: only the solver is written, with `debug_info`.
        solver: the owner's solver, if there is one.
        folder: where to.
        layers: names of the layers to watch; none: all of them.
        snapshot: the `.solverstate` to start from; its iteration is read from its name. "": the last one before
            `onset` that the solver's own `snapshot` and `snapshot_prefix` make.
        onset: the iteration of the first non-finite loss, or better the last finite one.
        stop: let the layers end the run at the first non-finite number; else they report it and the run goes on, so
            that the log shows what follows.
        force: overwrite files of these names.

    Returns:
        the files written, in this order: net, layer, data net, data solver, solver.

    Raises:
        UsageError: an unknown layer; files exist already; nothing to write.
        UnreadableError: the net is of the format of 2014, which has no Python layers, or has no layers; the folder
            cannot be written.
    """
    texts = probe_texts(net, solver, folder, layers=layers, snapshot=snapshot, onset=onset, stop=stop)
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
    """What `write_probes` writes: file name -> text. Raises the same errors, but for those of the folder."""
    if net is None and solver is None:
        raise UsageError("a probe needs a net or a solver")
    if net is not None and kind_of(net) == "solver":
        raise UsageError(f"{printable(net.file)} is a solver, not a net")
    owner = None if solver is None else read_solver(solver)
    snapshot = snapshot or (snapshot_before(owner, onset) if owner is not None else "")
    texts: dict[str, str] = {}
    data = ""
    if net is not None:
        about = _About(iteration_of(snapshot), max(1, owner.whole("iter_size", 1)) if owner is not None else 1, stop)
        texts[f"{NET}.prototxt"] = probe_net(net, about, layers)
        texts[f"{MODULE}.py"] = SOURCE
        data = data_net(net, about)
        if data:
            texts[f"{DATA_NET}.prototxt"] = data
            texts[f"{DATA_SOLVER}.prototxt"] = data_solver(owner, folder)
    if solver is not None:
        texts[f"{SOLVER}.prototxt"] = probe_solver(solver, folder, with_net=net is not None, snapshot=snapshot)
    return texts


class _About(NamedTuple):
    """What every check-finite layer of a run is told."""

    start: int
    iter_size: int
    stop: bool


# --- the net


def probe_net(document: Document, about: _About, names: Sequence[str] = ()) -> str:
    """The net with a check-finite layer behind each layer of the TRAIN phase that has something to check.

    Not behind losses (their tops must stay the net's outputs for Caffe to print them; what goes into a loss and what
    comes back from it is checked before it) and not behind metrics.
    """
    net = read_net(document)
    _refuse_old(net)
    train = net.for_phase("TRAIN")
    chosen = _chosen(net, train, names)
    if not chosen:
        raise UnreadableError(f"{printable(document.file)}: no layer of the TRAIN phase has an output to check")
    read_by_loss = {blob for layer in train if layer.is_loss for blob in layer.bottoms}
    taken = {layer.name for layer in net.layers}
    groups: dict[str, list[Layer]] = {}
    for layer in chosen:
        groups.setdefault(_check_layer(layer, about, read_by_loss, taken), []).append(layer)
    # One pass for all layers that share a text; from one to the next the layers are found again by their number.
    numbers = {layer.field.start: number for number, layer in enumerate(net.layers)}
    wanted = [(text, [numbers[layer.field.start] for layer in of_text]) for text, of_text in groups.items()]
    current = document
    for text, of_text in wanted:
        own = [layer for layer in read_net(current).layers if not _is_check(layer)]
        new = apply_edits(current, [FieldEdit("insert_after", value=text, layer=FOUND)], [own[n] for n in of_text])
        current = parse(new, document.file)
    return current.text


def _refuse_old(net: Net) -> None:
    if not net.layers:
        raise UnreadableError(f"{printable(net.file)} has no layers")
    if check := next((layer for layer in net.layers if _is_check(layer)), None):
        raise UsageError("this net holds the probe's layers already; give the net without them", check.location)
    if net.version < 2:
        old = next(layer for layer in net.layers if layer.version < 2)
        raise UnreadableError(
            "this net is in the format of 2014 (`layers`), which has no Python layers; convert it with "
            f"`upgrade_net_proto_text {shlex.quote(Path(net.file).name)} new.prototxt` (it lies beside `caffe`) and "
            "probe the new file",
            old.location,
        )


def _chosen(net: Net, train: Sequence[Layer], names: Sequence[str]) -> list[Layer]:
    known = {layer.name for layer in train}
    for name in names:
        if name not in known:
            raise UsageError(
                f"the TRAIN phase of {printable(net.file)} has no layer {printable(name)!r}{_near(name, known)}"
            )
    return [
        layer
        for layer in train
        if (not names or layer.name in names) and layer.tops and not layer.is_loss and layer.type not in METRICS
        and not any(layer.loss_weights)
    ]  # fmt: skip


def _near(name: str, known: set[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, sorted(known), 1)
    return f" (did you mean {printable(close[0])!r}?)" if close else ""


def _check_layer(layer: Layer, about: _About, read_by_loss: set[str], taken: set[str]) -> str:
    """The text of the check layer; with `{layer}` and `{top}` for the names where that is possible."""
    is_input = layer.type in SOURCES and layer.type != "Parameter"
    plain = (
        len(layer.tops) == 1
        and f"{layer.name}/check_finite" not in taken
        and not any(char in layer.name + layer.tops[0] for char in "\\\"'{}\n\r\t")
        and printable(layer.name + layer.tops[0]) == layer.name + layer.tops[0]
    )
    name, tops = ("{layer}", ["{top}"]) if plain else (layer.name, list(layer.tops))
    own = f"{name}/check_finite"
    while not plain and own in taken:
        own += "_"
    taken.add(own)
    settings: dict[str, object] = {"name": name, "blobs": tops, "stop": about.stop}
    if is_input:
        settings["input"] = True
    if any(top in read_by_loss for top in layer.tops) and not is_input:
        settings["loss"] = True
    if about.start:
        settings["start"] = about.start
    if about.iter_size > 1:
        settings["iter_size"] = about.iter_size
    lines = ["layer {", f"  name: {_quoted(own)}", '  type: "Python"']
    lines += [f"  bottom: {_quoted(top)}" for top in tops] + [f"  top: {_quoted(top)}" for top in tops]
    lines += _rules(layer)
    told = _quoted(json.dumps(settings), "'")
    lines += ["  python_param {", f'    module: "{MODULE}"', f'    layer: "{CLASS}"', f"    param_str: {told}", "  }", "}"]
    return "\n".join(lines)


def _rules(layer: Layer) -> list[str]:
    """When Caffe keeps the layer: the check must not outlive what it checks. Caffe takes include or exclude, not both."""
    rules = [
        " ".join(layer.document.text[field.start : field.end].split())
        for name in ("exclude", "include")
        for field in layer.message.every(name)
        if isinstance(field.value, Message)
    ]
    if any("#" in rule for rule in rules):  # a comment would swallow the rest of the line
        rules = []
    return [f"  {rule}" for rule in rules] or ["  include { phase: TRAIN }"]


def _is_check(layer: Layer) -> bool:
    """Whether this program put the layer there."""
    return layer.type == "Python" and layer.text("python_param.module") == MODULE


def _quoted(text: str, mark: str = '"') -> str:
    """A string of the text format."""
    escaped = text.replace("\\", "\\\\").replace(mark, "\\" + mark)
    return mark + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + mark


# --- the data


def data_net(document: Document, about: _About) -> str:
    """Only the data layers of the TRAIN phase, as the owner wrote them, each with a check and a Silence behind it.

    Silence takes the blobs, so that Caffe has no outputs to print and no weights to learn. "" where a net reads no
    data of its own.
    """
    net = read_net(document)
    sources = [layer for layer in net.for_phase("TRAIN") if layer.type in SOURCES and layer.tops]
    if all(layer.type in MADE_UP for layer in sources):
        return ""
    taken = {layer.name for layer in sources}
    tell = about._replace(start=0, iter_size=1)
    parts = ["name: " + _quoted((net.name or "net") + "_data")]
    for layer in sources:
        if layer.type in MADE_UP:
            continue
        check = _check_layer(layer, tell, set(), taken)
        check = check.replace("{layer}", layer.name).replace("{top}", layer.tops[0])
        bottoms = "\n".join(f"  bottom: {_quoted(top)}" for top in layer.tops)
        rules = "\n".join(_rules(layer))
        silence = f'layer {{\n  name: {_quoted(layer.name + "/silence")}\n  type: "Silence"\n{bottoms}\n{rules}\n}}'
        own = document.text[layer.field.start : layer.field.end].replace("\r\n", "\n").replace("\r", "\n")
        parts += [own, check, silence]
    return "\n".join(parts) + "\n"


def data_solver(owner: Solver | None, folder: Path) -> str:
    """A solver that learns nothing and walks through the data; as many iterations as the owner's run has."""
    iterations = owner.whole("max_iter") if owner is not None else 0
    mode = owner.text("solver_mode", "GPU") if owner is not None else "GPU"
    lines = [
        "# Reads the training data and learns nothing. One walk through the data is done when the log says",
        "# `Restarting data prefetching from start.`; for HDF5 and image lists: samples / batch_size iterations.",
        f"net: {_quoted(_absolute(folder, DATA_NET))}",
        "base_lr: 0",
        'lr_policy: "fixed"',
        f"max_iter: {iterations or DATA_ITERATIONS}",
        "display: 100",
        "snapshot: 0",
        "snapshot_after_train: false",
        f"solver_mode: {mode if mode in ('CPU', 'GPU') else 'GPU'}",
    ]
    return "\n".join(lines) + "\n"


# --- the solver


def probe_solver(document: Document, folder: Path, *, with_net: bool, snapshot: str = "") -> str:
    """The owner's solver, printing everything and writing no snapshots, with the probe's net."""
    solver = read_solver(document)
    if solver.net is not None and with_net and not solver.net_path:
        raise UsageError(f"{printable(document.file)} holds its net itself; write the net into a file of its own")
    edits = [
        FieldEdit("set", "debug_info", "true"),
        FieldEdit("set", "display", "1"),
        # Snapshots of a run that goes bad would lie over the good ones.
        FieldEdit("set", "snapshot", "0"),
        FieldEdit("set", "snapshot_after_train", "false"),
    ]
    if with_net:
        path = "train_net" if solver.has("train_net") and not solver.has("net") else "net"
        edits.append(FieldEdit("set", path, _quoted(_absolute(folder, NET))))
    text = apply_edits(document, edits)
    head = [
        "Written by `nandoctor probe`: your solver with debug_info, every iteration printed, no snapshots.",
        *caffe_command(folder, SOLVER, snapshot),
    ]
    newline = "\r\n" if "\r\n" in text else "\n"
    mark, text = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    return mark + "".join(f"# {printable(line)}{newline}" for line in head) + text


def snapshot_before(solver: Solver, onset: float | None) -> str:
    """The last `.solverstate` that this solver writes at or before an iteration; "" if it writes none."""
    every = solver.whole("snapshot")
    if onset is None or every <= 0 or onset < every:
        return ""
    ending = ".solverstate" + (".h5" if solver.text("snapshot_format") == "HDF5" else "")
    return f"{solver.text('snapshot_prefix')}_iter_{int(onset // every) * every}{ending}"


def iteration_of(snapshot: str) -> int:
    """The iteration in the name of a snapshot; 0 if there is none."""
    import re

    found = re.search(r"_iter_(\d{1,12})\.solverstate", snapshot)
    return int(found[1]) if found else 0


def caffe_command(folder: Path, name: str, snapshot: str = "", weights: str = "") -> list[str]:
    """The command line that runs a solver of the probe, with the layer's folder where Python finds it."""
    place = shlex.quote(str(folder.resolve()))
    start = f" --snapshot={shlex.quote(snapshot)}" if snapshot else ""
    start = start or (f" --weights={shlex.quote(weights)}" if weights else "")
    solver = shlex.quote(_absolute(folder, name))
    return [f'PYTHONPATH={place}:"$PYTHONPATH" caffe train --solver={solver}{start} 2>&1 | tee {name}.log']


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
    lines = [f"{printable(str(path))}\n    {kb.text(f'probe.file-{_message_id(path.stem)}', lang)}" for path in paths]
    if DATA_SOLVER in names:
        lines += ["", kb.text("probe.run-data", lang), *_indented(caffe_command(paths[0].parent, DATA_SOLVER))]
    if SOLVER in names:
        words = kb.text("probe.run-onset", lang, onset=onset) if onset else kb.text("probe.run", lang)
        command = caffe_command(names[SOLVER].parent, SOLVER, snapshot, weights)
        lines += ["", words, *_indented(command)]
        lines += ["" if snapshot else kb.text("probe.no-snapshot", lang)] if onset else []
        lines += [kb.text("probe.read", lang), f"    nandoctor --log {SOLVER}.log"]
    elif NET in names:
        lines += ["", kb.text("probe.no-solver", lang)]
    if NET in names:
        lines += ["", kb.text("probe.needs", lang)]
    return "\n".join(line for n, line in enumerate(lines) if line or (n and lines[n - 1])) + "\n"


def _message_id(stem: str) -> str:
    return "layer" if stem == MODULE else stem.removeprefix("probe_").replace("_", "-")


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {printable(line)}" for line in lines]


class _Course(NamedTuple):
    """What a log tells the probe."""

    last_finite: float | None = None
    onset: str = ""
    weights: str = ""


def command(
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
    snapshot = snapshot_before(owner, course.last_finite) if owner is not None else ""
    paths = write_probes(
        net_document, solver_document, Path(folder), layers=layers, snapshot=snapshot, stop=stop, force=force
    )
    return how_to(paths, kb, lang, snapshot=snapshot, weights=course.weights, onset=course.onset)


def _document(path: str) -> Document:
    from nandoctor.ingest import _read_text

    return parse(_read_text(path), path)


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
        return _Course(weights=weights)
    series, bad = found
    before = [r.step for r in series.before_nonfinite() if r.step is not None]
    return _Course(before[-1] if before else None, "" if bad.step is None else f"{bad.step:g}", weights)

