"""Net and solver held against the log of their run, and the dumps inside a log read in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from nandoctor.checks import CheckResult, run_checks
from nandoctor.kb.load import load_knowledge
from nandoctor.readers.caffe import read_net, read_solver
from nandoctor.readers.log import read_run
from nandoctor.readers.textproto import parse

KB = load_knowledge(cache=False)
CORPUS = Path(__file__).parent.parent / "corpus"


def checked(case: str, net: tuple[str, str] = ("", ""), solver: tuple[str, str] = ("", "")) -> CheckResult:
    """The case's files and log, with one replacement in each file."""
    folder = CORPUS / case
    net_text = (folder / "train_val.prototxt").read_text().replace(*net)
    solver_text = (folder / "solver.prototxt").read_text().replace(*solver)
    return run_checks(
        KB,
        net=read_net(parse(net_text, "train_val.prototxt")),
        solver=read_solver(parse(solver_text, "solver.prototxt")),
        run=read_run([folder / "train.log"], KB),
    )


def findings(result: CheckResult, above: str = "note") -> set[str]:
    return {f.check for f in result.findings if f.severity != above}


def states(result: CheckResult) -> dict[str, str]:
    return {item.observation: item.state for item in result.evidence}


def test_healthy_run_is_quiet_and_clear() -> None:
    result = checked("healthy_lenet_step")
    assert not findings(result)
    expected = {
        "architecture": "cnn",
        "starting_point": "scratch",
        "weight_init": "standard",
        "input_range": "normalized",
        "schedule": "valid",
        "pooling_stride": "fits",
        "pooling_empty_window": "no",
        "custom_loss": "no",
        "loss_arithmetic": "none",
        "several_losses": "one_loss",
        "optimizer_settings": "usual",
        "gradient_clipping": "no",
        "devices": "one",
        "lr_size": "usual",
    }
    assert expected.items() <= states(result).items()


def test_pooling_fault_is_certain_with_the_log() -> None:
    result = checked("pool_ave_k2s3_h24")
    assert findings(result) == {"pooling-average-of-nothing"}
    (finding,) = [f for f in result.findings if f.severity == "error"]
    assert finding.message.args["size"] == 24
    assert states(result)["pooling_empty_window"] == "yes"
    alone = run_checks(KB, net=read_net(parse((CORPUS / "pool_ave_k2s3_h24/train_val.prototxt").read_text(), "net")))
    assert findings(alone) == {"pooling-stride-exceeds-kernel"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("base_lr: 0.01", "base_lr: 0.02"), "base_lr"),
        (("momentum: 0.9", "momentum: 0.95"), "momentum"),
        (('lr_policy: "step"', 'lr_policy: "fixed"'), "lr_policy"),
        (("weight_decay: 0.0005", ""), "weight_decay"),
    ],
)
def test_changed_solver_is_noticed(change: tuple[str, str], field: str) -> None:
    result = checked("healthy_lenet_step", solver=change)
    (finding,) = [f for f in result.findings if f.check == "log-made-with-another-solver"]
    assert finding.message.args["field"] == field
    assert {at.file.rpartition("/")[2] for at in finding.locations} == {"solver.prototxt", "train.log"}


def test_paths_and_display_may_differ() -> None:
    result = checked("healthy_lenet_step", solver=("display: 20", "display: 5"))
    assert "log-made-with-another-solver" not in findings(result)


def test_changed_net_is_noticed_at_the_layer() -> None:
    result = checked("healthy_lenet_step", net=("num_output: 48", "num_output: 64"))
    (finding,) = [f for f in result.findings if f.check == "log-made-with-another-net"]
    assert finding.message.args["layer"] == "ip1"
    assert "64" in str(finding.message.args["here"])
    assert "48" in str(finding.message.args["there"])


def test_printed_rate_is_that_of_the_solver() -> None:
    assert "printed-rate-differs" not in findings(checked("healthy_lenet_step"))
    result = checked("healthy_lenet_step", solver=("stepsize: 200", "stepsize: 100"))
    (finding,) = [f for f in result.findings if f.check == "printed-rate-differs"]
    assert finding.message.args["iteration"] == "100"


def test_dumps_serve_instead_of_files() -> None:
    run = read_run([CORPUS / "healthy_lenet_step" / "train.log"], KB)
    assert run.solver_text is not None
    text = next(t for t in run.net_texts if t.phase == "TRAIN")
    net = read_net(parse(text.text, text.file, text.line))
    solver = read_solver(parse(run.solver_text.text, run.solver_text.file, run.solver_text.line))
    result = run_checks(KB, net=net, solver=solver, run=run)
    assert not findings(result)
    files = {item.observation: item.state for item in checked("healthy_lenet_step").evidence}
    assert states(result) == files
    lines = Path(text.file).read_text().splitlines()
    (rate,) = [item for item in result.evidence if item.observation == "lr_size"]
    assert lines[rate.locations[0].line - 1].strip() == "base_lr: 0.01"


def test_a_dump_that_glog_cut_proves_no_absence() -> None:
    run = read_run([CORPUS / "healthy_lenet_step" / "train.log"], KB)
    text = next(t for t in run.net_texts if t.phase == "TRAIN")
    net = read_net(parse(text.text[: len(text.text) // 2], text.file, text.line, partial=True))
    told = states(run_checks(KB, net=net, run=run))
    assert "custom_loss" not in told
    assert "several_losses" not in told


def test_debug_info_closes_its_gap() -> None:
    gaps = {gap.observation for gap in checked("lr_leaky_debug").could_not_check}
    assert "first_nonfinite_stage" not in gaps
    assert "first_nonfinite_stage" in {gap.observation for gap in checked("lr_mlp_disp1").could_not_check}


def test_rates_of_the_divergent_runs() -> None:
    assert states(checked("lr_mlp_disp1"))["lr_size"] == "huge"
    assert states(checked("lr_leaky_debug"))["lr_size"] == "large"
