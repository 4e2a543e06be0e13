"""Free words, answers, commands, paths, pasted text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nandoctor.dialogue import (
    COMMANDS,
    Command,
    answer_in_words,
    looks_like_log,
    looks_like_prototxt,
    parse_command,
    paths_in,
    understand,
)
from nandoctor.kb.load import load_knowledge
from nandoctor.wording import normalised, stem, words_of

KB = load_knowledge(cache=False)


def told(text: str) -> dict[str, str]:
    return {item.observation: item.state for item in understand(text, KB)}


# --- understanding


@pytest.mark.parametrize(
    ("text", "observation", "state"),
    [
        ("no custom loss", "custom_loss", "no"),
        ("I use a custom loss", "custom_loss", "yes"),
        ("did not add gradient clipping", "gradient_clipping", "no"),
        ("gradient clipping is off", "gradient_clipping", "no"),
        ("gradient clipping is on", "gradient_clipping", "yes"),
        ("没有用自定义损失", "custom_loss", "no"),
        ("用了自定义损失", "custom_loss", "yes"),
        ("没加梯度裁剪", "gradient_clipping", "no"),
        ("커스텀 손실은 없음", "custom_loss", "no"),
        ("커스텀 손실을 씁니다", "custom_loss", "yes"),
        ("웜업은 없습니다", "warmup", "no"),
        ("not always at the same step", "repeatability", "random_step"),
    ],
)
def test_denial_turns_an_observation_of_two_states_round(text: str, observation: str, state: str) -> None:
    assert told(text).get(observation) == state


@pytest.mark.parametrize(
    ("text", "observation"),
    [
        ("the loss is not growing", "loss_before_nan"),
        ("it is not an lstm", "architecture"),
        ("the gradients do not explode", "grad_norm_before_nan"),
        ("不是lstm", "architecture"),
    ],
)
def test_denial_says_nothing_where_there_are_several_other_states(text: str, observation: str) -> None:
    assert observation not in told(text)


def test_denial_of_one_thing_does_not_reach_the_next() -> None:
    both = told("no warm-up, gradient clipping is on")
    assert both["warmup"] == "no"
    assert both["gradient_clipping"] == "yes"
    assert told("without clipping the gradients explode")["grad_norm_before_nan"] == "exploding"


@pytest.mark.parametrize(
    "text",
    [
        "should I add gradient clipping?",
        "how do I enable gradient clipping in caffe",
        "gradient clipping?",
        "could it be that I need gradient clipping",
        "people say gradient clipping helps",
        "是不是要加梯度裁剪",
        "그래디언트 클리핑을 써야 하나요?",
    ],
)
def test_a_question_is_no_statement(text: str) -> None:
    assert "gradient_clipping" not in told(text)


def test_a_question_about_the_reason_states_what_it_asks_about() -> None:
    assert told("why is the loss nan after 3 epochs?")["nan_onset"] == "later"
    assert told("为什么loss一开始就是nan？")["nan_onset"] == "first_iteration"


def test_suppositions_are_trusted_less() -> None:
    plain = next(i for i in understand("the images have no object", KB) if i.observation == "empty_targets")
    maybe = next(i for i in understand("maybe the images have no object", KB) if i.observation == "empty_targets")
    assert maybe.trust < plain.trust
    assert maybe.score < plain.score


def test_trust_score_and_span_are_in_bounds() -> None:
    text = "Fine-tuning t5 with fp16: perhaps NaN at step 12,  then Loss Explodes！ 学习率 1e-4"
    found = understand(text, KB)
    assert len(found) >= 5
    for item in found:
        assert 0.6 <= item.trust <= 0.95
        assert 0 < item.score <= 100
        assert 0 <= item.span[0] < item.span[1] <= len(text)
    span = next(item.span for item in found if item.observation == "loss_before_nan")
    assert text[slice(*span)] == "Loss Explodes"


def test_one_state_an_observation_and_the_limit() -> None:
    text = "loss nan at step 3, grad norm exploding, batch size 1, fp16, bf16, cpu works, gan, vae, cnn, lstm, yolo"
    found = understand(text, KB)
    assert len({item.observation for item in found}) == len(found)
    assert understand(text, KB, limit=3) == found[:3]


def test_two_states_that_are_equally_clear_are_trusted_less() -> None:
    sure = next(i for i in understand("it is an lstm", KB) if i.observation == "architecture")
    torn = next(i for i in understand("it is an lstm and a gan", KB) if i.observation == "architecture")
    assert torn.trust < sure.trust


def test_the_longer_phrase_wins() -> None:
    assert told("no warm-up")["warmup"] == "no"
    assert told("warm-up")["warmup"] == "yes"


def test_contradictions_are_not_both_told() -> None:
    both = told("the loss is never nan, the loss grows from step to step until it is nan")
    assert not ("nan_onset" in both and both["nan_onset"] == "never" and "loss_before_nan" in both)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("nan at iteration 0", "first_iteration"),
        ("nan at step 1", "first_iteration"),
        ("nan at iteration 20", "within_100"),
        ("after 100 iterations it is nan", "within_100"),
        ("nan at iteration 101", "later"),
        ("after 12000 iterations the loss is nan", "later"),
        ("nan after 12,000 steps", "later"),
        ("NaN after 20k steps", "later"),
        ("nan at epoch 3", "later"),
        ("nan during the fifth epoch", "later"),
        ("第3个epoch loss变成nan", "later"),
        ("训练50次就nan", "within_100"),
        ("5에폭 뒤에 nan", "later"),
    ],
)
def test_numbers_in_words(text: str, state: str) -> None:
    assert told(text)["nan_onset"] == state


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("lr 1e-8", "tiny"),
        ("learning rate 1e-4", "usual"),
        ("base_lr: 0.01", "usual"),
        ("learning rate of 0.5", "large"),
        ("lr=10", "huge"),
        ("学习率设为0.001", "usual"),
    ],
)
def test_size_of_the_learning_rate(text: str, size: str) -> None:
    assert told(text)["lr_size"] == size
    assert told(text).get("lr_value", "finite") == "finite"


def test_typing_errors_of_one_letter() -> None:
    assert told("mixed precission")["precision"] == "fp16"
    assert told("gradiant cliping is on")["gradient_clipping"] == "yes"


@pytest.mark.parametrize(
    "text", ["loss is 0.0 and grad_norm nan", "loss 0.0, grad_norm nan", "the loss is zero, the gradient norm is nan"]
)
def test_a_value_belongs_to_what_it_is_said_of(text: str) -> None:
    heard = told(text)
    assert heard["loss_exactly_zero"] == "with_nan_gradient"
    assert "grad_norm_before_nan" not in heard  # the norm did not vanish: the 0 is the loss's
    assert told("the gradient norm is 0.0")["grad_norm_before_nan"] == "vanishing"


def test_words_inside_words_do_not_count() -> None:
    assert told("finance, infinity pool, organs, vitamins") == {}


@given(st.text(max_size=300))
@settings(max_examples=120, deadline=None)
def test_any_text_gives_places_within_it(text: str) -> None:
    for item in understand(text, KB):
        assert 0 <= item.span[0] < item.span[1] <= len(text)
        assert KB.observations[item.observation].state(item.state)
    assert len(normalised(text)) == len(text)
    assert answer_in_words(text, "precision", "zh", KB) in (
        None,
        "unknown",
        "fp32",
        "fp16",
        "pure_fp16",
        "bf16",
        "fp64",
    )
    paths_in(text)
    looks_like_log(text)
    looks_like_prototxt(text)
    parse_command(text)


@pytest.mark.parametrize(
    "unit", ["loss nan ", "损失 nan ", "\n", "(", "a_", "lr lr ", "x nan, ", "batch size ", "'", "/a"]
)
def test_endless_text_does_not_hang(unit: str) -> None:
    text = unit * (20_000 // len(unit))
    before = time.process_time()
    understand(text, KB)
    paths_in(text)
    looks_like_log(text)
    looks_like_prototxt(text)
    answer_in_words(text, "devices", "en", KB)
    assert time.process_time() - before < 8.0  # 0.4 s where it was measured; a quadratic expression takes minutes


def test_a_long_description_is_fast() -> None:
    text = (
        "I train a detector on my own dataset with pytorch and fp16, batch size 8 on two gpus, lr 1e-3 with warm-up. "
        "The loss goes down nicely and after 12000 iterations it is suddenly nan. I lowered the learning rate, no "
        "change. There is no custom loss and the labels are checked. 数据里没有nan，学习率降到1e-6还是nan。"
    )
    text = (text * 10)[:2000]
    understand(text, KB)
    spent = []
    for _ in range(7):
        before = time.process_time()
        understand(text, KB)
        spent.append(time.process_time() - before)
    assert min(spent) < 0.12  # 0.02 s where it was measured


def test_stems() -> None:
    assert stem("exploding") == stem("explodes") == stem("explosion") == stem("explode")
    assert stem("normalised") == stem("normalization") == stem("normalize") != stem("normal")
    assert [word.stem for word in words_of("half precision")] == [word.stem for word in words_of("fp16")]
    assert [word.stem for word in words_of("the")] == []


# --- answers


@pytest.mark.parametrize(
    ("observation", "text", "state"),
    [
        ("gradient_clipping", "nope", "no"),
        ("gradient_clipping", "yes, max norm 1.0", "yes"),
        ("gradient_clipping", "是的", "yes"),
        ("gradient_clipping", "아니요", "no"),
        ("gradient_clipping", "I don't know", "unknown"),
        ("gradient_clipping", "no idea", "unknown"),
        ("gradient_clipping", "?", "unknown"),
        ("gradient_clipping", "banana", None),
        ("gradient_clipping", "", None),
        ("gradient_clipping", "4", None),
        ("gradient_clipping", "3", "unknown"),
        ("precision", "amp", "fp16"),
        ("precision", "没有用混合精度", "fp32"),
        ("precision", "fp16은 안 씀", "fp32"),
        ("batchnorm", "no", "none"),
        ("batchnorm", "batch size 1", "tiny_batch"),
        ("custom_loss", "I wrote a focal loss myself", "yes"),
        ("custom_loss", "no, plain cross entropy", "no"),
        ("nan_onset", "iteration 5000", "later"),
        ("nan_onset", "at step 1", "first_iteration"),
        ("nan_onset", "20", "within_100"),
        ("nan_onset", "처음부터", "first_iteration"),
        ("first_loss", "8000", "huge"),
        ("first_loss", "2.3", "normal"),
        ("lower_lr_effect", "it did not help", "no_change"),
        ("lower_lr_effect", "helped", "fixed"),
        ("lower_lr_effect", "没用", "no_change"),
        ("zero_lr_effect", "还是 nan", "still_nan"),
        ("repeatability", "not the same", "random_step"),
        ("repeatability", "matching", None),
        ("pooling_stride", "no", "fits"),
        ("architecture", "a unet", "segmentation"),
        ("devices", "4 gpus", "several"),
        ("labels_valid", "not yet", "not_checked"),
        ("loss_before_nan", "下降", "falling"),
        ("lr_value", "0.01", "finite"),
    ],
)
def test_answers_in_words(observation: str, text: str, state: str | None) -> None:
    assert answer_in_words(text, observation, "en", KB) == state


def test_an_observation_itself_may_be_given() -> None:
    assert answer_in_words("two gpus", KB.observations["devices"], "en", KB) == "several"


# --- commands


def test_commands() -> None:
    assert parse_command("/why") == Command("why")
    assert parse_command("  /log runs/train.log ") == Command("log", "runs/train.log")
    assert parse_command("/log '/a b/train.log'") == Command("log", "/a b/train.log")
    assert parse_command("/log a\\ b.log") == Command("log", "a b.log")
    assert parse_command("/lang zh") == Command("lang", "zh")
    assert parse_command("/h") == Command("help")
    assert parse_command("/hepl") == Command("", "", "help")
    assert parse_command("/zzzz") == Command("")
    for name in COMMANDS:
        assert parse_command(f"/{name}") == Command(name)


@pytest.mark.parametrize("text", ["", "why", "/home/me/train.log", "a /why b", "/ why", "1/2", "//why"])
def test_what_is_no_command(text: str) -> None:
    assert parse_command(text) is None


# --- paths


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("train.log", ["train.log"]),
        ("look at ./runs/train.log, please.", ["./runs/train.log"]),
        ("'/tmp/my run/train.log'", ["/tmp/my run/train.log"]),
        ('"C:\\runs\\a b\\train.log"', ["C:\\runs\\a b\\train.log"]),
        ("C:\\runs\\train.log", ["C:\\runs\\train.log"]),
        ("/tmp/my\\ run/train.log solver.prototxt", ["/tmp/my run/train.log", "solver.prototxt"]),
        ("file:///home/me/a%20b.log", ["/home/me/a b.log"]),
        ("file:///C:/runs/a.log", ["C:/runs/a.log"]),
        ("~/runs ../x", ["~/runs", "../x"]),
        ("(train.log)", ["train.log"]),
        ("train.log:412:3", ["train.log"]),
        ("loss went nan, log=runs/train.log.gz", ["runs/train.log.gz"]),
        ("日志 训练.log。", ["训练.log"]),
        ("train.log train.log", ["train.log"]),
        ("train_val.prototx", ["train_val.prototx"]),
        ("model.training is on", []),
        ("loss is 0/0 or inf/nan and/or 3.5", []),
        ("see https://example.org/train.log", []),
        ("I don't know, it's 'nan'", []),
        ("/why", []),
        ("x.norm() is nan", []),
        ("", []),
    ],
)
def test_paths(text: str, paths: list[str]) -> None:
    assert paths_in(text) == paths


# --- pasted text

GLOG = "I0508 12:39:15.421000  2763 solver.cpp:228] Iteration 100, loss = -nan"


@pytest.mark.parametrize(
    ("text", "log"),
    [
        (GLOG, True),
        ("{'loss': 0.87, 'grad_norm': nan, 'learning_rate': 0.0, 'epoch': 0.01}", True),
        ("Epoch 1 step 10 loss 2.31\nEpoch 1 step 20 loss nan\n", True),
        ("iter 10: loss 4.2, time 35ms\niter 20: loss nan, time 34ms", True),
        ("the loss is nan at iteration 20", False),
        ("I train with lr 0.1.\nAfter 3 epochs the loss is nan.\nWhat can I do about it?", False),
        ("", False),
    ],
)
def test_pasted_log(text: str, log: bool) -> None:
    assert looks_like_log(text) is log


@pytest.mark.parametrize(
    ("text", "prototxt"),
    [
        ('layer {\n  name: "pool"\n  type: "Pooling"\n  pooling_param { pool: AVE stride: 5 kernel_size: 3 }\n}', True),
        ('net: "train_val.prototxt"\nbase_lr: 0.01\nlr_policy: "poly"\n', True),
        ("base_lr: 0.01", True),
        ("my base_lr is 0.01 and the loss is nan", False),
        ("The layer { } is odd.\nI changed base_lr: it was nan.\nAnd so on.", False),
        (GLOG, False),
    ],
)
def test_pasted_prototxt(text: str, prototxt: bool) -> None:
    assert looks_like_prototxt(text) is prototxt
