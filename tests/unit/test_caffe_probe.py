"""The probes written for Caffe: nets that load, a solver that hides nothing, a layer that finds the place."""

from __future__ import annotations

import ast
import json
import math
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from nandoctor.caffe_probe import (
    command,
    data_solver,
    iteration_of,
    last_snapshot,
    probe_texts,
    probing_solver,
    snapshot_before,
    write_probes,
)
from nandoctor.check_finite_layer import SOURCE
from nandoctor.errors import UnreadableError, UsageError
from nandoctor.kb.load import load_knowledge
from nandoctor.probe_nets import data_only, instrumented
from nandoctor.readers.caffe import Net, Solver, read_net, read_solver
from nandoctor.readers.facts import Run
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
    checks = [layer for layer in probed.for_phase("TRAIN") if layer.name.endswith("/check_finite")]
    assert len(checks) >= len([layer for layer in net.for_phase("TRAIN") if layer.tops]) * 0.8
    # what was there is still there, in the same order
    kept = [layer.name for layer in probed.layers if not layer.name.endswith("/check_finite")]
    assert kept == [layer.name for layer in net.layers]
    assert not [layer for layer in probed.for_phase("TEST") if layer.name.endswith("/check_finite")]


def test_checks_are_in_place_and_directly_behind() -> None:
    probed = read_net(parse(instrumented(lenet()), "probe"))
    order = [layer.name for layer in probed.layers]
    assert order[order.index("conv1") + 1] == "conv1/check_finite"
    check = probed.layer("conv1/check_finite")
    assert check is not None
    assert check.bottoms == check.tops == ("conv1",)
    assert json.loads(check.text("python_param.param_str")) == {
        "name": "conv1", "type": "Convolution", "blobs": ["conv1"], "stop": False,
    }  # fmt: skip
    # net.cpp: a layer that reads a loss without leading to one switches off the backward pass below it
    assert "loss/check_finite" not in order
    assert "accuracy/check_finite" not in order


def test_odd_names_are_quoted() -> None:
    text = r"""layer { name: "a\"b" type: "HDF5Data" top: "x\\y" hdf5_data_param { source: "s" batch_size: 2 } }"""
    net = read_net(parse(text, "net"))
    probed = read_net(parse(instrumented(net), "probe"))
    assert [layer.name for layer in probed.layers] == ['a"b', 'a"b/check_finite']
    assert probed.layers[1].bottoms == probed.layers[1].tops == ("x\\y",)
    assert read_net(parse(data_only(net), "data")).layers[1].bottoms == ("x\\y", "x\\y")


def test_chosen_layers_only() -> None:
    probed = read_net(parse(instrumented(lenet(), ["conv2", "ip1"]), "probe"))
    assert [layer.name for layer in probed.layers if layer.name.endswith("/check_finite")] == [
        "conv2/check_finite",
        "ip1/check_finite",
    ]
    with pytest.raises(UsageError, match="did you mean `conv2`"):
        instrumented(lenet(), ["conv_2"])


def test_older_nets_are_refused_with_a_way() -> None:
    with pytest.raises(UnreadableError, match="upgrade_net_proto_text") as raised:
        instrumented(net_of(CORPUS / "nets" / "lenet_v1.prototxt"))
    assert str(raised.value).startswith("lenet_v1.prototxt:")


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
    assert data_only(read_net(parse(text, "net"))) == ""


def test_solver_hides_nothing() -> None:
    probing = read_solver(parse(probing_solver(solver(), "probe.prototxt", "run me"), "solver"))
    assert probing.net_path == "probe.prototxt"
    assert probing.flag("debug_info")
    assert probing.whole("display") == 1
    assert not any(probing.has(path) for path in ("test_iter", "test_interval", "average_loss"))
    assert (probing.number("base_lr"), probing.text("lr_policy")) == (0.01, "inv"), "the course of the run stays"
    plain = read_solver(parse(data_solver("d.prototxt"), "s"))
    assert plain.net_path == "d.prototxt"
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


