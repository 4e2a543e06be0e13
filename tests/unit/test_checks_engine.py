"""The engine of the static checks: comparisons, who wins, what stays open, edits made concrete."""

from __future__ import annotations

import msgspec
import pytest

from nandoctor.checks import CheckResult, run_checks
from nandoctor.checks.fields import MODIFIERS, holds
from nandoctor.diagnosis import Evidence
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import Check, Edit, KnowledgeBase, Text
from nandoctor.readers.caffe import Layer, Net, Solver, read_net, read_solver
from nandoctor.readers.log import read_text
from nandoctor.readers.textproto import parse

KB = load_knowledge(cache=False)
POOL = """layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
  pooling_param { pool: AVE kernel_size: 3 stride: 5 } }"""


def net(text: str) -> Net:
    return read_net(parse(text, "train_val.prototxt"))


def solver(text: str) -> Solver:
    return read_solver(parse(text, "solver.prototxt"))


def layer(text: str = POOL) -> Layer:
    return net(text).layers[0]


def check(name: str, **more: object) -> Check:
    return msgspec.structs.replace(
        Check(name, "warning", "solver", Text("t"), Text("m"), when={"base_lr|gt": 1}), **more
    )


def having(*checks: Check) -> KnowledgeBase:
    return msgspec.structs.replace(KB, checks={item.id: item for item in checks})


def states(result: CheckResult) -> dict[str, str]:
    return {item.observation: item.state for item in result.evidence}


@pytest.mark.parametrize(
    ("condition", "wanted", "expected"),
    [
        ("pooling_param.stride|gt_field", "pooling_param.kernel_size", True),
        ("pooling_param.kernel_size|gt_field", "pooling_param.stride", False),
        ("pooling_param.kernel_size|lt_field", "pooling_param.stride", True),
        ("pooling_param.stride|gt_field", "pooling_param.kernel_h", False),
        ("pooling_param.pad|missing", True, True),
        ("pooling_param.pad|missing", False, False),
        ("pooling_param.pad|exists", True, False),
        ("pooling_param.stride|exists", True, True),
        ("pooling_param.pool", "AVE", True),
        ("pooling_param.pool|eq", "MAX", False),
        ("pooling_param.pool|ne", "MAX", True),
        ("pooling_param.pad|ne", 1, False),
        ("pooling_param.pool|in", ["AVE", "STOCHASTIC"], True),
        ("pooling_param.stride|ge", 5, True),
        ("pooling_param.stride|gt", 5, False),
        ("pooling_param.stride|le", 5, True),
        ("pooling_param.stride|lt", 5, False),
        ("name|re", "^po+l$", True),
        ("pooling_param.pool|gt", 1, False),
    ],
)
def test_comparisons(condition: str, wanted: str | float | bool | list[str], expected: bool) -> None:
    assert holds(layer(), {condition: wanted}) is expected


def test_all_modifiers_are_known_and_others_refused() -> None:
    for modifier in MODIFIERS:
        holds(layer(), {f"pooling_param.stride|{modifier}": 1})
    with pytest.raises(ValueError, match="unknown modifier"):
        holds(layer(), {"pooling_param.stride|above": 1})


def test_conditions_hold_together_for_one_layer() -> None:
    two = {"pooling_param.stride|gt": 4, "pooling_param.pool": "MAX"}
    assert not holds(layer(), two)
    assert holds(layer(), {**two, "pooling_param.pool": "AVE"})


def test_enum_numbers_are_names() -> None:
    assert holds(layer(POOL.replace("AVE", "1")), {"pooling_param.pool": "AVE"})


def test_worst_check_wins() -> None:
    mild = check("mild", severity="note", observation="lr_size", state="large", trust=0.99)
    grave = check("grave", severity="error", observation="lr_size", state="huge", trust=0.6)
    result = run_checks(having(mild, grave), solver=solver('base_lr: 2 lr_policy: "fixed"'))
    assert states(result)["lr_size"] == "huge"
    assert [f.check for f in result.findings] == ["grave", "mild"], "worst first"


