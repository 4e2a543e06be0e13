"""Pairs of faults that look alike must be told apart in both directions, and the same fact must count once."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest

from nandoctor.consultation import Consultation
from nandoctor.kb.load import load_knowledge

KB = load_knowledge()
TABLES = Consultation(KB).tables
Answers = dict[str, str]


class Pair(NamedTuple):
    """What both show; then per direction the cause and what only it shows."""

    shared: Answers
    one: str
    shows_one: Answers
    other: str
    shows_other: Answers


GROWTH = {"nan_onset": "within_100", "nonfinite_where": "loss", "first_loss": "normal"}
SUDDEN = {"nan_onset": "later", "nonfinite_where": "loss", "loss_before_nan": "falling"}
PAIRS = {
    "explosion or bad batch": Pair(
        {**GROWTH, "custom_loss": "no"},
        "learning-rate-too-high",
        {"loss_before_nan": "growing", "lower_lr_effect": "fixed", "zero_lr_effect": "fine"},
        "bad-input-data",
        {"loss_before_nan": "falling", "lower_lr_effect": "no_change", "zero_lr_effect": "still_nan",
         "first_nonfinite_stage": "input"},
    ),
    "explosion or bad batch, from the log alone": Pair(
        GROWTH,
        "learning-rate-too-high",
        {"loss_before_nan": "growing", "growth_sufficiency": "explains", "lr_size": "large"},
        "bad-input-data",
        {"loss_before_nan": "falling", "growth_sufficiency": "does_not_explain", "lr_size": "usual",
         "nan_sign": "read"},
    ),
    "learning rate or raw input": Pair(
        {"nan_onset": "within_100", "loss_before_nan": "growing", "nonfinite_where": "loss", "batchnorm": "none"},
        "learning-rate-too-high",
        {"input_range": "normalized", "first_loss": "normal", "lr_size": "large"},
        "input-not-normalized",
        {"input_range": "raw", "first_loss": "huge", "lr_size": "usual"},
    ),
    "learning rate or missing normalisation layers": Pair(
        {"architecture": "cnn", "loss_before_nan": "growing", "input_range": "normalized", "weight_init": "standard"},
        "learning-rate-too-high",
        {"first_loss": "normal", "activation_scale": "usual", "lower_lr_effect": "fixed"},
        "unstable-architecture",
        {"first_loss": "huge", "activation_scale": "explodes", "lower_lr_effect": "no_change", "batchnorm": "none"},
    ),
    "empty normaliser or log of zero": Pair(
        {**SUDDEN, "custom_loss": "yes", "zero_lr_effect": "still_nan"},
        "loss-empty-normalizer",
        {"empty_targets": "yes", "loss_arithmetic": "division", "regularity": "isolated_steps"},
        "log-of-zero",
        {"empty_targets": "no", "loss_arithmetic": "log", "onset_kind": "inf"},
    ),
    "fp16 overflow or kernel fault": Pair(
        {"precision": "fp16", "nonfinite_where": "loss", "nan_onset": "within_100"},
        "fp16-overflow",
        {"full_precision_effect": "fixed", "other_machine_effect": "everywhere"},
        "hardware-or-library-fault",
        {"full_precision_effect": "no_change", "other_machine_effect": "only_here"},
    ),
    "bad labels or bad data": Pair(
        {**SUDDEN, "custom_loss": "no", "lower_lr_effect": "no_change"},
        "bad-labels",
        {"labels_valid": "out_of_range", "data_finite": "checked_clean", "first_nonfinite_stage": "loss"},
        "bad-input-data",
        {"labels_valid": "checked_valid", "data_finite": "has_bad_samples", "first_nonfinite_stage": "input"},
    ),
    "benign or real NaN": Pair(
        {"first_loss": "normal", "custom_loss": "no"},
        "benign-nan",
        {"nonfinite_where": "metric_only", "nan_onset": "never"},
        "learning-rate-too-high",
        {"nonfinite_where": "loss", "nan_onset": "within_100", "loss_before_nan": "growing"},
    ),
    "divergence or weights saturated from the start, at 87.3365": Pair(
        {"loss_saturated": "yes", "framework": "caffe", "nan_onset": "never", "nonfinite_where": "none"},
        "learning-rate-too-high",
        {"first_loss": "normal", "weight_init": "standard", "lr_size": "large", "finite_course": "diverged"},
        "poor-weight-initialization",
        {"first_loss": "huge", "weight_init": "large", "lr_size": "usual", "finite_course": "stuck"},
    ),
}  # fmt: skip
DIRECTIONS = [
    pytest.param({**pair.shared, **shows}, cause, rival, id=f"{name}: {cause}")
    for name, pair in PAIRS.items()
    for cause, rival, shows in (
        (pair.one, pair.other, pair.shows_one),
        (pair.other, pair.one, pair.shows_other),
    )
]


def consult(answers: Answers) -> Consultation:
    return Consultation.open(kb=KB, answers=answers)


@pytest.mark.parametrize(("answers", "cause", "rival"), DIRECTIONS)
def test_each_direction_comes_out(answers: Answers, cause: str, rival: str) -> None:
    belief = consult(answers).belief
    assert belief.ranking[0][0] == cause, belief.ranking[:4]
    assert belief.marginals[cause] > 2 * belief.marginals[rival]


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_a_question_tells_them_apart(pair: Pair) -> None:
    """Something that an owner can be asked differs by more than a factor of three between the two."""
    one, other = TABLES.causes.index(pair.one), TABLES.causes.index(pair.other)
    telling = {
        name
        for name, rows in TABLES.rows.items()
        if KB.observations[name].question
        and max(abs(math.log(p / q)) for p, q in zip(rows[one], rows[other], strict=True)) > math.log(3)
    }
    assert telling & {*pair.shows_one, *pair.shows_other}


def test_a_loss_at_its_ceiling_is_no_healthy_run() -> None:
    held = consult({"loss_saturated": "yes", "nan_onset": "never", "nonfinite_where": "none"})
    without = consult({"nan_onset": "never", "nonfinite_where": "none"})
    assert held.belief.verdict() != "healthy"
    assert held.belief.marginals["healthy"] < 0.5 < without.belief.marginals["healthy"]


# --- the popular advice: lower the learning rate

TRAPS = {
    "NaN before any update, and with a rate of 0": {"nan_onset": "first_iteration", "zero_lr_effect": "still_nan"},
    "NaN with a rate of 0": {"nan_onset": "within_100", "loss_before_nan": "falling", "zero_lr_effect": "still_nan"},
    "a lower rate changed nothing": {
        "nan_onset": "within_100", "loss_before_nan": "falling", "lower_lr_effect": "no_change", "lr_size": "usual",
    },
    "NaN in the input": {"first_nonfinite_stage": "input", "nan_onset": "within_100", "loss_before_nan": "flat"},
    "NaN in the weights before training": {"weights_at_start": "nonfinite", "nan_onset": "first_iteration"},
}  # fmt: skip


@pytest.mark.parametrize("answers", TRAPS.values(), ids=TRAPS)
def test_an_excluded_learning_rate_is_not_first_and_the_report_says_why(answers: Answers) -> None:
    diagnosis = consult(answers).diagnosis
    assert diagnosis.causes[0].id != "learning-rate-too-high"
    ruled_out = dict(diagnosis.ruled_out)
    assert "learning-rate-too-high" in ruled_out
    reason = ruled_out["learning-rate-too-high"]
    assert reason.observation in answers
    assert reason.decibans <= -6
    fixes = [step for step in diagnosis.fastest if step.kind == "fix"]
    assert fixes
    assert fixes[0].id != "lower-learning-rate"


def test_the_learning_rate_is_not_ruled_out_where_it_is_the_cause() -> None:
    pair = PAIRS["explosion or bad batch"]
    assert consult({**pair.shared, **pair.shows_one}).diagnosis.ruled_out == ()


def test_evidence_on_both_sides_is_shown_on_both_sides() -> None:
    """A huge rate and an explosion, but NaN even at rate 0: the report must not hide either."""
    held = consult({"lr_size": "huge", "loss_before_nan": "growing", "nan_onset": "within_100",
                    "zero_lr_effect": "still_nan"})  # fmt: skip
    rate = held.how("learning-rate-too-high")
    assert {item.observation for item in rate.support} >= {"lr_size", "loss_before_nan"}
    assert "zero_lr_effect" in {item.observation for item in rate.against}


# --- the same fact, said again

REPEATED = {
    "NaN from the first iteration": {
        "nan_onset": "first_iteration", "first_loss": "nonfinite", "loss_before_nan": "nothing_before",
    },
    "a rate that is NaN": {"lr_value": "nonfinite", "schedule": "becomes_nonfinite", "lr_trend": "rising"},
    "a momentum of 9": {"optimizer_settings": "unusual", "optimizer_fault": "momentum"},
    "raw pixels": {"input_range": "raw", "input_magnitude": "raw_bytes"},
    "frozen statistics": {"batchnorm": "global_stats_from_scratch", "bn_setting": "global_stats_in_training"},
    "gradients non-finite from the start": {
        "grad_norm_before_nan": "nonfinite_from_start", "gradient_scale_at_start": "nonfinite",
    },
    "a pooling window without a pixel": {"pooling_stride": "exceeds_kernel", "pooling_empty_window": "yes"},
    "labels out of range": {"labels_valid": "out_of_range", "named_label_error": "yes"},
    "loss scale collapsing": {"loss_scale": "collapsing", "skipped_steps": "every_step"},
}  # fmt: skip


@pytest.mark.parametrize("answers", REPEATED.values(), ids=REPEATED)
def test_saying_it_again_does_not_make_it_surer(answers: Answers) -> None:
    together = consult(answers).belief
    first, probability = together.ranking[0]
    alone = [consult({name: state}).belief.marginals[first] for name, state in answers.items()]
    assert probability <= max(alone) + 0.02


def test_one_fact_from_owner_and_words_counts_once() -> None:
    """The same observation from several mouths: the better source is kept, the others add nothing."""
    answered = consult({"precision": "fp16"})
    said = answered.say("I train with fp16. It is fp16, half precision, amp fp16.")
    assert "precision" in {item.observation for item in said.evidence if item.origin == "description"}
    rest = {item.observation for item in said.evidence} - {"precision"}
    if not rest:
        assert said.belief.ranking == answered.belief.ranking
    assert said.belief.evidence["precision"].origin == "answer"
