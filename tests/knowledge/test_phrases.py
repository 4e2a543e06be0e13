"""The observations' texts, numbers and phrases: complete, consistent, each phrase understood."""

from __future__ import annotations

import math
import re

import pytest

from nandoctor.dialogue import answer_in_words, understand
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import LANGUAGES, KnowledgeBase, Observation
from nandoctor.terms import expanded
from nandoctor.wording import has_cjk, normalised, words_of

KB = load_knowledge(cache=False)
ASKED = [observation for observation in KB.observations.values() if observation.question]
FRAMEWORKS = {"caffe", "pytorch", "lightning", "hf", "keras", "jax"}

# What the documents that the project goes back to say, as short fragments in their own languages.
FRAGMENTS = [
    ("the loss starts to grow significantly from iteration to iteration", "loss_before_nan", "growing"),
    ("the loss will be too large to be represented", "loss_before_nan", "growing"),
    ("the learning rate itself becomes 'nan'", "lr_value", "nonfinite"),
    ("lr = -nan", "lr_value", "nonfinite"),
    ("you forget to define max_iter", "schedule", "becomes_nonfinite"),
    ("feeding InfogainLoss layer with non-normalized values", "loss_input", "raw_scores_where_probabilities"),
    ("using custom loss layer with bugs", "custom_loss", "yes"),
    ("loss is decreasing gradually, and all of a sudden a nan appears", "loss_before_nan", "falling"),
    ("normalized the penalty by the frequency of label occurrence in a batch", "loss_arithmetic", "division"),
    ("training labels did not appear in the batch at all", "empty_targets", "yes"),
    ("images that do not contain any foreground label", "empty_targets", "yes"),
    ("you have an input with nan in it", "data_finite", "has_bad_samples"),
    ("you have bad image files", "data_finite", "has_bad_samples"),
    ("stride larger than kernel size", "pooling_stride", "exceeds_kernel"),
    ("choosing stride > kernel_size for pooling", "pooling_stride", "exceeds_kernel"),
    ("not setting the bias in the convolution layers", "bias_filler", "missing"),
    ("had several layers in it to induce sparsity", "sparsity", "yes"),
    ("gradient blow up", "grad_norm_before_nan", "exploding"),
    ("with select the low value for learning rate it fixes", "lower_lr_effect", "fixed"),
    ("loss随着迭代有明显的增长", "loss_before_nan", "growing"),
    ("loss随着每轮迭代越来越大", "loss_before_nan", "growing"),
    ("学习率变成NaN", "lr_value", "nonfinite"),
    ("忘了设置最大迭代次数max_iter", "schedule", "becomes_nonfinite"),
    ("向InfogainLoss层没有归一化输入值", "loss_input", "raw_scores_where_probabilities"),
    ("使用自定义的损失层", "custom_loss", "yes"),
    ("loss逐渐下降，然后突然出现NaN", "loss_before_nan", "falling"),
    ("loss也在逐步的降低,但突然之间NaN就出现了", "loss_before_nan", "falling"),
    ("根据批量数据中标签出现的频率去归一化", "loss_arithmetic", "division"),
    ("如果有个label并没有在批量数据中出现", "empty_targets", "yes"),
    ("某个label从未在batch中出现过", "empty_targets", "yes"),
    ("你的输入中存在NaN", "data_finite", "has_bad_samples"),
    ("training sample中出现了脏数据", "data_finite", "has_bad_samples"),
    ("损坏的图片", "data_finite", "has_bad_samples"),
    ("步长stride>核尺寸kernel_size的pooling层", "pooling_stride", "exceeds_kernel"),
    ("池化层中步长比核的尺寸大", "pooling_stride", "exceeds_kernel"),
    ("每次在固定的迭代次数段", "repeatability", "same_step"),
    ("导致acc骤降", "accuracy_course", "frozen"),
    ("在迭代的100轮以内，出现NaN", "nan_onset", "within_100"),
    ("当前的网络是类似于RNN的循环神经网络", "architecture", "rnn"),
    ("可能用0作为了除数", "loss_arithmetic", "division"),
    ("可能0或者负数作为自然对数", "loss_arithmetic", "log"),
    ("需要计算loss的数组越界", "named_label_error", "yes"),
    ("不做其他处理的softmax", "loss_arithmetic", "exp"),
    ("输入数据未做归一化", "input_range", "raw"),
    ("梯度变得非常大", "grad_norm_before_nan", "exploding"),
    ("손실이 반복에서 반복으로 크게 증가", "loss_before_nan", "growing"),
    ("학습률 자체가 다음 'nan'과 같이", "lr_value", "nonfinite"),
    ("정의하는 것을 잊지 max_iter", "schedule", "becomes_nonfinite"),
    ("버그가있는 사용자 지정 손실 레이어", "custom_loss", "yes"),
    ("손실이 점차 감소하고 갑자기 a nan가 나타납니다", "loss_before_nan", "falling"),
    ("일괄 라벨 발생 빈도에 따라 패널티를 정규화", "loss_arithmetic", "division"),
    ("훈련 레이블 중 하나가 배치에 전혀 나타나지 않으면", "empty_targets", "yes"),
    ("잘못된 이미지 파일", "data_finite", "has_bad_samples"),
    ("커널 크기보다 큰 보폭", "pooling_stride", "exceeds_kernel"),
    ("그라데이션 폭발", "grad_norm_before_nan", "exploding"),
]

