"""Real logs of every framework: onset, roles, framework, events. The figures were read off the logs by eye."""

import math
import re
from pathlib import Path

import pytest

from nandoctor.kb.load import load_knowledge
from nandoctor.readers.facts import Run, Series
from nandoctor.readers.log import read_run
from nandoctor.readers.series import onset

CORPUS = Path(__file__).parents[1] / "corpus"
KB = load_knowledge()
LOGS = ("train.log", "train.jsonl")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def read(case: str, *names: str) -> Run:
    paths = [CORPUS / case / name for name in names or LOGS if (CORPUS / case / name).exists()]
    return read_run(paths, KB)


def series(run: Run, quantity: str) -> Series:
    found = [s for s in run.series if s.quantity == quantity]
    assert found, f"no {quantity} among {[s.quantity for s in run.series]}"
    return found[0]


# case, line and step of the onset (None: there is none), framework
ONSETS = [
    ("lr_leaky_ave_1p0", 613, 20, "caffe"),
    ("lr_mlp_disp1", 194, 6, "caffe"),
    ("lr_leaky_debug", 1113, 19, "caffe"),
    ("bn_cancellation_2015", 153, 0, "caffe"),
    ("pool_ave_k2s3_h24", 255, 0, "caffe"),
    ("healthy_lenet_step", None, None, "caffe"),
    ("hf-customloss-log0", 4, 1, "hf"),
    ("hf-attn-fully-masked", None, None, "hf"),
    ("hf-benign-eval-metric", None, None, "hf"),
    ("pl-input-raw", 32, 6, "lightning"),
    ("pl-benign-metric", None, None, "lightning"),
    ("keras-tf-lr-terminate", 5, 25, "keras"),
    ("keras-torch-rnn-explode", 4, 3, "keras"),
    ("keras-jax-lossweights", 2, 25, "keras"),
    ("mm-lr-warmup", 133, 21, "detection_toolbox"),
    ("jax-lr-mlp", 4, 3, ""),
    ("jax-debugnans-log", None, None, "jax"),
    ("pt-exp-boxwh-yolo", 7, 3, "detection_toolbox"),
    ("pt-data-nan-lm-embedding", 17, 34, "llm_trainer"),
    ("pt-sched-cosine-div0-megatron", 22, 32, "llm_trainer"),
    ("pt-fp16-gradscaler-healthy-skip", None, None, "llm_trainer"),
    ("pt-lr-gpt-nanogpt", 5, 10, "llm_trainer"),
    ("pt-healthy-tutorial-words", None, None, "pytorch"),
    ("pt-healthy-imagenet-inf", None, None, "pytorch"),
    ("pt-lr-resnetlike-imagenet", 6, 5, "pytorch"),
    ("pt-customloss-focal-logits", 1, 0, "pytorch"),
    ("pt-long-wd-sign", 14, 260, "pytorch"),  # timm: epoch 2, update 60 of 100
    ("pt-arch-deep-resnet-nonorm", 2, 16, "pytorch"),  # mnist: sample 16
    ("pt-attn-sdpa-window-jsonl", 4, 2, ""),
    ("pt-lossweight-det2", 21, 20, "detection_toolbox"),
    ("pt-customloss-hetero-var", 16, 14, ""),
    ("pt-div0-advantage-norm", 11, 8, "pytorch"),
    ("pt-opt-momentum11", 63, 108, ""),  # epoch 5, iteration 8 of 25
    ("pt-labels-outofrange-error", None, None, "pytorch"),
    ("pt-singgrad-anomaly-sqrt", None, None, "pytorch"),
]


@pytest.mark.parametrize(("case", "line", "step", "framework"), ONSETS, ids=[row[0] for row in ONSETS])
def test_onset_and_framework(case: str, line: int | None, step: float | None, framework: str) -> None:
    run = read(case)
    found = onset(run)
    assert (found[1].line if found else None) == line
    assert (found[1].step if found else None) == step
    assert run.framework == framework


