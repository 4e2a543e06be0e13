"""Where only a message tells of the NaN, the report says what it says, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from nandoctor.consultation import Consultation
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render import html, markdown, text

DETECTRON = """\
[06/12 10:00:01 d2.utils.events]:  eta: 0:10:00  iter: 19  total_loss: 2.531  loss_cls: 1.2  lr: 0.02  max_mem: 3000M
FloatingPointError: Loss became infinite or NaN at iteration=27!
"""
CASES = Path(__file__).parents[2] / "benchmarks" / "cases"


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


@pytest.mark.parametrize("view", [text, markdown, html])
def test_the_message_stands_under_the_curve(knowledge: KnowledgeBase, tmp_path: Path, view: object) -> None:
    log = tmp_path / "train.log"
    log.write_text(DETECTRON)
    page = view.render(Consultation.open(kb=knowledge, log=str(log)).diagnosis, knowledge)  # type: ignore[attr-defined]
    assert "train.log:2 says: FloatingPointError: Loss became infinite or NaN at iteration=27!" in page


def test_an_exception_without_any_loss(knowledge: KnowledgeBase) -> None:
    diagnosis = Consultation.open(kb=knowledge, run_dir=str(CASES / "pt-singgrad-anomaly-sqrt")).diagnosis
    assert "train.log:35 says: RuntimeError: Function 'SqrtBackward0'" in text.render(diagnosis, knowledge)


def test_of_several_files_the_headline_cites_the_one_of_the_evidence(knowledge: KnowledgeBase) -> None:
    page = text.render(Consultation.open(kb=knowledge, run_dir=str(CASES / "keras-jax-bn-eps0")).diagnosis, knowledge)
    assert "the first one at step 20, train.log:2" in page


def test_a_single_step_is_no_range(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(DETECTRON)
    page = text.render(Consultation.open(kb=knowledge, log=str(log)).diagnosis, knowledge)
    assert "(detection toolbox, step 19)" in " ".join(page.split())


def test_a_nan_beside_a_finite_curve_is_named(knowledge: KnowledgeBase) -> None:
    """Caffe's smoothed loss is NaN, its raw output is 0: the curve is finite, so the mark says whose NaN it is."""
    page = text.render(Consultation.open(kb=knowledge, run_dir=str(CASES / "opt_iter_size_0")).diagnosis, knowledge)
    assert "loss NaN at iteration 0, train.log:287" in page


@pytest.mark.parametrize("name", ["healthy_lenet_step", "lr_mlp_disp1"])
def test_nothing_where_numbers_tell_or_nothing_happened(knowledge: KnowledgeBase, name: str) -> None:
    assert " says: " not in text.render(Consultation.open(kb=knowledge, run_dir=str(CASES / name)).diagnosis, knowledge)