# Descriptions as owners write them: what must be understood, and what must not be.
DESCRIPTIONS: list[tuple[str, dict[str, str], tuple[str, ...]]] = [
    (
        "Trained a detector on my own dataset; rpn_loss_box turns nan after 340 iterations, other losses look ok.",
        {
            "nonfinite_where": "one_loss_of_several",
            "first_bad_part": "box_or_regression",
            "nan_onset": "later",
            "data_origin": "own_data",
            "task": "detection_custom_boxes",
        },
        ("lower_lr_effect",),
    ),
    (
        "LoRA on llama2 with fp16: the first log line says grad_norm nan and then the loss is 0.0. bf16 works.",
        {
            "loss_exactly_zero": "with_nan_gradient",
            "nonfinite_where": "gradients_only",
            "precision": "fp16",
            "full_precision_effect": "fixed",
            "model_origin": "bf16_born_model",
            "task": "llm_finetuning",
        },
        (),
    ),
    (
        "I already lowered the lr, no change. No custom loss, not using fp16, and there is no gradient clipping.",
        {"lower_lr_effect": "no_change", "custom_loss": "no", "precision": "fp32", "gradient_clipping": "no"},
        (),
    ),
    (
        "unet with a custom dice loss gives nan on slices without any tumor",
        {"architecture": "segmentation", "custom_loss": "yes", "empty_targets": "yes"},
        (),
    ),
    (
        "the loss goes from 4 to 900 to 3 million within 30 iterations, then nan",
        {"loss_before_nan": "growing", "nan_onset": "within_100"},
        ("lr_value",),
    ),
    (
        "The model is fine on cpu but on my GTX 1660 all losses are nan from the first step with amp",
        {
            "other_machine_effect": "only_here",
            "nan_onset": "first_iteration",
            "precision": "fp16",
        },
        (),
    ),
    (
        "CTC loss is inf from the beginning, some transcripts are longer than the audio frames",
        {"ctc_lengths": "too_short", "first_bad_part": "ctc", "task": "speech_or_ctc"},
        (),
    ),
    ("still nan with learning rate 0, so it cannot be the lr", {"zero_lr_effect": "still_nan"}, ("lr_value",)),
    (
        "loss is stuck at 87.3365 in caffe after fine-tuning with use_global_stats: true",
        {"loss_saturated": "yes", "framework": "caffe", "bn_setting": "global_stats_in_training"},
        (),
    ),
    (
        "resumed from a checkpoint and now every loss is nan, before that it was perfectly fine",
        {"starting_point": "resumed", "trigger": "after_resume"},
        (),
    ),
    (
        "batch size 1 with batch norm layers, random nan",
        {"batchnorm": "tiny_batch", "trigger": "small_batch_or_subset"},
        (),
    ),
    (
        "the attention layer returns nan for some of the inputs, they are left padded",
        {"attention_mask": "can_be_fully_masked", "architecture": "transformer"},
        (),
    ),
    (
        "train loss is normal but validation loss is nan, running_var is inf",
        {"nonfinite_where": "validation_only", "bn_setting": "statistics_nonfinite"},
        (),
    ),
    (
        "yolo训练到第20个epoch的时候loss突然变成nan，用的自己的数据集，学习率已经调小但没有变化，没有用自定义损失",
        {
            "nan_onset": "later",
            "data_origin": "own_data",
            "lower_lr_effect": "no_change",
            "custom_loss": "no",
            "architecture": "detector",
        },
        ("lr_value",),
    ),
    (
        "学习率设为0还是nan，数据里没有nan，没有用混合精度，单卡训练",
        {
            "zero_lr_effect": "still_nan",
            "data_finite": "checked_clean",
            "precision": "fp32",
            "devices": "one",
        },
        (),
    ),
    (
        "微调qwen的时候grad_norm是nan，loss=0，换成fp32就正常",
        {"nonfinite_where": "gradients_only", "full_precision_effect": "fixed", "task": "llm_finetuning"},
        (),
    ),
    (
        "학습률을 낮춰도 nan이 나옵니다. 커스텀 손실은 없고 배치 정규화는 사용하지 않습니다. fp16은 안 씁니다",
        {"lower_lr_effect": "no_change", "custom_loss": "no", "batchnorm": "none", "precision": "fp32"},
        (),
    ),
    (
        "처음 몇 에폭은 잘 학습되다가 갑자기 손실이 nan이 됩니다. cpu에서는 정상입니다",
        {"nan_onset": "later", "loss_before_nan": "falling", "other_machine_effect": "only_here"},
        (),
    ),
    (
        "loss 突然 nan, batch size 1, lr 1e-4, 用的 pytorch",
        {"lr_value": "finite", "lr_size": "usual", "framework": "pytorch", "trigger": "small_batch_or_subset"},
        (),
    ),
    ("should I add gradient clipping? do I need a lower learning rate?", {}, ("gradient_clipping", "lower_lr_effect")),
    ("could it be that the images have no object?", {}, ("empty_targets",)),
    ("要加梯度裁剪吗？是不是学习率调小没有变化？", {}, ("gradient_clipping", "lower_lr_effect")),
    ("그래디언트 클리핑을 써야 하나요?", {}, ("gradient_clipping",)),
    ("people say use batch norm and mixed precision", {}, ("batchnorm", "precision")),
    ("finance data with an infinite loop of readers, everything trains", {}, ("nan_onset", "nonfinite_where")),
]