NET = """\
name: "n"  # a comment
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST } }

layer {
	name: "conv1"	type: "Convolution"
	bottom: "data" top: "conv1"
	convolution_param { num_output: 8 kernel_size: 3 }  # keep me
}  # and me
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "slice" type: "Slice" bottom: "conv1" top: "a" top: "b" }
layer { name: "aux" type: "InnerProduct" bottom: "a" top: "aux" include { phase: TRAIN stage: "deep" } }
layer { name: "kept" type: "InnerProduct" bottom: "b" top: "kept" exclude { phase: TEST } }
layer { name: "ip" type: "InnerProduct" bottom: "b" top: "ip" inner_product_param { num_output: 10 } }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "reg" type: "Reduction" bottom: "a" top: "reg" loss_weight: 0.1 }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" include { phase: TEST } }
"""
SOLVER = """\
net: "train_val.prototxt"
base_lr: 0.01  # mine
lr_policy: "poly" power: 1
max_iter: 4000
display: 40
snapshot: 500
snapshot_prefix: "snap/n"
iter_size: 2
"""


def probed(text: str = NET, **options: object) -> dict[str, str]:
    return probe_texts(parse(text, "train_val.prototxt"), parse(SOLVER, "solver.prototxt"), Path("out"), **options)  # type: ignore[arg-type]


def without_checks(text: str) -> str:
    """The text without the inserted layers and the line ends in front of them."""
    for layer in reversed(read_net(parse(text)).layers):
        if layer.name.endswith("/check_finite"):
            before = text[: layer.field.start].rstrip("\r\n")
            text = before + text[layer.field.end :]
    return text


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_everything_else_stays_byte_for_byte(newline: str) -> None:
    net = NET.replace("\n", newline)
    text = probed(net)["probe_net.prototxt"]
    assert text != net
    assert without_checks(text) == net
    assert newline == "\n" or "\n" not in text.replace("\r\n", "")


@pytest.mark.parametrize("path", NETS, ids=lambda p: p.stem)
def test_real_nets_stay_byte_for_byte(path: Path) -> None:
    net = net_of(path)
    assert without_checks(instrumented(net)).rstrip() == net.document.text.rstrip()


def test_checks_stand_behind_their_layers_in_the_training_phase_alone() -> None:
    net = read_net(parse(probed()["probe_net.prototxt"]))
    names = [layer.name for layer in net.for_phase("TRAIN")]
    assert names == [
        "data", "data/check_finite", "conv1", "conv1/check_finite", "relu1", "relu1/check_finite", "slice",
        "slice/check_finite", "aux", "aux/check_finite", "kept", "kept/check_finite", "ip", "ip/check_finite", "acc",
        "loss", "reg",
    ]  # fmt: skip
    assert [layer.name for layer in net.for_phase("TEST") if "check" in layer.name] == []
    deep = net.layer("aux/check_finite")
    assert deep is not None and deep.text("include.stage") == "deep"  # must go when its layer goes


def test_settings_of_the_checks() -> None:
    text = probed(snapshot="snap/n_iter_1500.solverstate", stop=True)["probe_net.prototxt"]
    layers = [layer for layer in read_net(parse(text)).layers if "check" in layer.name]
    told = {layer.name: json.loads(layer.text("python_param.param_str")) for layer in layers}
    assert told["data/check_finite"] == {
        "name": "data", "type": "Data", "blobs": ["data", "label"], "stop": True, "input": True, "start": 1500,
        "iter_size": 2,
    }  # fmt: skip
    assert told["ip/check_finite"]["loss"] is True
    assert "loss" not in told["conv1/check_finite"]


def test_names_like_placeholders() -> None:
    net = (
        "layer { name: 'a\"b\\'{top}' type: \"Input\" top: 'x\"y' }\n"
        'layer { name: "c" type: "ReLU" bottom: \'x"y\' top: "c" }\n'
    )
    layers = read_net(parse(probed(net)["probe_net.prototxt"])).layers
    assert layers[1].name == "a\"b'{top}/check_finite"
    assert json.loads(layers[1].text("python_param.param_str"))["name"] == "a\"b'{top}"


def test_a_probed_net_is_not_probed_again() -> None:
    with pytest.raises(UsageError, match="already"):
        probed(probed()["probe_net.prototxt"])


