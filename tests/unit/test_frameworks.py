"""Which steps, ways to find out and code the owner of a framework gets to see."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from interview_samples import text, tiny_knowledge

from nandoctor.consultation import Consultation
from nandoctor.diagnosis import Step
from nandoctor.inference.planning import PlannedStep
from nandoctor.interview.replies import HowToFind
from nandoctor.kb.frameworks import snippet_for, steps_for, ways_to_find_out
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase, Remedy
from nandoctor.remedying import at_hand, steps
from nandoctor.render import html, markdown
from nandoctor.render import json as json_report
from nandoctor.render import text as text_report
from nandoctor.render.explain import explain
from nandoctor.render.page import Page
from nandoctor.render.speech import say
from nandoctor.render.words import Words

REMEDY = Remedy(
    "turn",
    "fix",
    text("Turn it"),
    (text("Turn it off."), text("Run again.")),
    5,
    text("It is off."),
    steps_in={
        "caffe": (text("Set off: true."), text("Read the log.")),
        "pytorch": (text("Call off()."),),
        "hf": (text("Pass off=True."),),
        "keras": (text("Drop the callback."),),
    },
    snippets={"caffe": "off: true", "pytorch": "off()", "keras": "drop()"},
)
EVERYBODY = ["Turn it off.", "Run again."]


def shown(framework: str) -> list[str]:
    return [step.en for step in steps_for(REMEDY, framework)]


@pytest.mark.parametrize(
    ("framework", "own", "code"),
    [
        ("caffe", ["Set off: true.", "Read the log."], "caffe"),
        ("pytorch", ["Call off()."], "pytorch"),
        ("hf", ["Pass off=True."], "pytorch"),  # its own steps, its relative's code
        ("lightning", ["Call off()."], "pytorch"),
        ("detection_toolbox", ["Call off()."], "pytorch"),
        ("llm_trainer", ["Call off()."], "pytorch"),
        ("keras", ["Drop the callback."], "keras"),
        ("tensorflow", ["Drop the callback."], "keras"),
        ("jax", [], ""),
        ("darknet", [], ""),
        ("other", [], "pytorch"),  # code shows how it is meant; steps would send the owner to names that are not there
        ("", [], "pytorch"),
    ],
)
def test_the_frameworks_own_else_its_relatives(framework: str, own: list[str], code: str) -> None:
    assert shown(framework) == EVERYBODY + own
    assert snippet_for(REMEDY, framework) == (code, REMEDY.snippets.get(code, ""))


def test_ways_to_find_out() -> None:
    precision = tiny_knowledge().observations["precision"]
    general, own = "Look for autocast.", "Search for torch.autocast."
    assert [way.en for way in ways_to_find_out(precision, "llm_trainer")] == [general, own]
    assert [way.en for way in ways_to_find_out(precision, "jax")] == [general]
    assert [way.en for way in ways_to_find_out(precision, "")] == [general]


def with_own_steps() -> KnowledgeBase:
    kb = tiny_knowledge()
    run = msgspec.structs.replace(
        kb.remedies["zero-learning-rate-run"],
        steps_in={"hf": (text("learning_rate=0"),), "caffe": (text("base_lr: 0"),)},
    )
    observation = msgspec.structs.replace(
        kb.observations["zero_lr_effect"], find_out=text("Rate 0."), find_out_in={"hf": text("Say learning_rate=0.")}
    )
    return msgspec.structs.replace(
        kb,
        remedies={**kb.remedies, run.id: run},
        observations={**kb.observations, observation.id: observation},
    )


def told(framework: str) -> str:
    step = Step("zero-learning-rate-run", "experiment", (), 0.0, 8, framework=framework)
    page = Page(100)
    say(page, HowToFind("zero_lr_effect", framework, step), Words(with_own_steps(), "en"))
    return "\n".join("".join(part for part, _ in line) for line in page.lines)


def test_how_to_find_out_says_the_frameworks_way_once() -> None:
    assert "Rate 0." in told("hf")
    assert "learning_rate=0" in told("hf") and "Say learning_rate=0." not in told("hf")
    assert "base_lr" in told("caffe") and "base_lr" not in told("hf")
    assert "learning_rate=0" not in told("jax") and "Set it to 0." in told("jax")


def test_explain_lists_them_by_framework() -> None:
    page = explain(with_own_steps(), "zero-learning-rate-run")
    assert "1. Set it to 0." in page
    assert "Hugging Face: learning_rate=0" in page and "Caffe: base_lr: 0" in page


LOSSES = ["2.0"] * 9 + ["nan"]
HF = "".join(f"{{'loss': {loss}, 'learning_rate': 5e-05, 'epoch': 0.{i}}}\n" for i, loss in enumerate(LOSSES))
CAFFE = "".join(
    f"I0101 00:00:0{i}.000000 1 solver.cpp:218] Iteration {i}, loss = {loss}\n" for i, loss in enumerate(LOSSES)
)


@pytest.mark.parametrize(
    ("framework", "lines", "there", "absent"),
    [("hf", HF, "logging_nan_inf_filter", "debug_info"), ("caffe", CAFFE, "debug_info", "Trainer")],
    ids=["hf", "caffe"],
)
def test_every_report_speaks_to_the_owner_of_the_log(
    framework: str, lines: str, there: str, absent: str, tmp_path: Path
) -> None:
    log = tmp_path / "train.log"
    log.write_text(lines, encoding="utf-8")
    kb = load_knowledge(cache=False)
    consultation = Consultation.open(log=str(log), kb=kb)
    assert consultation.framework == framework
    run = PlannedStep("find-first-nonfinite", (), 0.0, 12, False)
    planned = steps(kb, consultation.ingested, [run], framework, at_hand(kb, consultation.ingested))
    diagnosis = msgspec.structs.replace(consultation.diagnosis, fastest=planned, diagnostic=())
    held = json.loads(json_report.render(diagnosis, kb))["plans"]["fastest"][0]["steps"]
    assert held == [step.en for step in steps_for(kb.remedies["find-first-nonfinite"], framework)]
    for view in (json_report, text_report, markdown, html):
        report = view.render(diagnosis, kb)
        assert there in report and absent not in report, view.__name__


@pytest.mark.parametrize(("framework", "named"), [("", True), ("other", True), ("pytorch", False), ("hf", False)])
def test_code_for_an_unknown_framework_says_whose_it_is(framework: str, named: bool, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(HF, encoding="utf-8")
    kb = load_knowledge(cache=False)
    consultation = Consultation.open(log=str(log), kb=kb)
    planned = steps(
        kb,
        consultation.ingested,
        [PlannedStep("guard-root", (), 0.5, 12, False)],
        framework,
        at_hand(kb, consultation.ingested),
    )
    diagnosis = msgspec.structs.replace(consultation.diagnosis, fastest=planned, diagnostic=())
    for view in (text_report, markdown, html):
        assert ("In PyTorch:" in view.render(diagnosis, kb)) is named, view.__name__
