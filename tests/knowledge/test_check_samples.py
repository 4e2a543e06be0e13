"""Every net and solver embedded in a check file must fire, or must not, as it says."""

from __future__ import annotations

import re

import pytest

from nandoctor.checks import DETECTORS, CheckResult, run_checks
from nandoctor.checks.fields import MODIFIERS
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import LANGUAGES, Check, CheckSample, KnowledgeBase
from nandoctor.readers.caffe import read_net, read_solver
from nandoctor.readers.log import read_text
from nandoctor.readers.textproto import parse

KB = load_knowledge(cache=False)
SAMPLES = [
    pytest.param(check, sample, id=f"{check.id}-{number}")
    for check in KB.checks.values()
    for number, sample in enumerate(check.samples)
]


def run_sample(kb: KnowledgeBase, sample: CheckSample) -> CheckResult:
    net = read_net(parse(sample.net, "train_val.prototxt")) if sample.net else None
    solver = read_solver(parse(sample.solver, "solver.prototxt")) if sample.solver else None
    run = read_text(sample.log, "train.log", KB) if sample.log else None
    return run_checks(kb, net=net, solver=solver, run=run)


def alone(check: Check) -> KnowledgeBase:
    """A knowledge base with this one check, so that its evidence is not overruled by another's."""
    import msgspec

    return msgspec.structs.replace(KB, checks={check.id: msgspec.structs.replace(check, params=shown(check))})


def shown(check: Check) -> dict[str, float | str | bool]:
    return {key: value for key, value in check.params.items() if key != "finding"}


@pytest.mark.parametrize(("check", "sample"), SAMPLES)
def test_sample(check: Check, sample: CheckSample) -> None:
    result = run_sample(alone(check), sample)
    assert [f.check for f in result.findings] == ([check.id] if sample.fires else [])
    for finding in result.findings:
        assert finding.locations, "a finding says where"
        assert all(at.line >= 1 for at in finding.locations)
        for lang in LANGUAGES:
            text = check.message.get(lang).format(**finding.message.args)
            assert not re.search(r"\{\w+\}", text)
    if sample.fires and check.observation:
        states = {e.observation: e for e in result.evidence}
        assert check.observation in states
        assert states[check.observation].locations
        assert KB.observations[check.observation].state(states[check.observation].state)


@pytest.mark.parametrize("check", KB.checks.values(), ids=lambda c: c.id)
def test_check_file(check: Check) -> None:
    assert bool(check.when) != bool(check.detector)
    assert not check.detector or check.detector in DETECTORS
    assert all(key.partition("|")[2] in ("", *MODIFIERS) for key in check.when)
    fires = {sample.fires for sample in check.samples}
    assert fires == {True, False}
    if check.observation:
        observation = KB.observations[check.observation]
        assert observation.state(check.state)
        assert not check.clear or observation.state(check.clear)
    assert set(check.causes) <= set(KB.causes)
    for lang in LANGUAGES:
        assert getattr(check.title, lang)
        assert getattr(check.message, lang)
    assert set(check.remedies) <= set(KB.remedies)
    assert not check.remedies or check.edits or check.observation or check.causes


def test_every_detector_is_used() -> None:
    assert {check.detector for check in KB.checks.values() if check.detector} == set(DETECTORS)
