"""Probes for Caffe: an instrumented copy of the owner's net, a net that only reads the data, a solver that shows it.

Everything is written as new files; the owner's are read and never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nandoctor.errors import UnreadableError, UsageError
from nandoctor.kb.model import Edit
from nandoctor.readers.caffe import Layer, Net, Solver, read_solver
from nandoctor.readers.edits import apply_edits
from nandoctor.readers.facts import Run
from nandoctor.readers.layer_types import SOURCES
from nandoctor.readers.textproto import parse
from nandoctor.source import printable

PROBED_NET = "probe_train_val.prototxt"
DATA_NET = "probe_data.prototxt"
PROBED_SOLVER = "probe_solver.prototxt"
DATA_SOLVER = "probe_data_solver.prototxt"
LAYER_MODULE = "nandoctor_check_finite"
# Layers whose tops nobody trains through, or that have none.
_NOT_PROBED = frozenset({"Accuracy", "Silence", "HDF5Output", "ArgMax", "Split", "SegAccuracy", "DetectionEvaluate"})
# What hides or slows the search: tests, smoothing, snapshots of a broken state.
_REMOVED = (
    "test_net", "test_iter", "test_interval", "test_initialization", "test_compute_loss", "test_state", "average_loss",
    "net", "train_net", "net_param", "train_net_param", "test_net_param", "snapshot_prefix",
)  # fmt: skip
# Enough for a data set of this many samples; the run may be stopped earlier.
DATA_ITERATIONS = 1_000_000


class Written(NamedTuple):
    """The files, and the commands to run them. `snapshot`: what to resume from, if the log names one."""

    files: tuple[Path, ...]
    commands: tuple[str, ...]
    snapshot: str = ""


def write_probes(
    net: Net,
    solver: Solver | None,
    out_dir: str | Path,
    *,
    layers: Sequence[str] = (),
    run: Run | None = None,
    overwrite: bool = False,
) -> Written:
    """Writes the probes of a net.

    Args:
        net: the owner's net, of the current form.
        solver: the owner's solver; without it a plain one is written.
        out_dir: a folder, made if missing.
        layers: names of the layers to check behind; all by default.
        run: the log, to find the last snapshot before the NaN.
        overwrite: replace files of an earlier call.

    Raises:
        UsageError: a layer that the training net does not have, files that are already there, a net of an older form.
        UnreadableError: the folder cannot be written.
    """
    texts = {
        PROBED_NET: instrumented(net, layers),
        f"{LAYER_MODULE}.py": LAYER_SOURCE,
        DATA_NET: data_only(net),
        PROBED_SOLVER: probing_solver(solver, PROBED_NET),
        DATA_SOLVER: data_solver(),
    }
    folder = Path(out_dir)
    present = [name for name in texts if (folder / name).exists()]
    if present and not overwrite:
        raise UsageError(f"{printable(str(folder / present[0]))} is already there; give another folder, or --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnreadableError(f"{printable(str(folder))}: cannot be written ({error.strerror})") from None
    snapshot = last_snapshot(run)
    resume = f" -snapshot {snapshot}" if snapshot else ""
    commands = (
        f"PYTHONPATH={folder}:$PYTHONPATH caffe train -solver {folder / PROBED_SOLVER}{resume} 2>&1 | tee probe.log",
        f"caffe train -solver {folder / DATA_SOLVER} 2>&1 | tee probe_data.log",
    )
    return Written(tuple(folder / name for name in texts), commands, snapshot)


def instrumented(net: Net, layers: Sequence[str] = ()) -> str:
    """The net's text with a check-finite layer behind each layer of the training net (or the named ones).

    The check works in place, so every other name stays; behind a loss it has no top, which keeps the loss weight.

    Raises:
        UsageError: an unknown layer, or a net of an older form (V0, V1).
    """
    if net.version < 2:
        raise UsageError(
            f"{printable(net.file)} is a net of an older form; run Caffe's upgrade_net_proto_text on it first"
        )
    present = net.for_phase("TRAIN")
    names = {layer.name for layer in present}
    for name in layers:
        if name not in names:
            import difflib

            near = difflib.get_close_matches(name, sorted(names), 1)
            hint = f" (did you mean `{near[0]}`?)" if near else ""
            raise UsageError(f"the training net has no layer `{printable(name)}`{hint}")
    chosen = [layer for layer in present if _worth_probing(layer) and (not layers or layer.name in layers)]
    text = net.document.text
    parts: list[str] = []
    at = 0
    for layer in sorted(chosen, key=lambda layer: layer.field.end):
        parts += (text[at : layer.field.end], "\n", _check(layer))
        at = layer.field.end
    return "".join((*parts, text[at:]))


def data_only(net: Net) -> str:
    """A net that reads every sample, one at a time, and whose loss is 0 for a clean one and NaN for a dirty one.

    The loss is the distance of a blob from itself: x - x is NaN where x is NaN or Inf. It needs no Python layer.

    Raises:
        UsageError: the training net has no layer that reads data.
    """
    sources = [layer for layer in net.for_phase("TRAIN") if not layer.bottoms and layer.type in SOURCES | {"Python"}]
    sources = [layer for layer in sources if layer.type not in ("Parameter", "DummyData", "Input") and layer.tops]
    if not sources:
        raise UsageError(f"{printable(net.file)}: no layer of the training net reads data")
    text = net.document.text
    parts = ['name: "nandoctor_data"\n']
    for layer in sources:
        own = text[layer.field.start : layer.field.end]
        parts.append(_one_by_one(own, layer) + "\n")
        parts += [_distance_from_itself(top) for top in layer.tops]
    return "".join(parts)


def probing_solver(solver: Solver | None, net_name: str) -> str:
    """The owner's solver with `debug_info: true`, `display: 1`, the instrumented net, without what hides the onset."""
    if solver is None:
        text = 'base_lr: 0.01\nlr_policy: "fixed"\nmomentum: 0.9\nmax_iter: 100\n'
        solver = read_solver(parse(text, "solver.prototxt"))
    edits = [Edit("solver", "remove", path) for path in _REMOVED]
    edits += [
        Edit("solver", "set", "debug_info", "true"),
        Edit("solver", "set", "display", "1"),
        Edit("solver", "set", "snapshot", "0"),
        Edit("solver", "set", "snapshot_after_train", "false"),
    ]
    body = apply_edits(solver.document, edits).strip("\n")
    head = "# Written by nandoctor: the solver with debug_info, one line per iteration, the instrumented net, no tests."
    return f'{head}\nnet: "{net_name}"\n{body}\n'