def test_the_solver_keeps_its_schedule_and_starts_before_the_onset() -> None:
    text = probed(onset=1999)["probe_solver.prototxt"]
    found = read_solver(parse(text))
    assert found.net_path.endswith("/out/probe_net.prototxt")
    assert found.whole("snapshot", -1) == 0
    assert found.learning_rate(1000) == read_solver(parse(SOLVER)).learning_rate(1000)  # poly needs the same max_iter
    assert "base_lr: 0.01  # mine\n" in text
    assert "--snapshot=snap/n_iter_1500.solverstate" in text.splitlines()[1]
    assert '"start": 1500' in probed(onset=1999)["probe_net.prototxt"]


@pytest.mark.parametrize(
    ("onset", "expected"),
    [(None, ""), (499, ""), (500, "snap/n_iter_500.solverstate"), (1999.0, "snap/n_iter_1500.solverstate")],
)
def test_the_last_snapshot_of_the_solver(onset: float | None, expected: str) -> None:
    assert snapshot_before(read_solver(parse(SOLVER)), onset) == expected
    assert iteration_of(expected) == (1500 if "1500" in expected else 500 if expected else 0)


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    net = parse(NET, "n.prototxt")
    folder = tmp_path / "new"
    texts = probe_texts(net, None, folder)
    paths = write_probes(texts, folder)
    assert [p.name for p in paths] == [
        "probe_net.prototxt", "nandoctor_check_finite.py", "probe_data.prototxt", "probe_data_solver.prototxt",
    ]  # fmt: skip
    paths[0].write_text("precious")
    with pytest.raises(UsageError, match=r"probe_net\.prototxt.*--force"):
        write_probes(texts, folder)
    assert paths[0].read_text() == "precious"
    write_probes(texts, folder, force=True)
    assert paths[0].read_text() != "precious"
    assert len(list(folder.iterdir())) == 4  # no temporary files left
    with pytest.raises(UnreadableError, match="cannot write"):
        write_probes(texts, paths[0] / "below-a-file")


@pytest.mark.parametrize("lang", ["en", "zh", "ko"])
def test_the_command(tmp_path: Path, lang: str) -> None:
    case = CORPUS / "lr_leaky_debug"
    (tmp_path / "train_val.prototxt").write_text((case / "train_val.prototxt").read_text())
    (tmp_path / "s.prototxt").write_text('net: "train_val.prototxt"\nsnapshot: 5\nsnapshot_prefix: "p"\n')
    log = str(case / "train.log")
    text = command("", str(tmp_path / "s.prototxt"), log, (), tmp_path / "out", False, lang, load_knowledge())
    found = read_run_of(log)
    assert "--snapshot=p_iter_" in text and found
    assert f"caffe train --solver={tmp_path}/out/probe_solver.prototxt" in text
    unworded = [word for word in text.split() if word.startswith("probe.") and word != "probe.log"]
    assert not unworded, "a text id without words"
    assert (tmp_path / "out" / "probe_net.prototxt").exists()


def read_run_of(log: str) -> Run:
    from nandoctor.readers.log import read_run

    return read_run([log], load_knowledge())


def test_a_folder_name_cannot_run_commands(tmp_path: Path) -> None:
    import shlex

    folder = tmp_path / "a; rm -rf $(x) 'q'"
    case = CORPUS / "lr_leaky_debug"
    net, solver_ = str(case / "train_val.prototxt"), str(case / "solver.prototxt")
    text = command(net, solver_, "", (), folder, False, "en", load_knowledge())
    for line in text.splitlines():
        if "caffe train" in line:
            words = shlex.split(line)
            assert words[words.index("train") + 1].startswith(f"--solver={folder}/probe_")
            assert "rm" not in words


def test_a_large_net_in_bounded_time() -> None:
    layers = "".join(
        f'layer {{\n  name: "c{n}"\n  type: "ReLU"\n  bottom: "c{n - 1}"\n  top: "c{n}"\n}}\n' for n in range(1, 1500)
    )
    net = 'layer { name: "c0" type: "Input" top: "c0" }\n' + layers
    start = time.process_time()
    text = probed(net)["probe_net.prototxt"]
    assert time.process_time() - start < 5
    assert text.count("CheckFinite") == 1500


# --- the Python layer, in a fake pycaffe


class Array:
    """As much of numpy's ndarray as the layer uses: rows of numbers."""

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), len(self.rows[0])

    @property
    def size(self) -> int:
        return len(self.flat)

    @property
    def flat(self) -> list[float]:
        return [value for row in self.rows for value in row]

    def __getitem__(self, key: Array | int) -> Array:
        if isinstance(key, Array):
            return Array([[v for v, keep in zip(self.flat, key.flat) if keep]])
        return Array([self.rows[key]])


