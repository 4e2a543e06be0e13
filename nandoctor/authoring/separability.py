"""Pairs of causes that nothing tells apart although their cures differ: there a question is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from nandoctor.inference.tables import Distribution, distribution
from nandoctor.kb.load import Problem
from nandoctor.kb.model import Cause, Observation
from nandoctor.kb.shelf import Shelf, problem

# The strongest observation must change the odds between the two by a factor of three (4.8 decibans).
MIN_LOG_RATIO = math.log(3.0)


class Separation(NamedTuple):
    """What tells two causes apart best: the state of an observation and its log likelihood ratio (natural)."""

    first: str
    second: str
    observation: str
    state: str
    log_ratio: float


def separations(causes: dict[str, Cause], observations: dict[str, Observation]) -> Iterator[Separation]:
    """For each pair of causes with different first remedies, the best single observation between them."""
    rows = {name: _rows(cause, observations) for name, cause in causes.items()}
    for first, second in combinations(sorted(causes), 2):
        if _first_remedy(causes[first]) == _first_remedy(causes[second]):
            continue
        best = Separation(first, second, "", "", 0.0)
        for name in rows[first].keys() | rows[second].keys():
            observation = observations[name]
            background = _background(observation)
            pair = zip(rows[first].get(name, background), rows[second].get(name, background))
            for state, (a, b) in zip(observation.states, pair):
                ratio = abs(math.log(a / b))
                if (ratio, name) > (best.log_ratio, best.observation):
                    best = Separation(first, second, name, state.id, ratio)
        yield best


def _first_remedy(cause: Cause) -> str:
    return cause.remedies[0].use if cause.remedies else cause.id


def _background(observation: Observation) -> Distribution:
    total = math.fsum(state.background for state in observation.states)
    return tuple(state.background / total for state in observation.states)


def _rows(cause: Cause, observations: dict[str, Observation]) -> dict[str, Distribution]:
    """P(state | cause) of the observations that the cause mentions; unknown ids are told elsewhere."""
    stated: dict[str, dict[str, float]] = {}
    for link in cause.shows:
        observation = observations.get(link.observation)
        if observation and observation.state(link.state):
            stated.setdefault(link.observation, {})[link.state] = link.probability
    return {name: distribution(observations[name], said) for name, said in stated.items()}


def inseparable(shelf: Shelf) -> Iterator[Problem]:
    """One problem for each pair that nothing tells apart, at the first of the two."""
    if shelf.unreadable["causes"] or shelf.unreadable["observations"]:
        return
    for found in separations(shelf.entities("causes"), shelf.entities("observations")):
        if found.log_ratio < MIN_LOG_RATIO:
            best = f"`{found.observation}: {found.state}`" if found.observation else "nothing"
            pair, factor = f"`{found.first}` from `{found.second}`", math.exp(found.log_ratio)
            text = (
                f"nothing tells {pair}, whose first remedies differ: the best is {best} with a factor of {factor:.1f},"
                f" {math.exp(MIN_LOG_RATIO):.0f} is needed; add a question"
            )
            yield problem(shelf.files["causes"][found.first], (), "KB043", text, key="id")
