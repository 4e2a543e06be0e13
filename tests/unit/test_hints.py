"""Hints: what names, silence and rounding of numbers suggest, and that anything said outright overrules them."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from nandoctor.consultation import Consultation
from nandoctor.diagnosis import Evidence
from nandoctor.inference.belief import settled
from nandoctor.ingest import Inputs
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return load_knowledge()


def opened(kb: KnowledgeBase, log: str, **answers: str) -> Consultation:
    given = Consultation(kb).read(Inputs(texts=(("train.log", log),)))
    for observation, state in answers.items():
        given = given.answer(observation, state)
    return given


def held(kb: KnowledgeBase, log: str, **answers: str) -> dict[str, Evidence]:
    return settled(opened(kb, log, **answers).evidence)


def log_of(*quantities: tuple[str, Callable[[int], object]], nan_from: int = 20, count: int = 30) -> str:
    lines = []
    for step in range(count):
        loss = "nan" if step >= nan_from else f"{2.0 - 0.01 * step:.4f}"
        rest = " ".join(f"{name}={value(step)}" for name, value in quantities)
        lines.append(f"step={step} loss={loss} {rest}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("name", "observation", "state"),
    [
        ("gp", "loss_arithmetic", "root_or_norm"),
        ("train/gradient_penalty", "loss_arithmetic", "root_or_norm"),
        ("logit_scale", "loss_arithmetic", "exp"),
        ("d_loss", "task", "gan"),
        ("ep_len_mean", "task", "reinforcement"),
        ("loss_ctc", "task", "speech_or_ctc"),
        ("dice_loss", "loss_function", "dice_or_iou"),
        ("train/triplet_loss", "loss_function", "contrastive_or_triplet"),
    ],
)
def test_the_name_of_a_quantity_tells(kb: KnowledgeBase, name: str, observation: str, state: str) -> None:
    item = held(kb, log_of((name, lambda _: 0.5)))[observation]
    assert (item.state, item.hint) == (state, True)
    assert item.locations[0].line == 1


@pytest.mark.parametrize("name", ["cross_entropy_loss", "seg_loss", "grad_norm", "weight_loss", "log_loss"])
def test_usual_names_tell_nothing(kb: KnowledgeBase, name: str) -> None:
    found = held(kb, log_of((name, lambda _: 0.5)))
    assert not {"task", "loss_function", "loss_arithmetic", "sparsity"} & set(found)


@pytest.mark.parametrize(("last", "told"), [(0.95, True), (0.3, False)])
def test_a_measure_counts_by_its_last_value_before_the_nan(kb: KnowledgeBase, last: float, told: bool) -> None:
    log = log_of(("sparsity", lambda step: last if step <= 20 else 1.0 - last))
    found = held(kb, log)
    assert ("sparsity" in found) == told
    if told:
        assert found["sparsity"].locations[0].line == 21


def test_an_answer_overrules_a_hint_and_its_question_stays_open(kb: KnowledgeBase) -> None:
    log = log_of(("logit_scale", lambda _: 1.0))
    assert held(kb, log, loss_arithmetic="division")["loss_arithmetic"].state == "division"
    assert not opened(kb, log, loss_arithmetic="division").contradictions
    assert held(kb, log, starting_point="pretrained")["starting_point"].state == "pretrained"


def half(value: float) -> float:
    return float(struct.unpack("<e", struct.pack("<e", value))[0])


def bfloat(value: float) -> float:
    bits = int(struct.unpack("<I", struct.pack("<f", value))[0])
    return float(struct.unpack("<f", struct.pack("<I", (bits + 0x8000) & 0xFFFF0000))[0])


@pytest.mark.parametrize(("rounded", "state"), [(half, "pure_fp16"), (bfloat, "bf16"), (float, None)])
def test_losses_on_a_half_precision_grid(
    kb: KnowledgeBase, rounded: Callable[[float], float], state: str | None
) -> None:
    chance = random.Random(4)
    values = [rounded(2.3 * math.exp(-0.05 * step) + chance.uniform(-0.05, 0.05)) for step in range(25)]
    log = "".join(f"step={step} loss={value:.4f}\n" for step, value in enumerate(values)) + "step=25 loss=nan\n"
    found = held(kb, log).get("precision")
    assert (found.state if found else None) == state


def test_losses_of_two_decimals_say_nothing_about_the_format(kb: KnowledgeBase) -> None:
    log = "".join(f"step={step} loss={2 - step / 4:.2f}\n" for step in range(8)) + "step=8 loss=nan\n"
    assert "precision" not in held(kb, log)


def test_silence_about_loading_is_no_certainty(kb: KnowledgeBase) -> None:
    item = held(kb, log_of())["starting_point"]
    assert item.state == "scratch"
    assert item.hint
    assert item.likelihoods["resumed"] > 0.1


def test_settings_printed_at_the_beginning_count_with_their_line(kb: KnowledgeBase) -> None:
    log = "Namespace(lr=0.003, momentum=1.1, fp16=True, clip_grad=1.0, epochs=3)\n" + log_of()
    found = held(kb, log)
    assert found["optimizer_fault"].state == "momentum"
    assert found["precision"].state == "fp16"
    assert found["gradient_clipping"].state == "yes"
    assert {(found[name].origin, found[name].locations[0].line) for name in ("optimizer_fault", "precision")} == {
        ("log", 1)
    }


def test_a_run_that_prints_few_settings_is_not_said_to_have_the_defaults(kb: KnowledgeBase) -> None:
    found = held(kb, "Namespace(lr=0.003, epochs=3)\n" + log_of())
    assert not {"precision", "optimizer_fault", "gradient_clipping"} & set(found)


@pytest.mark.parametrize(("finite", "state"), [(1, "one"), (4, "few"), (12, "many")])
def test_finite_steps_before_the_nan(kb: KnowledgeBase, finite: int, state: str) -> None:
    assert held(kb, log_of(nan_from=finite))["finite_steps"].state == state


def test_finite_steps_are_not_counted_where_steps_are_left_out(kb: KnowledgeBase) -> None:
    log = "".join(f"step={step} loss={'nan' if step >= 40 else 2.0}\n" for step in range(0, 100, 10))
    assert "finite_steps" not in held(kb, log)


def test_a_loss_that_exploded_and_stayed_up_is_growing(kb: KnowledgeBase) -> None:
    values = [2.0, 2.1, 90.0, 4e9, *[1e18 * (1 + 0.1 * (i % 3)) for i in range(12)]]
    log = "".join(f"step={step} loss={value:g}\n" for step, value in enumerate(values)) + "step=16 loss=nan\n"
    assert held(kb, log)["loss_before_nan"].state == "growing"


def test_lightning_that_names_no_mixed_precision_runs_without(kb: KnowledgeBase, tmp_path: Path) -> None:
    head = "GPU available: True (cuda), used: True\nTPU available: False, using: 0 TPU cores\n"
    mixed = head + "Using 16bit Automatic Mixed Precision (AMP)\n"
    rows = "".join(
        f"Epoch 0:  {n}%|#| {n}/50 [00:01<00:02, 20.0it/s, v_num=0, train_loss={value}]\n"
        for n, value in enumerate(["0.8", "0.7", "nan.0", "nan.0"], 1)
    )
    for text, expected in ((head + rows, "fp32"), (mixed + rows, "fp16")):
        log = tmp_path / f"{expected}.log"
        log.write_text(text)
        told = settled(Consultation.open(kb=kb, log=str(log)).evidence)["precision"]
        assert (told.state, told.hint) == (expected, expected == "fp32")