def fake_numpy() -> types.ModuleType:
    module = types.ModuleType("numpy")

    def each(function: Callable[[float], float]) -> Callable[[Array], Array]:
        return lambda array: Array([[function(v) for v in row] for row in array.rows])

    def largest(array: Array) -> float:
        return math.nan if any(math.isnan(v) for v in array.flat) else max(array.flat)

    module.__dict__.update(
        array=Array, isfinite=each(math.isfinite), isnan=each(math.isnan), abs=each(abs), max=largest,
        min=lambda a: min(a.flat), mean=lambda a, dtype: sum(a.flat) / a.size, sum=lambda a: sum(a.flat),
        all=lambda a: all(a.flat),
    )  # fmt: skip
    return module


class Blob:
    """A Caffe blob."""

    def __init__(self, np: types.ModuleType, data: list[list[float]], diff: list[list[float]] | None = None) -> None:
        self.data = np.array(data)
        self.diff = np.array(diff or [[0.0] * len(data[0])] * len(data))


class FakeLayer:
    """caffe.Layer: `blobs` and `type` can be read but not assigned."""

    blobs = property(lambda _: [])
    type = property(lambda _: "Python")
    param_str = ""


@pytest.fixture(params=["numpy", "fake"])
def pycaffe(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """(layer class, numpy): the written source, run with numpy where there is one, and with a fake."""
    np = pytest.importorskip("numpy") if request.param == "numpy" else fake_numpy()
    caffe = types.ModuleType("caffe")
    caffe.Layer = FakeLayer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "caffe", caffe)
    monkeypatch.setitem(sys.modules, "numpy", np)
    space: dict[str, object] = {"__name__": "nandoctor_check_finite"}
    exec(compile(SOURCE, "nandoctor_check_finite.py", "exec"), space)
    return space["CheckFinite"], np


def made(pycaffe, around: list[Blob], **settings: object):  # type: ignore[no-untyped-def]
    layer = pycaffe[0]()
    layer.param_str = json.dumps(settings)
    layer.setup(around, around)
    layer.reshape(around, around)
    return layer


def test_source_is_python_of_2014() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 4))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert "xrange" not in names
    assert not any(isinstance(node, ast.JoinedStr) for node in ast.walk(tree))


