"""Causes that look alike are told apart: by a question, by what files show, and in a consultation."""

from __future__ import annotations

import math

import pytest

from nandoctor.authoring.cases import Simulation
from nandoctor.authoring.separability import MIN_LOG_RATIO, separations
from nandoctor.consultation import Consultation
from nandoctor.inference.tables import build_tables
from nandoctor.kb.load import load_knowledge

KB = load_knowledge(cache=False)
TABLES = build_tables(KB)

# Pairs that people, and other tools, mix up.
LOOK_ALIKES = [
    ("learning-rate-too-high", "bad-input-data"),
    ("recurrent-gradient-explosion", "bad-input-data"),
    ("learning-rate-too-high", "input-not-normalized"),
    ("learning-rate-too-high", "unstable-architecture"),
    ("learning-rate-too-high", "poor-weight-initialization"),
    ("learning-rate-too-high", "batchnorm-instability"),
    ("loss-empty-normalizer", "log-of-zero"),
    ("fp16-overflow", "hardware-or-library-fault"),
    ("bad-labels", "bad-input-data"),
    ("benign-nan", "loss-empty-normalizer"),
    ("benign-nan", "bad-input-data"),
    ("healthy", "learning-rate-too-high"),
]
BY_QUESTION = 2.5  # decibans that one answer brings on average, for the worse of the two: odds of nearly two to one
BY_FILES = 2.0
pairs = pytest.mark.parametrize(("one", "two"), LOOK_ALIKES)


def decibans(one: str, two: str, observation: str) -> float:
    """What an observation tells on average between the two, in the direction in which it tells less."""
    rows = TABLES.rows[observation]
    first, second = rows[TABLES.causes.index(one)], rows[TABLES.causes.index(two)]
    return min(
        math.fsum(10.0 * p * math.log10(p / q) for p, q in zip(a, b)) for a, b in ((first, second), (second, first))
    )


def test_every_pair_with_different_cures_is_told_apart_by_something() -> None:
    found = list(separations(KB.causes, KB.observations))
    assert len(found) > 300
    assert [pair for pair in found if pair.log_ratio < MIN_LOG_RATIO] == []


@pairs
def test_a_question_tells_them_apart(one: str, two: str) -> None:
    questions = [name for name, observation in KB.observations.items() if observation.question]
    assert max(decibans(one, two, name) for name in questions) >= BY_QUESTION


@pairs
def test_files_tell_them_apart(one: str, two: str) -> None:
    shown = [name for name, observation in KB.observations.items() if observation.kind in ("course", "clue")]
    assert max(decibans(one, two, name) for name in shown) >= BY_FILES


@pairs
def test_the_typical_owner_of_each_gets_the_right_one(one: str, two: str) -> None:
    simulation = Simulation(KB)
    for right, wrong in ((one, two), (two, one)):
        marginals = Consultation.open(kb=KB, answers=simulation.typical(right)).belief.marginals
        assert marginals[right] > 5 * marginals[wrong]


@pytest.mark.parametrize(
    ("observation", "state"),
    [
        ("nan_onset", "first_iteration"),
        ("zero_lr_effect", "still_nan"),
        ("lower_lr_effect", "no_change"),
        ("weights_at_start", "nonfinite"),
        ("first_nonfinite_stage", "input"),
        ("lr_suspicion", "lr_lowered_without_effect"),
    ],
)
def test_the_popular_advice_loses_where_the_evidence_excludes_it(observation: str, state: str) -> None:
    suspicious = {"framework": "pytorch", "lr_size": "large"}
    before = Consultation.open(kb=KB, answers=suspicious)
    after = before.answer(observation, state)
    cause = "learning-rate-too-high"
    assert before.belief.ranking[0][0] == cause
    assert after.belief.marginals[cause] < 0.5 * before.belief.marginals[cause]