def data_solver() -> str:
    """A solver that changes nothing and prints the loss of every sample."""
    return (
        "# Written by nandoctor: reads every sample once. The iteration is the number of the sample, from 0; a loss\n"
        "# that is not 0 names a dirty one. Set max_iter to the size of the data set. Usually there are several.\n"
        f'net: "{DATA_NET}"\nbase_lr: 0\nlr_policy: "fixed"\ndisplay: 1\nmax_iter: {DATA_ITERATIONS}\n'
        "snapshot: 0\nsnapshot_after_train: false\nsolver_mode: CPU\n"
    )


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


def _worth_probing(layer: Layer) -> bool:
    return bool(layer.tops) and layer.type not in _NOT_PROBED


def _check(layer: Layer) -> str:
    """The text of the check behind a layer: in place, or without a top behind a loss."""
    counted = layer.is_loss or any(layer.loss_weights)
    blobs = "".join(f"  bottom: {_quoted(top)}\n" for top in layer.tops)
    if not counted:
        blobs += "".join(f"  top: {_quoted(top)}\n" for top in layer.tops)
    about = _quoted(f"{layer.name} ({layer.type})")
    return (
        f'layer {{\n  name: {_quoted(f"finite/{layer.name}")}\n  type: "Python"\n{blobs}  include {{ phase: TRAIN }}\n'
        f'  python_param {{ module: "{LAYER_MODULE}" layer: "CheckFinite" param_str: {about} }}\n}}'
    )