@pytest.mark.parametrize("case", [row[0] for row in ONSETS])
def test_every_cited_line_holds_its_number(case: str) -> None:
    """The lines are counted as the contract says, and the number stands in the line."""
    run = read(case)
    data = (CORPUS / case / Path(run.files[0]).name).read_bytes().decode()
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for s in run.series:
        for r in s.readings[:: max(1, len(s.readings) // 20)]:
            text = lines[r.line - 1]
            if math.isnan(r.value):
                assert "nan" in text.lower()
            elif math.isinf(r.value):
                assert "inf" in text.lower()
            else:
                assert r.value in [float(number) for number in NUMBER.findall(text)], (r, text)


def test_caffe_raw_and_running_are_kept_apart() -> None:
    run = read("lr_leaky_ave_1p0")
    running, raw = series(run, "loss"), series(run, "Train net output #0: loss")
    assert (running.role, raw.role, raw.weight) == ("loss_running", "loss", 1.0)
    assert raw.sign == running.sign == "-"
    assert [r.step for r in raw.readings[:3]] == [0, 20, 40]
    tests = series(run, "Test net output #1: loss")
    assert tests.role == "validation_loss"
    assert tests.first_nonfinite is not None
    assert tests.first_nonfinite.step == 50
    assert series(run, "Test net output #0: accuracy").role == "validation_metric"
    assert run.ended == "complete"


def test_caffe_dumps_and_shapes() -> None:
    run = read("lr_leaky_ave_1p0")
    assert run.solver_text is not None
    assert "lr_policy" in run.solver_text.text
    first = run.solver_text.text.splitlines()[0]
    log = (CORPUS / "lr_leaky_ave_1p0" / "train.log").read_text().splitlines()
    assert log[run.solver_text.line - 1] == first
    assert [net.phase for net in run.net_texts] == ["TRAIN", "TEST"]
    for net in run.net_texts:
        assert log[net.line - 1] == net.text.splitlines()[0]
        assert "[" not in net.text.split("layer", 1)[0]
    assert run.top_shapes["data"] == (32, 1, 16, 16)
    assert run.top_shapes["conv1"] == (32, 8, 14, 14)


def test_caffe_debug_info_belongs_to_the_iteration_that_follows() -> None:
    run = read("lr_leaky_debug")
    assert run.layers[0].step == 0
    assert (run.layers[0].layer, run.layers[0].blob, run.layers[0].phase) == ("data", "top blob data data", "Forward")
    bad = next(layer for layer in run.layers if not math.isfinite(layer.value))
    found = onset(run)
    assert found is not None
    assert bad.line < found[1].line
    assert bad.step in {18.0, 19.0}
    assert series(run, "diffs_l2").role == "grad_norm"


def test_hf_hides_nan_as_zero_beside_a_nan_gradient() -> None:
    run = read("hf-attn-fully-masked")
    loss, gradient = series(run, "loss"), series(run, "grad_norm")
    assert loss.role == "loss"
    assert loss.first_nonfinite is None
    assert [r.value for r in loss.readings[:3]] == [1.028, 0, 0]
    assert gradient.role == "grad_norm"
    assert gradient.first_nonfinite is not None
    assert gradient.first_nonfinite.step == 2
    assert [r.step for r in loss.readings[:8]] == [1, 2, 3, 4, 5, 6, 7, 8]  # told by the bar after each line
    assert series(run, "learning_rate").role == "lr"


def test_hf_state_is_merged_with_its_own_lines() -> None:
    run = read("hf-customloss-log0", "train.log", "trainer_state.json")
    assert [Path(f).name for f in run.files] == ["train.log", "trainer_state.json"]
    state = [s for s in run.series if s.file.endswith("trainer_state.json") and s.quantity == "loss"]
    assert state[0].first_nonfinite is not None
    assert (state[0].first_nonfinite.step, state[0].first_nonfinite.line) == (1, 16)
    assert state[0].count == 60
    found = onset(run)
    assert found is not None
    assert (found[0].file == run.files[0], found[1].line) == (True, 4)
    alone = read("hf-customloss-log0", "trainer_state.json")
    assert alone.framework == "hf"


def test_lightning_bars() -> None:
    run = read("pl-benign-metric", "train.log", "metrics.csv")
    step = series(run, "train_loss_step")
    assert step.role == "loss"
    assert [r.value for r in step.readings[:3]] == [0.847, 1.26, 1.65]
    assert series(run, "train_loss_epoch").role == "loss_running"
    validation = series(run, "val_loss")
    assert (validation.role, validation.count) == ("validation_loss", 4)  # the bar shows each for a whole epoch
    assert series(run, "val_pearson").role == "validation_metric"
    assert onset(run) is None
    table = [s for s in run.series if s.file.endswith("metrics.csv") and s.quantity == "train_loss_step"]
    assert table[0].count == 80


def test_keras_prints_running_means_and_many_losses() -> None:
    run = read("keras-jax-lossweights", "train.log", "metrics.csv")
    assert series(run, "loss").role == "loss_running"
    assert series(run, "value_loss").role == "loss_part"  # not a validation loss
    assert series(run, "cls_loss").role == "loss_part"
    assert [s.role for s in run.series if s.quantity == "val_loss"] == []  # NA is no number


def test_keras_message_glued_to_the_bar() -> None:
    run = read("keras-tf-lr-terminate")
    event = next(e for e in run.events if e.kind == "terminate-on-nan")
    assert (event.location.line, event.fields["batch"]) == (3, "4")
    assert series(run, "loss").readings[0].value == 2.739
    assert run.ended == "stopped"


def test_running_averages_stay_apart() -> None:
    run = read("pt-lr-resnetlike-imagenet")
    assert series(run, "Loss").role == "loss"
    assert series(run, "Loss (mean)").role == "loss_running"
    assert series(run, "Acc@1").role == "metric"


def test_components() -> None:
    run = read("pt-lossweight-det2")
    first = {s.quantity: s.first_nonfinite.step for s in run.series if s.first_nonfinite}
    assert first == {"total_loss": 20, "loss_box_reg": 20, "loss_cls": 21}
    assert series(run, "loss_cls").role == "loss_part"


def test_yolo_columns_are_named_by_the_line_above() -> None:
    run = read("pt-exp-boxwh-yolo")
    assert {s.quantity for s in run.series} == {"box_loss", "obj_loss", "cls_loss"}
    assert [r.value for r in series(run, "box_loss").readings[:3]] == [1.258, 24.07, math.inf]


def test_megatron_capital_nan_and_scale() -> None:
    run = read("pt-sched-cosine-div0-megatron")
    assert series(run, "learning rate").first_nonfinite is not None
    assert series(run, "lm loss").role == "loss"
    scale = series(read("pt-fp16-gradscaler-healthy-skip"), "loss scale")
    assert (scale.role, scale.readings[0].value) == ("loss_scale", 262144.0)


def test_false_friends() -> None:
    run = read("pt-healthy-tutorial-words")
    assert {s.quantity for s in run.series} == {"Loss"}
    run = read("pt-healthy-imagenet-inf")
    assert all(s.first_nonfinite is None for s in run.series)
    assert run.header["lr"].value == "0.1"
    assert run.header["nan_policy"].value == "raise"


# case -> event kinds with line
EVENTS = [
    ("pt-sched-cosine-div0-megatron", "numpy-division", 16),
    ("pt-div0-advantage-norm", "torch-std-of-one", 9),
    ("pt-singgrad-anomaly-sqrt", "anomaly-root", 1),
    ("pt-labels-outofrange-error", "label-out-of-range", 23),
    ("jax-debugnans-log", "debug-nans-log", 23),
    ("hf-customloss-log0", "hf-finished", 247),
    ("lr_leaky_debug", "abort", 1549),
]


@pytest.mark.parametrize(("case", "kind", "line"), EVENTS)
def test_events(case: str, kind: str, line: int) -> None:
    run = read(case)
    assert line in [e.location.line for e in run.events if e.kind == kind], [
        (e.kind, e.location.line) for e in run.events
    ]


def test_event_fields_name_the_users_own_line() -> None:
    event = next(e for e in read("pt-sched-cosine-div0-megatron").events if e.kind == "numpy-division")
    assert (event.fields["file"], event.fields["code_line"]) == ("train.py", "180")
    error = next(e for e in read("pt-singgrad-anomaly-sqrt").events if e.kind == "exception")
    assert "SqrtBackward0" in error.fields["text"]


def test_mm_header_is_kept() -> None:
    run = read("mm-lr-warmup")
    assert run.header["Python"].value == "3.11.7"
    assert series(run, "lr").role == "lr"
    assert series(run, "loss").unit == "iteration"


def test_epochs_are_a_unit_of_their_own() -> None:
    run = read("pt-opt-momentum11")
    assert series(run, "mean training loss").unit == "epoch"
    assert series(run, "mean training loss").role == "loss_running"
    assert series(run, "loss").unit == "iteration"
