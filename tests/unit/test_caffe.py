"""Nets and solvers in Caffe's terms: versions, phases, places, loss weights, learning rates."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nandoctor.readers.caffe import kind_of, read_net, read_solver
from nandoctor.readers.schedule import c_pow
from nandoctor.readers.textproto import parse
from nandoctor.readers.upgrade import in_older_words, older_type, written_path

CORPUS = Path(__file__).parents[1] / "corpus"
NETS = sorted((CORPUS / "nets").glob("*.prototxt"))
SOLVERS = sorted((CORPUS / "solvers").glob("*.prototxt"))


def net_of(text: str):
    return read_net(parse(text, "net.prototxt"))


def shipped(name: str):
    return read_net(parse((CORPUS / "nets" / f"{name}.prototxt").read_text(encoding="utf-8"), name))


def solver_of(text: str):
    return read_solver(parse(text, "solver.prototxt"))


def same(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-5) or left == right or (math.isnan(left) and math.isnan(right))


class TestKind:
    @pytest.mark.parametrize("path", NETS, ids=lambda path: path.stem)
    def test_nets(self, path):
        assert kind_of(parse(path.read_text(encoding="utf-8"))) == "net"

    @pytest.mark.parametrize("path", SOLVERS, ids=lambda path: path.stem)
    def test_solvers(self, path):
        assert kind_of(parse(path.read_text(encoding="utf-8"))) == "solver"

    @pytest.mark.parametrize("text", ["", "item { name: 'cat' id: 1 }", "name: 'x'", "type: 'Adam'"])
    def test_neither(self, text):
        assert kind_of(parse(text)) == "unknown"


class TestVersions:
    def test_version_is_the_oldest_form_used(self):
        assert [shipped(name).version for name in ("imagenet_v0", "lenet_v1", "lenet_v2")] == [0, 1, 2]
        assert net_of("").version == 2

    def test_v1_reads_like_the_current_net(self):
        old, new = shipped("lenet_v1"), shipped("lenet_v2")
        assert [layer.type for layer in old.for_phase("TRAIN")] == [
            "Data", "Convolution", "Pooling", "InnerProduct", "ReLU", "InnerProduct", "SoftmaxWithLoss",
        ]  # fmt: skip
        first, again = old.layer("conv1"), new.layer("conv1")
        for path in ("convolution_param.num_output", "convolution_param.weight_filler.type", "param.lr_mult"):
            assert first.get(path) == again.get(path)
        assert first.all("param.lr_mult") == [1, 2]
        assert first.all("param.decay_mult") == [1, 0]
        assert not first.has("blobs_lr")
        data = old.layer("digits")
        assert data.get("transform_param.scale") == 0.00390625
        assert data.get("transform_param.crop_size") == 28
        assert data.get("data_param.batch_size") == 64
        assert not data.has("data_param.scale")

    def test_v1_params_of_one_blob_come_together(self):
        layer = net_of(
            "layers { type: CONVOLUTION param: 'w' param: 'b' blobs_lr: 1 blobs_lr: 2 weight_decay: 3 }"
        ).layers[0]
        assert [[(f.name, f.value) for f in param.fields] for param in layer.all("param")] == [
            [("name", "w"), ("lr_mult", 1), ("decay_mult", 3)],
            [("name", "b"), ("lr_mult", 2)],
        ]

    def test_v1_type_by_number(self):
        assert net_of("layers { type: 17 } layers { type: 4 }").layers[0].type == "Pooling"

    def test_v0_is_sorted_into_parameter_messages(self):
        net = shipped("imagenet_v0")
        assert [layer.type for layer in net.layers] == [
            "Data", "Convolution", "ReLU", "Pooling", "LRN", "Convolution", "Dropout", "InnerProduct",
            "SoftmaxWithLoss",
        ]  # fmt: skip
        data, conv1, pool, lrn = (net.layer(name) for name in ("data", "conv1", "pool1", "norm1"))
        assert data.get("transform_param.crop_size") == 227
        assert data.get("transform_param.mirror") is True
        assert data.get("transform_param.mean_file") == "ilsvrc12_mean.binaryproto"
        assert data.get("data_param.batch_size") == 256
        assert data.tops == ("data", "label")
        assert conv1.get("convolution_param.kernel_size") == 11
        assert conv1.get("convolution_param.weight_filler.std") == 0.01
        assert conv1.all("param.lr_mult") == [1, 2]
        assert conv1.all("param.decay_mult") == [1, 0]
        assert pool.get("pooling_param.pool") == "MAX"
        assert lrn.get("lrn_param.beta") == 0.75
        assert net.layer("fc8").get("inner_product_param.bias_term") is True
        assert net.layer("drop6").get("dropout_param.dropout_ratio") == 0.5

    def test_v0_padding_is_merged_into_the_convolution_behind_it(self):
        net = shipped("imagenet_v0")
        conv2 = net.layer("conv2")
        assert net.layer("pad2") is None
        assert conv2.bottoms == ("norm1",)
        assert conv2.get("convolution_param.pad") == 2

    @pytest.mark.parametrize("name", ["imagenet_v0", "lenet_v1"])
    def test_places_are_the_owners_own_lines(self, name):
        text = (CORPUS / "nets" / f"{name}.prototxt").read_text(encoding="utf-8")
        net = shipped(name)
        words = {"convolution_param.kernel_size": "kernel", "convolution_param.num_output": "num_output",
                 "param.lr_mult": "blobs_lr", "transform_param.crop_size": "crop", "name": "name", "type": "type",
                 "pooling_param.stride": "stride", "inner_product_param.weight_filler.type": "type"}  # fmt: skip
        seen = 0
        for layer in net.layers:
            for path, word in words.items():
                if layer.has(path):
                    place = layer.where(path)
                    line = text.splitlines()[place.line - 1]
                    assert line[place.column - 1 :].startswith(word), (layer.name, path, line)
                    seen += 1
        assert seen > 20

    def test_written_paths(self):
        assert written_path(0, "pooling_param.kernel_size") == "layer.kernelsize"
        assert written_path(0, "transform_param.scale") == "layer.scale"
        assert written_path(0, "convolution_param.weight_filler.std") == "layer.weight_filler.std"
        assert written_path(0, "param.decay_mult") == "layer.weight_decay"
        assert written_path(0, "top") == "top"
        assert written_path(1, "param.lr_mult") == "blobs_lr"
        assert written_path(1, "pooling_param.stride") == "pooling_param.stride"
        assert written_path(2, "param.lr_mult") == "param.lr_mult"
        assert older_type("SoftmaxWithLoss", 1) == "SOFTMAX_LOSS"
        assert older_type("BatchNorm", 1) == ""
        assert in_older_words('layer { name: "r" type: "ReLU" }', 1) == 'layers { name: "r" type: RELU }'
        assert in_older_words('layer { type: "ReLU" }', 0) == ""

    def test_the_owners_spelling_of_the_type_is_forgiven(self):
        assert [layer.type for layer in net_of('layer { type: CONVOLUTION } layers { type: "ReLU" }').layers] == [
            "Convolution",
            "ReLU",
        ]

    @pytest.mark.parametrize("path", NETS, ids=lambda path: path.stem)
    def test_every_shipped_net_is_understood_without_complaint(self, path):
        net = read_net(parse(path.read_text(encoding="utf-8"), path.name))
        assert net.layers
        assert net.unknown_types == ()
        assert all(layer.name and layer.type and layer.location.line for layer in net.layers)


class TestPhases:
    def test_include_and_exclude(self):
        net = shipped("lenet_v2")
        train = [layer.name for layer in net.for_phase("TRAIN")]
        test = [layer.name for layer in net.for_phase("TEST")]
        assert "accuracy" not in train
        assert "accuracy" in test
        assert train.count("digits") == test.count("digits") == 1
        assert net.for_phase("TEST")[0].get("data_param.batch_size") == 100

    @pytest.mark.parametrize(
        ("rule", "train", "test"),
        [
            ("", True, True),
            ("include { phase: TRAIN }", True, False),
            ("include { phase: 1 }", False, True),
            ("include: { phase: TRAIN } include { phase: TEST }", True, True),
            ("exclude { phase: TEST }", True, False),
            ("include { }", True, True),
            ("include { stage: 'mine' }", True, True),
            ("exclude { stage: 'mine' }", True, True),
            ("include { phase: TEST stage: 'mine' min_level: 2 }", False, True),
            ("include { stage: 'deploy' }", False, False),
            ("exclude { stage: 'deploy' }", True, True),
            ("include { stage: 'train' }", True, False),
            ("include { stage: 'val' }", False, True),
            ("exclude { stage: 'val' }", True, False),
            ("include: 3", False, False),
        ],
    )
    def test_rules(self, rule, train, test):
        net = net_of(f"layer {{ name: 'x' type: 'ReLU' {rule} }}")
        assert (len(net.for_phase("TRAIN")), len(net.for_phase("TEST"))) == (train, test)

    def test_state_of_a_dumped_net(self):
        assert net_of("state { phase: TEST } layer { }").state_phase == "TEST"
        assert net_of("state { phase: 0 } layer { }").state_phase == "TRAIN"
        assert net_of("layer { }").state_phase == ""


class TestLayers:
    @pytest.mark.parametrize(
        ("layer", "weights"),
        [
            ("type: 'SoftmaxWithLoss' top: 'l'", (1.0,)),
            ("type: 'SoftmaxWithLoss' top: 'l' top: 'prob'", (1.0, 0.0)),
            ("type: 'SoftmaxWithLoss' top: 'l' loss_weight: 0.3", (0.3,)),
            ("type: 'MultiBoxLoss' top: 'l'", (1.0,)),
            ("type: 'SmoothL1LossOHEM' top: 'l'", (1.0,)),
            ("type: 'Python' top: 'l'", (0.0,)),
            ("type: 'Python' top: 'a' top: 'b' loss_weight: [2, 3]", (2.0, 3.0)),
            ("type: 'InnerProduct' top: 'ip' loss_weight: 1e-3", (1e-3,)),
            ("type: 'EuclideanLoss'", (1.0,)),
            ("type: 'Accuracy' top: 'a'", (0.0,)),
        ],
    )
    def test_loss_weights(self, layer, weights):
        assert net_of(f"layer {{ {layer} }}").layers[0].loss_weights == weights

    def test_typed_access(self):
        layer = net_of(
            "layer { type: 'Pooling' pooling_param { pool: 1 stride: 2 pad: [1, 3] global_pooling: t x: 1 y: nan"
            " kernel_size: 'three' z: 1e300 } bias: True off: f }"
        ).layers[0]
        assert layer.get("pooling_param.pool") == "AVE"
        assert layer.text("pooling_param.pool") == "AVE"
        assert layer.text("pooling_param.stride", "-") == "-"
        assert layer.whole("pooling_param.stride") == 2
        assert layer.wholes("pooling_param.pad") == [1, 3]
        assert layer.whole("pooling_param.kernel_size", 7) == 7
        assert layer.whole("pooling_param.y", 5) == 5
        assert layer.whole("pooling_param.z", 5) == 5
        assert math.isnan(layer.number("pooling_param.y"))
        assert layer.flag("pooling_param.global_pooling") is True
        assert layer.flag("bias") is True
        assert layer.flag("off", True) is False
        assert layer.flag("pooling_param.x") is True
        assert layer.flag("missing", True) is True

    def test_places_fall_back_outwards(self):
        layer = net_of("layer {\n  type: 'Pooling'\n  pooling_param {\n    stride: 2\n  }\n}").layers[0]
        assert layer.where("pooling_param.stride").line == 4
        assert layer.where("pooling_param.pad").line == 3
        assert layer.where("dropout_param.dropout_ratio").line == 1
        assert layer.where("") == layer.location

    def test_unknown_types_are_named_once(self):
        net = net_of("layer { type: 'Mine' } layer { type: 'ReLU' } layer { type: 'Mine' } layer { type: 'Other' }")
        assert net.unknown_types == ("Mine", "Other")

    def test_inputs(self):
        text = "input: 'a' input: 'b' input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4"
        assert net_of(text).inputs == {"a": (1, 2, 3, 4), "b": None}
        assert net_of("input: 'a' input_shape { dim: 5 dim: 6 }").inputs == {"a": (5, 6)}
        assert net_of("input: 'a'").inputs == {"a": None}

    @pytest.mark.parametrize(
        "text", ["layer: 3", "layer { name: {} type: 3 bottom: 4 top { } include: 1 loss_weight: 'x' }",
                 "layers { layer { } }", "layers { layer: 1 }", "layers { type { } }", "input: 3 input_dim: 'x'",
                 "layers { layer { type: 'padding' } }", "layers { type: DATA data_param: 1 }", "state: 1"]
    )  # fmt: skip
    def test_nonsense_is_kept_and_not_refused(self, text):
        net = net_of(text)
        assert net.for_phase("TRAIN") is not None
        assert net.location.line == 1


class TestSolver:
    def test_reading(self):
        solver = solver_of('net: "n.prototxt"\nbase_lr: 0.1\nsolver_mode: 1')
        assert solver.get("base_lr") == 0.1
        assert solver.get("momentum") is None
        assert solver.get("solver_mode") == "GPU"
        assert solver.where("base_lr").line == 2
        assert solver.where("momentum").line == 1
        assert solver.net_path == "n.prototxt"
        assert solver_of("train_net: 't'").net_path == "t"
        assert solver_of("").net_path == ""
        assert solver.net is None
        assert solver_of("").location.line == 1

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("", "SGD"), ('type: "Adam"', "Adam"), ("solver_type: ADAGRAD", "AdaGrad"), ("solver_type: 3", "RMSProp"),
         ('type: "Mine"', "Mine")],
    )  # fmt: skip
    def test_type(self, text, expected):
        assert solver_of(text).type == expected

    def test_net_inside(self):
        text = (CORPUS / "solvers" / "inline_net.prototxt").read_text(encoding="utf-8")
        net = solver_of(text).net
        assert net is not None
        assert [layer.type for layer in net.layers] == ["DummyData", "InnerProduct", "EuclideanLoss"]
        assert net.layers[1].location.line == 4


BASE = "base_lr: 0.01 max_iter: 1000 "
EXP = "base_lr: 0.001 lr_policy: 'exp' gamma: 1.12 "


class TestLearningRate:
    @pytest.mark.parametrize(
        ("text", "rates"),
        [
            # printed by real runs of Caffe
            ("base_lr: 0.001 lr_policy: 'exp' gamma: 1.12", {240: 6.49121e08, 480: 4.21359e20, 720: 2.73513e32}),
            ("base_lr: 0.05 lr_policy: 'poly' power: 0.9 max_iter: 300", {0: 0.05, 240: 0.0117462}),
            ("base_lr: 0.01 lr_policy: 'poly' power: 0.9 max_iter: 100", {90: 0.00125893, 100: 0, 110: math.nan}),
            ("base_lr: 0.12 lr_policy: 'exp' gamma: 1.004", {120: 0.193742, 480: 0.815366}),
            ("base_lr: nan lr_policy: 'fixed'", {0: math.nan}),
            # by the formulas, field by field left out
            (BASE + "lr_policy: 'fixed'", {0: 0.01, 999: 0.01}),
            ("lr_policy: 'fixed'", {0: 0.0}),
            (BASE + "lr_policy: 'step' gamma: 0.1 stepsize: 200", {199: 0.01, 200: 0.001, 999: 1e-6}),
            (BASE + "lr_policy: 'step' stepsize: 200", {199: 0.01, 200: 0.0}),
            (BASE + "lr_policy: 'step' gamma: 0.1", {0: math.nan}),
            (BASE + "lr_policy: 'step' gamma: -1 stepsize: 10", {9: 0.01, 10: -0.01, 20: 0.01}),
            (BASE + "lr_policy: 'exp'", {0: 0.01, 1: 0.0}),
            (BASE + "lr_policy: 'exp' gamma: -1", {0: 0.01, 1: -0.01, 2: 0.01}),
            (BASE + "lr_policy: 'inv'", {0: 0.01, 999: 0.01}),
            (BASE + "lr_policy: 'inv' gamma: 0.0001 power: 0.75", {500: 0.01 * 1.05**-0.75}),
            (
                BASE + "lr_policy: 'inv' gamma: -0.01 power: 0.75",
                {99: 0.01 * 0.01**-0.75, 100: math.inf, 101: math.nan},
            ),
            (BASE + "lr_policy: 'inv' gamma: -0.01 power: 1", {100: math.inf, 200: -0.01}),
            (BASE + "lr_policy: 'poly' power: 1", {500: 0.005, 1000: 0.0, 1500: -0.005}),
            (BASE + "lr_policy: 'poly' power: 2", {1500: 0.0025}),
            (BASE + "lr_policy: 'poly'", {0: 0.01, 1000: 0.01, 5000: 0.01}),
            (BASE + "lr_policy: 'poly' power: -0.9", {0: 0.01, 900: 0.01 * 10**0.9, 1000: math.inf}),
            ("base_lr: 0.01 lr_policy: 'poly' power: 0.9", {0: math.nan, 1: math.inf}),
            ("base_lr: 0.01 lr_policy: 'poly' power: 1", {0: math.nan, 1: -math.inf}),
            ("base_lr: 0.01 lr_policy: 'poly'", {0: 0.01, 1: 0.01}),
            (BASE + "lr_policy: 'sigmoid' gamma: -0.01 stepsize: 500", {500: 0.005, 0: 0.01 / (1 + math.exp(-5))}),
            (BASE + "lr_policy: 'sigmoid'", {0: 0.005, 700: 0.005}),
            (BASE + "lr_policy: 'sigmoid' gamma: -1e30 stepsize: 5", {0: 0.01, 5: 0.005, 6: 0.0}),
            (BASE + "lr_policy: 'multistep' gamma: 0.1 stepvalue: 10 stepvalue: 20", {9: 0.01, 10: 1e-3, 20: 1e-4}),
            (BASE + "lr_policy: 'multistep' stepvalue: 10", {9: 0.01, 10: 0.0}),
            # one stepvalue is passed per iteration, in their written order
            (BASE + "lr_policy: 'multistep' gamma: 0.1 stepvalue: [20, 10]", {19: 0.01, 20: 1e-3, 21: 1e-4}),
            (BASE + "lr_policy: 'multistep' gamma: 0.1 stepvalue: [0, 0]", {0: 1e-3, 1: 1e-4}),
            ("base_lr: 1 lr_policy: 'poly' power: 1 max_iter: 100 min_lr: 0.5", {50: 0.75}),
            ("base_lr: 1 lr_policy: 'fixed' rampup_interval: 10 rampup_lr: 0.1", {0: 0.1, 5: 0.55, 10: 1.0}),
            ("base_lr: 1 lr_policy: 'fixed' warmup_iter: 10 warmup_start_lr: 0.1", {0: 0.1, 5: 0.55, 10: 1.0}),
            ("lr_policy: 'multifixed' stagelr: [1, 2] stageiter: [5, 9]", {0: 1, 5: 1, 6: 2, 99: 2}),
            ("lr_policy: 'multifixed' stagelr: [1, 2] stageiter: 5", {0: math.nan}),
            (BASE + "lr_policy: 'plateau' plateau_winsize: 5", {0: 0.01}),
            (BASE + "lr_policy: 'cosine'", {0: math.nan}),
            (BASE, {0: math.nan}),
        ],
    )
    def test_formulas(self, text, rates):
        solver = solver_of(text)
        found = {it: solver.learning_rate(it) for it in rates}
        assert all(same(found[it], rate) for it, rate in rates.items()), found

    def test_overflow_of_a_c_float(self):
        solver = solver_of("base_lr: 0.001 lr_policy: 'exp' gamma: 1.12")
        assert math.isfinite(solver.learning_rate(843))
        assert solver.learning_rate(844) == math.inf

    @given(
        st.sampled_from(["fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid", "multifixed", "x", ""]),
        st.dictionaries(
            st.sampled_from(["base_lr", "gamma", "power", "stepsize", "max_iter", "stepvalue", "min_lr", "warmup_iter",
                             "rampup_interval", "stagelr", "stageiter"]),
            st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.sampled_from([0, -1, 1, 1e-45])),
        ),
        st.integers(0, 2**31),
    )  # fmt: skip
    @settings(deadline=None)
    def test_never_raises(self, policy, fields, it):
        text = f"lr_policy: '{policy}' " + " ".join(f"{name}: {value}" for name, value in fields.items())
        solver = solver_of(text)
        assert isinstance(solver.learning_rate(it), float)
        schedule = solver.schedule()
        assert schedule.horizon >= 1
        assert schedule.refused or schedule.points
        for at in (schedule.nonfinite_at, schedule.negative_at, schedule.zero_at, schedule.grows_at):
            assert at is None or 0 <= at < schedule.horizon

    def test_c_pow(self):
        assert math.isnan(c_pow(-1.0, 0.5))
        assert c_pow(0.0, -1.0) == math.inf
        assert c_pow(-0.0, -1.0) == -math.inf
        assert c_pow(-10.0, 401.0) == -math.inf
        assert c_pow(-10.0, 400.0) == math.inf
        assert c_pow(math.nan, 0.0) == 1.0


class TestSchedule:
    @pytest.mark.parametrize(
        ("text", "found", "parameter"),
        [
            (BASE + "lr_policy: 'fixed'", {}, ""),
            (BASE + "lr_policy: 'step' gamma: 0.1 stepsize: 100", {}, ""),
            (BASE + "lr_policy: 'poly' power: 0.9", {}, ""),
            (BASE + "lr_policy: 'poly'", {}, ""),
            (BASE + "lr_policy: 'inv' gamma: 0.0001 power: 0.75", {}, ""),
            (BASE + "lr_policy: 'sigmoid' gamma: -0.1 stepsize: 500", {}, ""),
            (BASE + "lr_policy: 'fixed' rampup_interval: 100", {}, ""),
            ("base_lr: nan lr_policy: 'fixed' max_iter: 60", {"nonfinite_at": 0}, "base_lr"),
            ("lr_policy: 'fixed' max_iter: 60", {"zero_at": 0}, "base_lr"),
            ("base_lr: -0.1 lr_policy: 'fixed' max_iter: 60", {"negative_at": 0}, "base_lr"),
            (BASE + "lr_policy: 'step' stepsize: 300", {"zero_at": 300}, "gamma"),
            (BASE + "lr_policy: 'step' gamma: 10 stepsize: 300", {"grows_at": 600}, "gamma"),
            (BASE + "lr_policy: 'multistep' stepvalue: 777", {"zero_at": 777}, "gamma"),
            (BASE + "lr_policy: 'exp'", {"zero_at": 1}, "gamma"),
            (BASE + "lr_policy: 'exp' gamma: -0.999", {"negative_at": 1}, "gamma"),
            (EXP + "max_iter: 900", {"nonfinite_at": 844, "grows_at": 21}, "gamma"),
            (EXP + "max_iter: 9000000", {"nonfinite_at": 844, "grows_at": 21}, "gamma"),
            (BASE + "lr_policy: 'inv' gamma: -0.01 power: 0.75", {"nonfinite_at": 100, "grows_at": 96}, "gamma"),
            (
                BASE + "lr_policy: 'inv' gamma: -0.01 power: 1",
                {"nonfinite_at": 100, "negative_at": 101, "grows_at": 91},
                "gamma",
            ),
            (BASE + "lr_policy: 'inv' gamma: 0.01 power: -2", {"grows_at": 217}, "power"),
            (BASE + "lr_policy: 'poly' power: -0.9", {"grows_at": 923}, "power"),
            ("base_lr: 0.1 lr_policy: 'poly' power: 0.9", {"nonfinite_at": 0}, "max_iter"),
        ],
    )  # fmt: skip
    def test_what_is_found(self, text, found, parameter):
        schedule = solver_of(text).schedule()
        kinds = ("nonfinite_at", "negative_at", "zero_at", "grows_at")
        assert {kind: getattr(schedule, kind) for kind in kinds if getattr(schedule, kind) is not None} == found
        assert schedule.parameter == parameter
        assert schedule.valid == (not found)

    @pytest.mark.parametrize(
        ("text", "refused", "parameter"),
        [(BASE + "lr_policy: 'step' gamma: 0.1", "stepsize-zero", "stepsize"), (BASE, "no-policy", "lr_policy"),
         (BASE + "lr_policy: 'cosine'", "unknown-policy", "lr_policy")],
    )  # fmt: skip
    def test_what_caffe_refuses(self, text, refused, parameter):
        schedule = solver_of(text).schedule()
        assert (schedule.refused, schedule.parameter, schedule.valid) == (refused, parameter, False)
        assert schedule.nonfinite_at is None
        assert schedule.location is not None

    def test_summary_and_place(self):
        solver = solver_of("base_lr: 0.1\nlr_policy: 'poly'\npower: 1\nmax_iter: 100")
        schedule = solver.schedule()
        assert (schedule.first, schedule.maximum, schedule.horizon) == (0.1, 0.1, 100)
        assert same(schedule.last, 0.001)
        assert same(schedule.minimum, 0.001)
        beyond = solver.schedule(horizon=150)
        assert (beyond.zero_at, beyond.negative_at, beyond.parameter) == (100, 101, "max_iter")
        assert str(beyond.location) == "solver.prototxt:4:1"
        assert solver_of("base_lr: 0.1\nlr_policy: 'exp'").schedule().location.line == 1

    @given(
        st.sampled_from(["exp", "step", "inv", "poly", "sigmoid"]),
        st.floats(-2, 2, allow_nan=False).map(lambda x: round(x, 2)),
        st.sampled_from([-2, -0.9, -0.5, 0, 0.5, 0.75, 1, 2]),
        st.integers(0, 40),
        st.integers(1, 4000),
    )
    @settings(max_examples=60, deadline=None)
    def test_agrees_with_looking_at_every_iteration(self, policy, gamma, power, stepsize, max_iter):
        solver = solver_of(
            f"base_lr: 0.1 lr_policy: '{policy}' gamma: {gamma} power: {power} "
            f"stepsize: {stepsize} max_iter: {max_iter}"
        )
        schedule = solver.schedule()
        if schedule.refused:
            return
        rates = [solver.learning_rate(it) for it in range(max_iter)]

        def first(holds):
            return next((it for it, rate in enumerate(rates) if holds(rate)), None)

        assert schedule.nonfinite_at == first(lambda rate: not math.isfinite(rate))
        assert schedule.negative_at == first(lambda rate: rate < 0)
        assert schedule.zero_at == first(lambda rate: rate == 0)
        assert schedule.grows_at == first(lambda rate: math.inf > rate > 1.0000001)


def test_doctest_of_written_path():
    import doctest

    from nandoctor.readers import upgrade

    assert doctest.testmod(upgrade).failed == 0
    assert re.search("Caffe", upgrade.__doc__ or "")