def _distance_from_itself(blob: str) -> str:
    name, bottom = _quoted(f"finite_{blob}"), _quoted(blob)
    both = f"  bottom: {bottom}\n" * 2
    return f'layer {{\n  name: {name}\n  type: "EuclideanLoss"\n{both}  top: {name}\n}}\n'


def _quoted(text: str) -> str:
    """A string of the text format."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _one_by_one(text: str, layer: Layer) -> str:
    """A data layer that reads one sample at a time, in order."""
    document = parse(text, "layer")
    edits = []
    for param in ("data_param", "image_data_param", "hdf5_data_param", "window_data_param", "memory_data_param"):
        if layer.has(f"{param}.batch_size"):
            edits.append(Edit("net", "set", f"layer.{param}.batch_size", "1"))
        if layer.has(f"{param}.shuffle"):
            edits.append(Edit("net", "set", f"layer.{param}.shuffle", "false"))
        if layer.has(f"{param}.rand_skip"):
            edits.append(Edit("net", "remove", f"layer.{param}.rand_skip"))
    return apply_edits(document, edits)


# The layer for pycaffe under Python 3. It prints what nandoctor.probes prints, so that nandoctor reads it.
LAYER_SOURCE = '''"""Check-finite layer for pycaffe (Python 3), written by nandoctor.

It changes nothing: in place, or without a top behind a loss. At the first non-finite number it prints which layer and
blob, what share of the elements, which iteration and samples, forward or backward, and stops the run. Caffe must be
built with WITH_PYTHON_LAYER := 1. NANDOCTOR_GO_ON=1 in the environment lets the run go on.
"""
import os
import sys

import caffe
import numpy as np


class CheckFinite(caffe.Layer):
    """Set up with the name and type of the layer in front of it: `conv1 (Convolution)`."""

    found = False

    def setup(self, bottom, top):
        self.layer = self.param_str
        self.step = -1

    def reshape(self, bottom, top):
        for index in range(len(top)):
            top[index].reshape(*bottom[index].data.shape)

    def forward(self, bottom, top):
        self.step += 1
        for index, blob in enumerate(bottom):
            self.check("Forward", "top blob %d data" % index, blob.data)

    def backward(self, top, propagate_down, bottom):
        for index, blob in enumerate(top):
            self.check("Backward", "top blob %d diff" % index, blob.diff)

    def check(self, phase, blob, values):
        finite = np.isfinite(values)
        if finite.all():
            return
        nan = int(np.isnan(values).sum())
        bad = int(values.size - finite.sum())
        say("step %d:" % self.step)
        say("%s layer %s, %s: nan max nan" % (phase, self.layer, blob))
        share = "%d nan and %d inf of %d (%.2f%%)" % (nan, bad - nan, values.size, 100.0 * bad / values.size)
        if values.ndim > 1:
            rows = np.nonzero(~finite.reshape(values.shape[0], -1).all(axis=1))[0]
            if len(rows) < values.shape[0]:
                share += "; samples " + ", ".join(str(row) for row in rows[:8])
        if not CheckFinite.found:
            stage = "forward" if phase == "Forward" else "backward"
            if "Data)" in self.layer and phase == "Forward":
                stage = "input"
            elif "Loss" in self.layer and phase == "Forward":
                stage = "loss"
            say("first non-finite: step %d, stage %s, layer %s, %s: %s" % (self.step, stage, self.layer, blob, share))
        CheckFinite.found = True
        if not os.environ.get("NANDOCTOR_GO_ON"):
            raise FloatingPointError("%s of layer %s is not finite: %s" % (blob, self.layer, share))


def say(text):
    sys.stderr.write("[probe] " + text + "\\n")
    sys.stderr.flush()
'''