def test_layer_names_the_first_blob_and_the_way_there(pycaffe, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    np = pycaffe[1]
    blob = Blob(np, [[1.0, 2.0], [3.0, 4.0]])
    layer = made(pycaffe, [blob], name="conv 1", type="ReLU", blobs=["c"], start=100)
    for scale in (1.0, 10.0, 100.0):
        blob.data = np.array([[scale, 2.0], [3.0, 4.0]])
        layer.forward([blob], [blob])
    blob.data = np.array([[1.0, 2.0], [math.nan, math.inf]])
    layer.forward([blob], [blob])
    layer.forward([blob], [blob])  # says it once
    assert capsys.readouterr().err.splitlines() == [
        "[probe] first non-finite: step 103, stage forward, layer conv_1 (ReLU), top blob c data: 1 nan and 1 inf of 4 "
        "(50.00%); samples 1; the others: min 1 mean 1.5 max 2",
        "[probe] approach: layer conv_1 (ReLU), top blob c data, last 3: 4 10 100",
    ]


def test_layer_remembers_twenty_magnitudes(pycaffe, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    np = pycaffe[1]
    blob = Blob(np, [[1.0]])
    layer = made(pycaffe, [blob], name="x")
    for value in [*range(1, 31), math.inf]:
        blob.data = np.array([[float(value)]])
        layer.forward([blob], [blob])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("last 20: " + " ".join(str(n) for n in range(11, 31)))


def test_layer_counts_iterations_and_samples(pycaffe, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    np = pycaffe[1]
    data, label = Blob(np, [[1.0], [2.0], [3.0]]), Blob(np, [[0.0], [1.0], [2.0]])
    layer = made(pycaffe, [data, label], name="data", type="Data", input=True, iter_size=2)
    for _ in range(5):
        layer.forward([data, label], [data, label])
    label.data = np.array([[0.0], [math.inf], [2.0]])
    layer.forward([data, label], [data, label])
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("[probe] first non-finite: step 2, stage input, layer data (Data), top blob 1 data: 0 nan")
    assert "; samples 1 (read as number 16 from 0); the others: min 0" in first


def test_layer_checks_the_gradient_that_arrives(pycaffe, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    np = pycaffe[1]
    bad = [[math.nan, 1.0]]
    blobs = [Blob(np, [[1.0, 1.0]], bad), Blob(np, [[1.0, 1.0]], bad)]
    layer = made(pycaffe, blobs, name="ip", blobs=["a", "b"])
    layer.forward(blobs, blobs)
    layer.backward(blobs, [False, True], blobs)  # the first gradient is nobody's: not computed, so not looked at
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(
        "[probe] first non-finite: step 0, stage backward, layer ip (Python), top blob b diff: 1 nan and 0 inf of 2"
    )


def test_layer_adds_no_warnings_of_its_own(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    np = pytest.importorskip("numpy")
    caffe = types.ModuleType("caffe")
    caffe.Layer = FakeLayer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "caffe", caffe)
    space: dict[str, object] = {}
    exec(compile(SOURCE, "nandoctor_check_finite.py", "exec"), space)
    blob = Blob(np, [[3e38] * 8 + [math.inf]])
    blob.data = np.array(blob.data, dtype="float32")
    made((space["CheckFinite"], np), [blob], name="x").forward([blob], [blob])  # warnings are errors here
    assert "mean 3e+38" in capsys.readouterr().err


def test_a_data_layer_is_checked_forward_only(pycaffe, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    blob = Blob(pycaffe[1], [[1.0]], [[math.nan]])
    made(pycaffe, [blob], name="data", input=True).backward([blob], [True], [blob])
    assert capsys.readouterr().err == ""


def test_only_the_first_line_claims_to_be_first(pycaffe, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    one, two = Blob(pycaffe[1], [[math.nan]]), Blob(pycaffe[1], [[math.nan]])
    made(pycaffe, [one], name="x").forward([one], [one])
    made(pycaffe, [two], name="y").forward([two], [two])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("[probe] first non-finite: step 0, stage forward, layer x ")
    assert lines[1].startswith("[probe] then non-finite: step 0, stage forward, layer y ")


def test_layer_stops_only_when_asked(pycaffe) -> None:  # type: ignore[no-untyped-def]
    blob = Blob(pycaffe[1], [[math.inf]])
    with pytest.raises(FloatingPointError, match="step 0, stage forward, layer x"):
        made(pycaffe, [blob], name="x", stop=True).forward([blob], [blob])


@pytest.mark.parametrize(
    ("settings", "data", "diff", "kind"),
    [
        ({"type": "Data", "input": True}, math.nan, 0.0, "probe-input"),
        ({"type": "Convolution"}, math.inf, 0.0, "probe-forward"),
        ({"type": "Convolution"}, 1.0, math.nan, "probe-backward"),
        ({"type": "InnerProduct", "loss": True}, 1.0, math.nan, "probe-below-loss"),
    ],
)
def test_nandoctor_reads_what_the_layer_prints(  # type: ignore[no-untyped-def]  # noqa: PLR0917
    pycaffe, capsys: pytest.CaptureFixture[str], settings: dict[str, object], data: float, diff: float, kind: str
) -> None:
    blob = Blob(pycaffe[1], [[data, 1.0]], [[diff, 1.0]])
    layer = made(pycaffe, [blob], name="somewhere", **settings)
    blob.data, bad = pycaffe[1].array([[1.0, 1.0]]), blob.data
    layer.forward([blob], [blob])
    blob.data = bad
    layer.forward([blob], [blob])
    layer.backward([blob], [True], [blob])
    run = read_text(capsys.readouterr().err, "probe.log", load_knowledge(cache=False))
    assert [event.kind for event in run.events if event.kind != "probe-approach"] == [kind]
    assert run.events[0].fields["layer"] == "somewhere"
    assert run.events[0].fields["step"] == "1"


def test_no_heavy_imports() -> None:
    code = "import sys, nandoctor.caffe_probe as c; sys.exit(bool({'numpy', 'torch', 'textual'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
