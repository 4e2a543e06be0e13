"""The edits of a check, made in its own sample, must take the finding away and leave the rest of the file alone."""

from __future__ import annotations

import msgspec
import pytest

from nandoctor.checks import CheckResult, run_checks
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import Check, CheckSample
from nandoctor.readers.caffe import read_net, read_solver
from nandoctor.readers.edits import apply_edits
from nandoctor.readers.log import read_text
from nandoctor.readers.textproto import parse

KB = load_knowledge(cache=False)
CORRECTED = [
    pytest.param(check, sample, id=f"{check.id}-{number}")
    for check in KB.checks.values()
    for number, sample in enumerate(check.samples)
    if check.edits and sample.fires
]


def run(check: Check, net: str, solver: str, log: str) -> CheckResult:
    alone = msgspec.structs.replace(KB, checks={check.id: check})
    return run_checks(
        alone,
        net=read_net(parse(net, "net")) if net else None,
        solver=read_solver(parse(solver, "solver")) if solver else None,
        run=read_text(log, "log", KB) if log else None,
    )


@pytest.mark.parametrize(("check", "sample"), CORRECTED)
def test_edits_cure(check: Check, sample: CheckSample) -> None:
    edits = run(check, sample.net, sample.solver, sample.log).edits[check.id]
    assert edits
    assert not any("{" in edit.value or "{" in edit.path or "{" in edit.layer for edit in edits)
    net, solver = sample.net, sample.solver
    if net:
        net = apply_edits(parse(net, "net"), [edit for edit in edits if edit.file == "net"])
    if solver:
        solver = apply_edits(parse(solver, "solver"), [edit for edit in edits if edit.file == "solver"])
    assert (net, solver) != (sample.net, sample.solver)
    assert not run(check, net, solver, sample.log).findings
    before, after = sample.net.splitlines(), net.splitlines()
    assert sum(line not in after for line in before) <= len(edits), "other lines stay as they are"


def test_corrections_are_tested() -> None:
    assert len(CORRECTED) > 50