@pytest.mark.parametrize(("text", "observation", "state"), FRAGMENTS, ids=[f[0][:40] for f in FRAGMENTS])
def test_words_of_the_source_documents_are_understood(text: str, observation: str, state: str) -> None:
    told = {item.observation: item.state for item in understand(text, KB)}
    assert told.get(observation) == state, told


@pytest.mark.parametrize(("text", "must", "must_not"), DESCRIPTIONS, ids=[d[0][:40] for d in DESCRIPTIONS])
def test_descriptions(text: str, must: dict[str, str], must_not: tuple[str, ...]) -> None:
    told = {item.observation: item.state for item in understand(text, KB)}
    assert {name: told.get(name) for name in must} == must
    assert not set(told) & set(must_not), told


def spoken(phrase: str) -> str:
    """A phrase as somebody would write it: pieces of Chinese joined."""
    return re.sub(r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])", "", phrase.removeprefix("~"))


@pytest.mark.parametrize("observation", KB.observations.values(), ids=lambda o: o.id)
def test_every_phrase_is_understood_as_its_own_state(observation: Observation) -> None:
    wrong = []
    for state in observation.states:
        for language in LANGUAGES:
            for phrase in getattr(state.phrases, language):
                if phrase.removeprefix("~").startswith("re:"):
                    continue
                told = {item.observation: item.state for item in understand(spoken(phrase), KB)}
                if told.get(observation.id) != state.id:
                    wrong.append((state.id, phrase, told.get(observation.id)))
    assert not wrong