def test_clear_only_if_all_ran_clear() -> None:
    one = check("one", observation="optimizer_fault", state="momentum", clear="none")
    two = check("two", observation="optimizer_fault", state="weight_decay", clear="none", when={"weight_decay|gt": 1})
    fine = solver('base_lr: 0.1 lr_policy: "fixed" weight_decay: 0.1 max_iter: 9')
    cleared = run_checks(having(one, two), solver=fine)
    assert states(cleared)["optimizer_fault"] == "none"
    (item,) = [e for e in cleared.evidence if e.observation == "optimizer_fault"]
    assert {at.column for at in item.locations} == {1, 33}, "both fields were looked at"
    assert item.origin == "solver"
    bad = run_checks(having(one, two), solver=solver('base_lr: 0.1 lr_policy: "fixed" weight_decay: 2'))
    assert states(bad)["optimizer_fault"] == "weight_decay"


def test_a_check_without_its_file_says_nothing() -> None:
    one = check("one", observation="optimizer_fault", state="momentum", clear="none")
    assert not run_checks(having(one), net=net(POOL)).evidence


def test_evidence_only_checks_make_no_finding() -> None:
    quiet = check("quiet", observation="lr_size", state="large", params={"finding": False})
    result = run_checks(having(quiet), solver=solver('base_lr: 2 lr_policy: "fixed"'))
    assert not result.findings
    assert states(result) == {"lr_size": "large"}


def test_also_states_further_observations() -> None:
    both = check("both", observation="lr_size", state="large", params={"also": "optimizer_settings=unusual"})
    result = run_checks(having(both), solver=solver('base_lr: 2 lr_policy: "fixed"'))
    assert states(result) == {"lr_size": "large", "optimizer_settings": "unusual"}


def test_overlay_may_drop_an_observation() -> None:
    gone = check("gone", observation="lr_size", state="large")
    fewer = {key: value for key, value in KB.observations.items() if key != "lr_size"}
    kb = msgspec.structs.replace(having(gone), observations=fewer)
    result = run_checks(kb, solver=solver('base_lr: 2 lr_policy: "fixed"'))
    assert not result.evidence
    assert result.findings


def test_edits_name_each_layer_and_fill_in_values() -> None:
    text = POOL + POOL.replace('name: "pool"', 'name: "pool2"').replace('top: "pool"', 'top: "pool2"')
    result = run_checks(having(KB.checks["pooling-stride-exceeds-kernel"]), net=net(text))
    assert result.edits == {
        "pooling-stride-exceeds-kernel": tuple(
            Edit("net", "set", "pooling_param.stride", "3", layer=name) for name in ("pool", "pool2")
        )
    }
    (finding,) = result.findings
    assert finding.message.args["layers"] == "pool, pool2"
    assert [at.line for at in finding.locations] == [2, 2, 3, 3][: len(finding.locations)]


def test_an_excerpt_proves_no_absence() -> None:
    pasted = run_checks(KB, net=net(POOL), solver=solver("momentum: 0.9"))
    told = states(pasted)
    assert told["pooling_stride"] == "exceeds_kernel", "what it shows counts"
    assert not {"custom_loss", "sparsity", "gradient_clipping", "optimizer_fault", "schedule", "warmup"} & set(told)
    assert not [f for f in pasted.findings if f.severity == "error"]
    because = {gap.observation: gap.because.id for gap in pasted.could_not_check}
    assert because["custom_loss"] == "checks.net-excerpt"
    assert because["gradient_clipping"] == "checks.solver-excerpt"


def test_names_are_made_printable_and_short() -> None:
    text = POOL.replace('"pool" type', '"\\033[31m' + "x" * 300 + '" type')
    (finding,) = run_checks(having(KB.checks["pooling-stride-exceeds-kernel"]), net=net(text)).findings
    assert "\033" not in str(finding.message.args)
    assert len(str(finding.message.args["layer"])) <= 60


def test_empty_and_absurd_files_are_no_trouble() -> None:
    for text in (
        "",
        "layer {}",
        'layer { type: "Pooling" }',
        "layer { name: 3 type: 4 bottom: 5 pooling_param: 6 }",
        'layer { type: "InnerProduct" bottom: "x" top: "x" inner_product_param { num_output: -1e30 } }',
        'layer { type: "Convolution" bottom: "b" top: "c" convolution_param { kernel_size: 0 stride: 0 group: 0 } }',
        'layer { type: "BatchNorm" batch_norm_param { eps: nan } } layer { type: "Dropout" dropout_param { } }',
        'layer { type: "Power" bottom: "a" top: "a" power_param { power: inf scale: -inf shift: nan } }',
        'layer { name: "a" type: "ReLU" bottom: "b" top: "a" } layer { name: "b" type: "ReLU" bottom: "a" top: "b" }',
        'layer { type: "SoftmaxWithLoss" loss_weight: nan }',
    ):
        run_checks(KB, net=net(text))
    for text in (
        'base_lr: inf lr_policy: "exp" gamma: nan max_iter: 99999999999',
        'base_lr: "x" momentum: "y" weight_decay: {} type: 5 display: -1 iter_size: 1e300',
        'lr_policy: "multistep" stepvalue: -5 stepvalue: 1e20 base_lr: 1 max_iter: -3',
        "weight_decay: nan momentum: nan base_lr: nan lr_policy: fixed",
    ):
        run_checks(KB, net=net(POOL), solver=solver(text))


