"""Logs that call nothing a loss, and lines whose place only their order tells."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from nandoctor.consultation import Consultation
from nandoctor.inference.inquiry import ANSWERED, PATIENCE, UNKNOWN, spent
from nandoctor.interview.reasons import reasons
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.follow import Follower
from nandoctor.readers.log import read_text
from nandoctor.readers.series import main_loss, onset


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("[1/2][{step:03d}] rmse^2 {value}", "rmse^2"),
        ("step {step}/600, nce = {value}", "nce"),
        ("it {step} mae {value}", "mae"),
        ("ep0 upd{step} ctc={value} gn=1.5", "ctc"),
        ("{{'epoche': 0, 'schritt': {step}, 'verlust': {value}}}", "verlust"),
        ("epoch {step} fehlermass {value} zeit 3s", "fehlermass"),
    ],
)
def test_any_name_may_stand_for_the_loss(line: str, name: str, knowledge: KnowledgeBase) -> None:
    values = ["0.91", "0.72", "0.55", "inf", "nan", "nan"]
    run = read_text("\n".join(line.format(step=n, value=v) for n, v in enumerate(values, 1)), "train.log", knowledge)
    loss, found = main_loss(run), onset(run)
    assert loss is not None
    assert loss.quantity == name
    assert [r.value for r in loss.readings[:3]] == [0.91, 0.72, 0.55]
    assert found is not None
    assert (found[1].step, found[1].line) == (4, 4)


def test_what_was_taken_for_the_loss_is_said(knowledge: KnowledgeBase) -> None:
    run = read_text("it 1 mae 0.5\nit 2 mae 0.4\nit 3 mae nan\n", "train.log", knowledge)
    assert [str(note) for note in run.notes] == ["train.log: nothing in it is called a loss; `mae` is taken for it"]


def test_beside_a_loss_nothing_stands_in(knowledge: KnowledgeBase) -> None:
    text = "".join(f"step {n} loss {1 / n:.3f} spitze nan\n" for n in range(1, 6))
    run = read_text(text, "train.log", knowledge)
    assert "any" not in run.dialects
    assert onset(run) is None


def test_counts_and_settings_do_not_stand_in(knowledge: KnowledgeBase) -> None:
    text = "".join(f"batch {n} tokens 4096 files {n}\n" for n in range(1, 9))
    assert main_loss(read_text(text, "train.log", knowledge)) is None


def test_a_bar_whose_values_change_their_form_does_not_start_anew(knowledge: KnowledgeBase) -> None:
    """Lines with inf are of another kind than lines with numbers: their steps are those of their place all the same."""
    bars = [
        f"train: {n // 4}%|##| {n}/400 [00:20<00:13, 12.4it/s, gnorm={'inf' if n in (235, 236) else 0.5}, mse={v}]"
        for n in range(1, 301)
        for v in ["nan" if n > 237 else "inf" if n == 237 else "0.25"]
    ]
    found = onset(read_text("\r".join(bars) + "\n", "train.log", knowledge))
    assert found is not None
    assert found[1].step == 237
    assert math.isinf(found[1].value)


def test_a_wide_number_keeps_its_column(knowledge: KnowledgeBase) -> None:
    text = "step    loss   recon      kl   gnorm   scale\n"
    text += "   0  551.96  551.84   0.115     inf 32768\n   1  552.62  552.51   0.105   26.13 32768\n"
    run = read_text(text, "train.log", knowledge)
    scale = next(s for s in run.series if s.quantity == "scale")
    assert [r.value for r in scale.readings] == [32768.0, 32768.0]


def test_steps_that_a_loss_scaler_leaves_out_are_no_fault(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    rows = [(0, 4.61, "inf", 65536), (1, 4.61, "inf", 32768), (2, 4.60, "1.41", 16384), (3, 4.60, "1.38", 16384)]
    rows += [(50 * n, 4.4 - 0.4 * n, "1.9", 16384) for n in range(1, 8)]
    text = "".join(f"step {n} loss {v:.4f} gnorm {g} scale {s}\n" for n, v, g, s in rows)
    log = tmp_path / "train.log"
    log.write_text(text)
    opened = Consultation.open(kb=knowledge, log=str(log), answers={"precision": "fp16"})
    assert opened.diagnosis.verdict == "healthy"


def test_half_of_the_gradients_infinite_is_a_fault(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    text = "".join(f"step {n} loss 2.{n} gnorm {'inf' if n % 2 else 1.5}\n" for n in range(40))
    log = tmp_path / "train.log"
    log.write_text(text)
    run = Consultation.open(kb=knowledge, log=str(log))
    assert {e.observation: e.state for e in run.evidence}["nonfinite_where"] == "gradients_only"


def test_not_knowing_takes_more_patience_than_an_answer(knowledge: KnowledgeBase) -> None:
    talk = Consultation.open(kb=knowledge, describe="loss is nan after some hours, pytorch")
    asked = 0
    while (question := talk.next_question()) is not None:
        talk = talk.answer(question.observation, "unknown")
        asked += 1
    assert asked <= math.ceil(PATIENCE / UNKNOWN)
    assert spent(talk.belief, talk.asked) == UNKNOWN * asked
    told = Consultation.open(kb=knowledge).answer("precision", "fp32").answer("batchnorm", "unknown")
    assert spent(told.belief, told.asked) == ANSWERED + UNKNOWN


def test_an_answer_that_another_one_rules_out_is_left_out_of_the_reasons(knowledge: KnowledgeBase) -> None:
    talk = Consultation.open(kb=knowledge, answers={"starting_point": "scratch", "nan_onset": "within_100"})
    told = {state for state, _, _ in reasons(talk, "weight_init").rows}
    assert told
    assert "pretrained" not in told


def test_a_log_that_is_followed_may_name_its_loss_as_it_likes(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("".join(f"it {n} xentropie {3 - 0.05 * n:.3f}\n" for n in range(30)))
    follower = Follower(str(log), knowledge)
    assert follower.poll() > 0
    loss = main_loss(follower.run())
    assert loss is not None
    assert (loss.quantity, loss.count) == ("xentropie", 30)
    with log.open("a") as file:
        file.write("it 30 xentropie nan\n")
    assert follower.poll() == len("it 30 xentropie nan\n")
    found = onset(follower.run())
    follower.close()
    assert found is not None
    assert (found[1].step, found[1].line) == (30, 31)
