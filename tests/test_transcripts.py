"""The shipped transcripts: one for each cause, in three languages, and every one runs again word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render.transcript import replay

FOLDER = Path(__file__).parents[1] / "transcripts"
TRANSCRIPTS = sorted(FOLDER.glob("*.txt"))
# The causes of the contract; the knowledge base may hold more.
CAUSES = [
    "learning-rate-too-high",
    "lr-schedule-invalid",
    "recurrent-gradient-explosion",
    "loss-weight-too-large",
    "loss-scale-too-large",
    "poor-weight-initialization",
    "missing-bias-filler",
    "input-not-normalized",
    "batchnorm-instability",
    "excessive-sparsity",
    "unstable-architecture",
    "optimizer-misconfigured",
    "bad-input-data",
    "bad-labels",
    "loss-empty-normalizer",
    "log-of-zero",
    "division-by-zero",
    "exp-overflow",
    "singular-gradient",
    "custom-loss-bug",
    "pooling-stride-exceeds-kernel",
    "fp16-overflow",
    "fp16-epsilon-underflow",
    "attention-fully-masked",
    "bad-checkpoint",
    "hardware-or-library-fault",
    "benign-nan",
    "healthy",
]


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_runs_again_word_for_word(path: Path, knowledge: KnowledgeBase) -> None:
    found = replay(path, knowledge)
    assert found is None, str(found)


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_has_one_that_ends_in_it(cause: str) -> None:
    text = (FOLDER / f"{cause}.txt").read_text(encoding="utf-8")
    verdict = re.search(r"^\[verdict \w+: ([a-z0-9-]+) ", text, re.MULTILINE)
    assert verdict is not None
    assert verdict[1] == cause


def test_all_three_languages_in_turn() -> None:
    languages = [re.search(r"^language: (\w+)$", p.read_text(encoding="utf-8"), re.MULTILINE) for p in TRANSCRIPTS]
    counts = {lang: sum(m is not None and m[1] == lang for m in languages) for lang in ("en", "zh", "ko")}
    assert min(counts.values()) >= len(TRANSCRIPTS) // 3


def test_they_show_what_a_consultation_can_do() -> None:
    text = "\n".join(p.read_text(encoding="utf-8") for p in TRANSCRIPTS)
    for shown in ("\n> why\n", "\n> ?\n", "\n> how\n", "\n>. layer", "[kept ", "[tried ", "=== visit 2", "[withdrawn "):
        assert shown in text, shown


def test_no_path_of_a_machine_is_in_them() -> None:
    for path in TRANSCRIPTS:
        assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users)/", path.read_text(encoding="utf-8")), path.name


def test_the_index_names_every_one() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    for path in TRANSCRIPTS:
        assert f"({path.name})" in index
