"""What every owner reads of a remedy must fit every framework; names and options stand in `steps_in`."""

from __future__ import annotations

import re

import pytest

from nandoctor.kb.frameworks import FRAMEWORKS
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import LANGUAGES, Observation, Remedy, Text

KB = load_knowledge(cache=False)
# Fields and words that only owners of one framework know.
OWN_WORDS = re.compile(
    r"caffe|prototxt|solver|_param\b|_filler\b|base_lr|lr_mult|lr_policy|iter_size|num_output|kernel_size"
    r"|debug_info|\bdisplay\b|use_global_stats|dropout_ratio|loss_weight|ignore_label|round_mode|\bmsra\b|WithLoss"
    r"|\b(?:bottom|top)\b|snapshot|快照|스냅샷|lmdb|roidb"
    r"|torch|lightning|keras|tensorflow|\bjax\b|optax|hugging|trainer\b|autocast|anomaly|zero_infinity|drop_last"
    r"|megatron|deepspeed|darknet|ultralytics|detectron",
    re.IGNORECASE,
)
CAFFE_WORDS = re.compile(r"caffe|prototxt|solver|_param\b|_filler\b|base_lr|debug_info|loss_weight", re.IGNORECASE)
each_remedy = pytest.mark.parametrize("remedy", KB.remedies.values(), ids=lambda remedy: remedy.id)


def for_everybody(remedy: Remedy) -> list[Text]:
    return [remedy.title, *remedy.steps, remedy.verify, *([remedy.harm] if remedy.harm else [])]


@each_remedy
def test_what_everybody_reads_names_no_framework(remedy: Remedy) -> None:
    for text in for_everybody(remedy):
        for language in LANGUAGES:
            assert not OWN_WORDS.search(text.get(language)), text.get(language)


@each_remedy
def test_steps_are_few_and_none_stands_twice(remedy: Remedy) -> None:
    assert 1 <= len(remedy.steps) <= 4
    for own in remedy.steps_in.values():
        assert 1 <= len(own) <= 2
        assert not {step.en for step in own} & {step.en for step in remedy.steps}


@each_remedy
def test_a_step_says_more_than_the_code_beside_it(remedy: Remedy) -> None:
    for framework, own in remedy.steps_in.items():
        for step in own:
            assert step.en not in remedy.snippets.get(framework, "")


@pytest.mark.parametrize("framework", sorted(FRAMEWORKS))
def test_how_to_find_the_first_bad_number_is_told_in_every_framework(framework: str) -> None:
    """The report shows no code of an experiment: the step itself has to name what to switch on."""
    own = " ".join(step.en for step in KB.remedies["find-first-nonfinite"].steps_in[framework])
    assert "`" in own


@pytest.mark.parametrize("observation", KB.observations.values(), ids=lambda observation: observation.id)
def test_how_everybody_finds_out_names_no_field_of_caffe(observation: Observation) -> None:
    if observation.find_out is None or observation.applies_when.get("framework") == ("caffe",):
        return
    for language in LANGUAGES:
        assert not CAFFE_WORDS.search(observation.find_out.get(language))
