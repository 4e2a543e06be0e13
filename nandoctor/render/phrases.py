"""Evidence in words: what was seen, where it stands, in which state an observation is."""

from __future__ import annotations

from collections.abc import Iterable

from nandoctor.diagnosis import Evidence, Weighed
from nandoctor.render.words import Words
from nandoctor.source import printable

CLEAR = "checks.clear"  # "nothing unusual" does not say in what


def evidence_text(item: Evidence | Weighed, words: Words) -> str:
    """What was seen, in words."""
    if item.origin == "tried":
        return words.weighed(item)
    known = words.kb.observations.get(item.observation)
    if item.note is None or item.note.id == CLEAR:
        return state_text(item.observation, item.state, words)
    if known is not None and item.state == known.normal and not item.note.args:
        return state_text(item.observation, item.state, words)
    return words.weighed(item) or state_text(item.observation, item.state, words)


def state_text(observation: str, state: str, words: Words) -> str:
    """`number format: fp32`."""
    return words("talk.noted", observation=words.observation(observation), state=words.state(observation, state))


def source_text(item: Evidence | Weighed, words: Words, names: dict[str, str] | None = None) -> str:
    """Where it stands: `train.log:412`, or who said it."""
    if not item.locations:
        return words("origin." + item.origin)
    place = item.locations[0]
    file = (names or {}).get(place.file, place.file)
    return printable(file) + (f":{place.line}" if place.line else "")


def listed(names: Iterable[str], words: Words) -> str:
    """Names with the separator of the language."""
    return words("talk.comma").join(names)
