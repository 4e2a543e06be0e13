"""Nets that train well raise no finding above note, and are recognised for what they are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nandoctor.checks import CheckResult, run_checks
from nandoctor.kb.load import load_knowledge
from nandoctor.readers.caffe import read_net, read_solver
from nandoctor.readers.textproto import parse

KB = load_knowledge(cache=False)
FOLDER = Path(__file__).parent.parent / "corpus" / "checks"
KINDS = {
    "alexnet": "cnn",
    "autoencoder": "autoencoder",
    "cifar10": "cnn",
    "fcn32s": "segmentation",
    "googlenet": "cnn",
    "lenet": "cnn",
    "lstm_caption": "rnn",
    "resnet50": "cnn",
    "ssd300": "detector",
    "vgg16": "cnn",
}


def checked(name: str) -> CheckResult:
    net, solver = FOLDER / f"{name}.prototxt", FOLDER / f"{name}_solver.prototxt"
    return run_checks(
        KB,
        net=read_net(parse(net.read_text(), net.name)),
        solver=read_solver(parse(solver.read_text(), solver.name)),
    )


@pytest.mark.parametrize("name", KINDS)
def test_quiet(name: str) -> None:
    assert [f"{f.check}: {f.message.args}" for f in checked(name).findings if f.severity != "note"] == []


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_architecture(name: str, kind: str) -> None:
    states = {item.observation: item.state for item in checked(name).evidence}
    assert states["architecture"] == kind
    assert states["schedule"] == "valid"
    assert states["optimizer_fault"] == "none"
    assert states["gradient_clipping"] == ("yes" if name == "lstm_caption" else "no")
    assert states["batchnorm"] == ("usual" if name == "resnet50" else "none")


def test_all_nets_are_listed() -> None:
    assert set(KINDS) == {path.stem for path in FOLDER.glob("*.prototxt") if not path.stem.endswith("_solver")}


def test_every_layer_with_a_fault_is_named() -> None:
    text = (FOLDER / "resnet50.prototxt").read_text().replace('type: "msra"', 'type: "gaussian"')
    found = {f.check: f for f in run_checks(KB, net=read_net(parse(text, "net"))).findings}
    finding = found["weight-filler-gaussian-without-std"]
    assert finding.message.args["layers"].endswith("… (54)")
    lines = text.splitlines()
    assert all("gaussian" in lines[at.line - 1] for at in finding.locations)


def test_ten_thousand_lines_are_quick() -> None:
    body = (FOLDER / "resnet50.prototxt").read_text()
    start, end = body.index('layer {\n  name: "res2a_branch1"'), body.index('layer {\n  name: "pool5"')
    block = body[start:end]
    parts = [body[:start]]
    before = "pool1"
    for number in range(7):
        stage = block.replace('"res', f'"x{number}res').replace('"bn_res', f'"x{number}bn_res')
        stage = stage.replace('"scale_res', f'"x{number}scale_res').replace('"relu_res', f'"x{number}relu_res')
        parts.append(stage.replace('"pool1"', f'"{before}"').replace("stride: 2", "stride: 1"))
        before = f"x{number}res5c"
    parts.append(body[end:].replace('"res5c"', f'"{before}"').replace("kernel_size: 7", "kernel_size: 2"))
    text = "".join(parts)
    assert text.count("\n") > 10_000
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        result = run_checks(KB, net=read_net(parse(text, "net")))
        best = min(best, time.process_time() - began)
    assert not [f for f in result.findings if f.severity == "error"]
    assert best < 1.0  # the promise is 0.15 s on an idle machine; benchmarks measure it
    print(best)