def test_dumps_of_the_log_are_cited_in_the_log() -> None:
    text = '\n\nbase_lr: nan\nlr_policy: "fixed"\nmax_iter: 10'
    dumped = read_solver(parse(text, "train.log", first_line=40))
    (finding,) = [f for f in run_checks(KB, solver=dumped).findings if f.check == "schedule-not-finite"]
    assert [str(at) for at in finding.locations] == ["train.log:42:1"]


def test_missing_files_leave_questions_open() -> None:
    log = "I1120 15:33:30.000000  4688 solver.cpp:239] Iteration 0 (1 iter/s, 1s/1 iters), loss = 2.3\n" * 2
    result = run_checks(KB, run=read_text(log, "train.log", KB))
    because = {gap.observation: gap.because.id for gap in result.could_not_check}
    assert because["architecture"] == because["pooling_stride"] == "checks.no-net"
    assert because["optimizer_settings"] == because["warmup"] == "checks.no-solver"
    assert because["first_nonfinite_stage"] == "checks.debug-info-off"


def test_other_frameworks_are_not_asked_for_caffe_files() -> None:
    log = "\n".join(f"epoch {n} step {n * 10} loss: {2.3 - n / 10:.3f}" for n in range(5))
    result = run_checks(KB, run=read_text(log, "train.log", KB))
    assert not result.could_not_check
    assert not result.findings


def test_unknown_input_size_is_said() -> None:
    text = 'layer { name: "data" type: "HDF5Data" top: "data" hdf5_data_param { source: "x" batch_size: 4 } }' + POOL
    gaps = {gap.observation: gap for gap in run_checks(KB, net=net(text)).could_not_check}
    assert gaps["pooling_empty_window"].because.id == "checks.input-size-unknown"
    sized = run_checks(KB, net=net(text), input_shapes={"data": (4, 3, 15, 15)})
    assert states(sized)["pooling_empty_window"] == "yes"
    assert "pooling_empty_window" not in {gap.observation for gap in sized.could_not_check}


def test_every_gap_has_words() -> None:
    text = 'layer { name: "data" type: "HDF5Data" top: "data" hdf5_data_param { source: "x" batch_size: 4 } }' + POOL
    text += 'layer { name: "own" type: "Python" bottom: "pool" top: "own" python_param { module: "m" layer: "L" } }'
    gaps = [*run_checks(KB, net=net(text)).could_not_check]
    gaps += run_checks(KB, run=read_text("Iteration 0, loss = 2.3\nIteration 1, loss = 2.3\n", "l", KB)).could_not_check
    assert len(gaps) > 5
    for gap in gaps:
        assert gap.how is not None
        for note in (gap.because, gap.how):
            for lang in ("en", "zh", "ko"):
                assert KB.text(note.id, lang, **note.args) != note.id


def evidence(result: CheckResult, observation: str) -> Evidence:
    return next(item for item in result.evidence if item.observation == observation)


def test_start_of_the_run_decides_about_fillers() -> None:
    text = """layer { name: "data" type: "HDF5Data" top: "data" top: "label" hdf5_data_param { batch_size: 4 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 5
  weight_filler { type: "gaussian" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }"""
    assert evidence(run_checks(KB, net=net(text)), "weight_init").state == "large"
    given = solver('base_lr: 0.1 lr_policy: "fixed" weights: "good.caffemodel"')
    result = run_checks(KB, net=net(text), solver=given)
    assert evidence(result, "weight_init").state == "pretrained"
    assert evidence(result, "starting_point").state == "pretrained"
    assert "weight-filler-gaussian-without-std" not in {f.check for f in result.findings}
