"""The probes written for Caffe: nets that load, a solver that hides nothing, a layer that finds the place."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import pytest

from nandoctor.caffe_probe import (
    LAYER_MODULE,
    LAYER_SOURCE,
    data_only,
    data_solver,
    instrumented,
    last_snapshot,
    probing_solver,
    write_probes,
)
from nandoctor.errors import UsageError
from nandoctor.kb.load import load_knowledge
from nandoctor.readers.caffe import Net, Solver, read_net, read_solver
from nandoctor.readers.log import read_text
from nandoctor.readers.shapes import infer_shapes
from nandoctor.readers.textproto import parse

CORPUS = Path(__file__).parent.parent / "corpus"
NETS = sorted((CORPUS / "checks").glob("*.prototxt"))
NETS = [path for path in NETS if not path.stem.endswith("_solver")]


def net_of(path: Path) -> Net:
    return read_net(parse(path.read_text(), path.name))


def lenet() -> Net:
    return net_of(CORPUS / "checks" / "lenet.prototxt")


def solver() -> Solver:
    return read_solver(parse((CORPUS / "checks" / "lenet_solver.prototxt").read_text(), "solver.prototxt"))


@pytest.mark.parametrize("path", NETS, ids=lambda p: p.stem)
def test_instrumented_nets_hang_together(path: Path) -> None:
    net = net_of(path)
    probed = read_net(parse(instrumented(net), "probe"))
    wiring = {"unknown-bottom", "later-bottom", "duplicate-top", "duplicate-name", "cycle"}
    assert not [d for d in infer_shapes(probed).defects if d.kind in wiring]
    checks = [layer for layer in probed.for_phase("TRAIN") if layer.name.startswith("finite/")]
    assert len(checks) >= len([layer for layer in net.for_phase("TRAIN") if layer.tops]) * 0.8
    # what was there is still there, in the same order
    kept = [layer.name for layer in probed.layers if not layer.name.startswith("finite/")]
    assert kept == [layer.name for layer in net.layers]
    assert not [layer for layer in probed.for_phase("TEST") if layer.name.startswith("finite/")]


def test_checks_are_in_place_and_directly_behind() -> None:
    probed = read_net(parse(instrumented(lenet()), "probe"))
    order = [layer.name for layer in probed.layers]
    assert order[order.index("conv1") + 1] == "finite/conv1"
    check = probed.layer("finite/conv1")
    assert check is not None
    assert check.bottoms == check.tops == ("conv1",)
    assert check.text("python_param.param_str") == "conv1 (Convolution)"
    loss = probed.layer("finite/loss")
    assert loss is not None
    assert (loss.bottoms, loss.tops) == (("loss",), ()), "a top would take the loss weight away"
    assert "finite/accuracy" not in order


def test_every_other_byte_stays() -> None:
    net = lenet()
    text = instrumented(net)
    for layer in read_net(parse(text, "probe")).layers:
        if layer.name.startswith("finite/"):
            whole = layer.document.text[layer.field.start : layer.field.end]
            text = text.replace("\n" + whole, "", 1)
    assert text == net.document.text


def test_odd_names_are_quoted() -> None:
    text = r"""layer { name: "a\"b" type: "HDF5Data" top: "x\\y" hdf5_data_param { source: "s" batch_size: 2 } }"""
    net = read_net(parse(text, "net"))
    probed = read_net(parse(instrumented(net), "probe"))
    assert [layer.name for layer in probed.layers] == ['a"b', 'finite/a"b']
    assert probed.layers[1].bottoms == probed.layers[1].tops == ("x\\y",)
    assert read_net(parse(data_only(net), "data")).layers[1].bottoms == ("x\\y", "x\\y")


def test_chosen_layers_only() -> None:
    probed = read_net(parse(instrumented(lenet(), ["conv2", "ip1"]), "probe"))
    assert [layer.name for layer in probed.layers if layer.name.startswith("finite/")] == ["finite/conv2", "finite/ip1"]
    with pytest.raises(UsageError, match="did you mean `conv2`"):
        instrumented(lenet(), ["conv_2"])


def test_older_nets_are_refused_with_a_way() -> None:
    with pytest.raises(UsageError, match="upgrade_net_proto_text"):
        instrumented(net_of(CORPUS / "nets" / "lenet_v1.prototxt"))


def test_data_net_reads_sample_by_sample() -> None:
    text = data_only(lenet())
    probed = read_net(parse(text, "data"))
    assert [layer.type for layer in probed.for_phase("TRAIN")] == ["Data", "EuclideanLoss", "EuclideanLoss"]
    data = probed.layers[0]
    assert data.whole("data_param.batch_size") == 1
    assert data.text("data_param.source") == "mnist_train_lmdb"
    assert data.number("transform_param.scale") == pytest.approx(0.00390625)
    assert all(len(layer.bottoms) == 2 and len(set(layer.bottoms)) == 1 for layer in probed.layers[1:])
    assert not infer_shapes(probed).defects


def test_data_net_does_not_shuffle() -> None:
    text = """layer { name: "d" type: "ImageData" top: "data" top: "label"
      image_data_param { source: "list.txt" batch_size: 32 shuffle: true rand_skip: 5 new_height: 8 new_width: 8 } }"""
    layer = read_net(parse(data_only(read_net(parse(text, "net"))), "data")).layers[0]
    assert layer.flag("image_data_param.shuffle") is False
    assert not layer.has("image_data_param.rand_skip")


def test_a_net_without_data_has_no_data_net() -> None:
    text = 'input: "data" layer { name: "r" type: "ReLU" bottom: "data" top: "r" }'
    with pytest.raises(UsageError, match="no layer of the training net reads data"):
        data_only(read_net(parse(text, "net")))


def test_solver_hides_nothing() -> None:
    probing = read_solver(parse(probing_solver(solver(), "probe.prototxt"), "solver"))
    assert probing.net_path == "probe.prototxt"
    assert probing.flag("debug_info")
    assert probing.whole("display") == 1
    assert not any(probing.has(path) for path in ("test_iter", "test_interval", "average_loss"))
    assert (probing.number("base_lr"), probing.text("lr_policy")) == (0.01, "inv"), "the course of the run stays"
    assert read_solver(parse(probing_solver(None, "p"), "s")).flag("debug_info")
    plain = read_solver(parse(data_solver(), "s"))
    assert plain.number("base_lr") == 0
    assert plain.whole("display") == 1


LOG = """solver.cpp:239] Iteration 0 (1 iter/s, 1s/1 iters), loss = 2.3
I1120 15:33:31 4688 solver.cpp:454] Snapshotting to binary proto file snap/a_iter_100.caffemodel
I1120 15:33:31 4688 sgd_solver.cpp:273] Snapshotting solver state to binary proto file snap/a_iter_100.solverstate
I1120 15:33:32 4688 solver.cpp:239] Iteration 150 (1 iter/s, 1s/1 iters), loss = -nan
I1120 15:33:33 4688 sgd_solver.cpp:273] Snapshotting solver state to binary proto file snap/a_iter_200.solverstate
"""


def test_last_snapshot_before_the_nan() -> None:
    run = read_text(LOG, "train.log", load_knowledge(cache=False))
    assert last_snapshot(run) == "snap/a_iter_100.solverstate"
    assert last_snapshot(None) == ""


def test_files_are_written_once(tmp_path: Path) -> None:
    run = read_text(LOG, "train.log", load_knowledge(cache=False))
    written = write_probes(lenet(), solver(), tmp_path / "probes", run=run)
    assert sorted(path.name for path in written.files) == sorted(path.name for path in (tmp_path / "probes").iterdir())
    assert "-snapshot snap/a_iter_100.solverstate" in written.commands[0]
    with pytest.raises(UsageError, match="already there"):
        write_probes(lenet(), solver(), tmp_path / "probes")
    write_probes(lenet(), solver(), tmp_path / "probes", overwrite=True)


def test_the_layer_is_python_3() -> None:
    compile(LAYER_SOURCE, LAYER_MODULE, "exec")
    assert "print " not in LAYER_SOURCE


needs_numpy = pytest.mark.skipif(find_spec("numpy") is None, reason="NumPy is not installed; pycaffe brings it")


class Blob:
    """As much of a Caffe blob as the layer touches."""

    def __init__(self, data: list[list[float]], diff: list[list[float]]) -> None:
        import numpy as np

        self.data = np.array(data, dtype="float32")
        self.diff = np.array(diff, dtype="float32")

    def reshape(self, *shape: int) -> None:
        assert shape == self.data.shape


@needs_numpy
@pytest.mark.parametrize(
    ("about", "data", "diff", "stage"),
    [
        ("data (Data)", [[1, 2], [math.nan, 2]], [[0, 0], [0, 0]], "input"),
        ("conv1 (Convolution)", [[1, 2], [math.inf, 2]], [[0, 0], [0, 0]], "forward"),
        ("loss (SoftmaxWithLoss)", [[math.nan]], [[1]], "loss"),
        ("conv1 (Convolution)", [[1, 2], [3, 4]], [[0, math.nan], [0, 0]], "backward"),
        ("conv1 (Convolution)", [[1, 2], [3, 4]], [[0, 1], [0, 0]], ""),
    ],
)
def test_the_layer_names_the_place(
    about: str, data: list[list[float]], diff: list[list[float]], stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    caffe = types.ModuleType("caffe")
    caffe.Layer = type("Layer", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "caffe", caffe)
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    scope: dict[str, object] = {}
    exec(compile(LAYER_SOURCE, LAYER_MODULE, "exec"), scope)
    layer = scope["CheckFinite"]()  # type: ignore[operator]
    layer.param_str = about
    blob = Blob(data, diff)
    layer.setup([blob], [blob])
    layer.reshape([blob], [blob])
    try:
        layer.forward([blob], [blob])
        layer.backward([blob], [True], [blob])
        assert not stage
    except FloatingPointError:
        assert stage
    text = out.getvalue()
    if not stage:
        assert not text
        return
    run = read_text(text, "probe.log", load_knowledge(cache=False))
    assert [event.kind for event in run.events] == [f"probe-{stage}"]
    assert (run.layers[0].step, run.layers[0].layer) == (0.0, about.split(" ", maxsplit=1)[0])


def test_no_heavy_imports() -> None:
    code = "import sys, nandoctor.caffe_probe as c; sys.exit(bool({'numpy', 'torch', 'textual'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
