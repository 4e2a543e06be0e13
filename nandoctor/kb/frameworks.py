"""Whose words and code suit the owner of a framework: the framework's own, else its relative's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from nandoctor.kb.model import Observation, Remedy, Text

_T = TypeVar("_T")

# Frameworks that snippets and steps may be written for although no observation names them.
FRAMEWORKS = frozenset({"caffe", "pytorch", "lightning", "hf", "keras", "jax"})
# Whose words and code serve where a framework has none of its own.
RELATIVES = {
    "lightning": "pytorch",
    "hf": "pytorch",
    "detection_toolbox": "pytorch",
    "llm_trainer": "pytorch",
    "tensorflow": "keras",
}
ANYBODY = ("", "other")  # no framework that the knowledge writes for: PyTorch's code shows at least how it is meant


def suited(held: Mapping[str, _T], framework: str) -> tuple[str, _T] | None:
    """What is held for a framework or its relative, with whose it is."""
    for candidate in (framework, RELATIVES.get(framework, "")):
        if candidate in held:
            return candidate, held[candidate]
    return None


def steps_for(remedy: Remedy, framework: str) -> tuple[Text, ...]:
    """The steps of a remedy for the owner of a framework: those for everybody, then its own."""
    own = suited(remedy.steps_in, framework)
    return (*remedy.steps, *own[1]) if own else remedy.steps


def ways_to_find_out(observation: Observation, framework: str) -> tuple[Text, ...]:
    """How the owner of a framework finds out: what holds for everybody, then the framework's own way."""
    own = suited(observation.find_out_in, framework)
    return tuple(text for text in (observation.find_out, own and own[1]) if text)


def snippet_for(remedy: Remedy, framework: str) -> tuple[str, str]:
    """The framework whose code to show, and the code; both empty if there is none that suits."""
    found = suited(remedy.snippets, framework)
    if found is None and framework in ANYBODY:
        found = suited(remedy.snippets, "pytorch")
    return found or ("", "")