@pytest.mark.parametrize("observation", KB.observations.values(), ids=lambda o: o.id)
def test_phrases_can_be_matched(observation: Observation) -> None:
    for state in observation.states:
        for language in LANGUAGES:
            for phrase in getattr(state.phrases, language):
                bare = phrase.removeprefix("~")
                if bare.startswith("re:"):
                    whole = expanded(bare[3:])
                    assert not re.compile(whole).match(""), f"{phrase} matches nothing at all"
                    assert not re.search(r"\{[a-z]", whole), f"{phrase}: no such term"
                    literal = re.sub(r"\\.", "", bare[3:])
                    assert literal == normalised(literal), f"{phrase}: never matches normalised text"
                else:
                    assert has_cjk(bare) or words_of(normalised(bare)), f"{phrase} has no telling word"


@pytest.mark.parametrize("observation", KB.observations.values(), ids=lambda o: o.id)
def test_numbers_and_references(observation: Observation) -> None:
    assert math.isclose(sum(state.background for state in observation.states), 1.0)
    ids = [state.id for state in observation.states]
    assert len(set(ids)) == len(ids) > 1
    assert observation.normal in ids
    conditions = list(observation.applies_when.items())
    conditions += [item for state in observation.states for item in state.implied_by.items()]
    for name, states in conditions:
        assert set(states) <= {state.id for state in KB.observations[name].states}, name


@pytest.mark.parametrize("observation", ASKED, ids=lambda o: o.id)
def test_questions_are_complete_in_every_language(observation: Observation) -> None:
    assert observation.question and observation.find_out
    texts = [observation.title, observation.question, observation.find_out, *observation.find_out_in.values()]
    for state in observation.states:
        texts += [state.label, *([state.means] if state.means else [])]
    for text in texts:
        assert text.en and text.zh and text.ko
    assert observation.question.en.endswith("?") and observation.question.zh.endswith("？")
    assert observation.minutes > 0
    assert set(observation.find_out_in) <= FRAMEWORKS
    assert observation.kind != "clue"


@pytest.mark.parametrize("observation", ASKED, ids=lambda o: o.id)
def test_every_choice_can_be_answered(observation: Observation) -> None:
    for number, state in enumerate(observation.states, 1):
        assert answer_in_words(str(number), observation, "en", KB) == state.id
        assert answer_in_words(state.id, observation, "en", KB) == state.id
        for language in LANGUAGES:
            assert answer_in_words(state.label.get(language), observation, language, KB) == state.id
    assert answer_in_words(str(len(observation.states) + 1), observation, "en", KB) == "unknown"
    for words in ("don't know", "不知道", "모르겠어요"):
        assert answer_in_words(words, observation, "en", KB) == "unknown"


def test_a_phrase_of_an_overlay_is_understood() -> None:
    import msgspec

    observation = KB.observations["devices"]
    states = tuple(
        msgspec.structs.replace(state, phrases=msgspec.structs.replace(state.phrases, en=("the whole zoo of boards",)))
        if state.id == "several"
        else state
        for state in observation.states
    )
    changed = {**KB.observations, "devices": msgspec.structs.replace(observation, states=states)}
    base: KnowledgeBase = msgspec.structs.replace(KB, observations=changed)
    assert {"devices": "several"}.items() <= {
        i.observation: i.state for i in understand("a whole zoo of boards", base)
    }.items()
    assert "devices" not in {i.observation for i in understand("a whole zoo of boards", KB)}
