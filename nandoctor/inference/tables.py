"""The knowledge base as numbers: P(state | cause) for every observation and cause; fault sets with their priors.

See `docs/model.md` for the formulas. Nothing here depends on evidence, so it is computed once per knowledge base.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from nandoctor.kb.model import KnowledgeBase, Observation

NONE_OF_THESE = "none-of-these"
NONE_PRIOR = 0.02  # "uncommon": a fault this knowledge base does not describe, next to causes that add up to about one
# Faults come in company more often than independence says: somebody in a hurry made both (62 % of the real programs of
# DeepFD's benchmark hold at least two). A factor of e on the product of the priors names most planted pairs and costs
# single faults nothing (docs/accuracy.md).
PAIR_FACTOR = 2.7
UNSAID_FLOOR = 0.02  # mass kept for the states a cause does not name, so that none of them is impossible

Distribution = tuple[float, ...]


class FaultSet(NamedTuple):
    """Indices into `Tables.causes`: one (a fault, healthy, benign, none of these) or two faults."""

    members: tuple[int, ...]
    log_prior: float


class Tables(msgspec.Struct, frozen=True):
    """`causes`: ids, `none-of-these` last; `rows[observation][cause index]`: distribution over its states.

    `sets`: the single causes in the order of `causes`, then the `pairs`.
    """

    causes: tuple[str, ...]
    faults: frozenset[str]
    sets: tuple[FaultSet, ...]
    pairs: tuple[tuple[int, int], ...]
    rows: dict[str, tuple[Distribution, ...]]
    states: dict[str, tuple[str, ...]]
    normal: dict[str, int]
    of_setup: dict[str, bool]
    group: dict[str, str]
    implied: dict[tuple[str, str], dict[str, tuple[str, ...]]]  # (observation, state) -> what makes it redundant
    excluded: dict[str, tuple[tuple[int, dict[str, tuple[str, ...]]], ...]]  # observation -> (state, what forbids it)
    priors: tuple[float, ...]


def distribution(observation: Observation, stated: dict[str, float]) -> Distribution:
    """P(state | cause), in the observation's order of states.

    What the cause leaves unsaid is shared out in proportion to the observation's own background. Stated numbers that
    leave less than `UNSAID_FLOOR` for the others are scaled down to leave that much; if every state is stated, they
    are normalised.
    """
    states = observation.states
    unsaid = [state.background for state in states if state.id not in stated]
    total = sum(stated.values())
    if not unsaid:
        return tuple([stated[state.id] / total for state in states])
    rest = 1.0 - total
    scale = 1.0
    if rest < UNSAID_FLOOR:
        rest = UNSAID_FLOOR
        scale = (1.0 - rest) / total
    shared = sum(unsaid)
    return tuple([stated[s.id] * scale if s.id in stated else rest * s.background / shared for s in states])


def build_tables(kb: KnowledgeBase) -> Tables:
    """The tables of a knowledge base. Raises KeyError on links to unknown ids; `kb.check` reports those first."""
    causes = (*kb.causes, NONE_OF_THESE)
    stated: dict[str, dict[str, dict[str, float]]] = {cause: {} for cause in causes}
    for cause in kb.causes.values():
        for link in cause.shows:
            stated[cause.id].setdefault(link.observation, {})[link.state] = link.probability
    rows = {}
    for observation in kb.observations.values():
        total = sum([state.background for state in observation.states])
        plain = tuple([state.background / total for state in observation.states])
        said = [stated[cause].get(observation.id) for cause in causes]
        rows[observation.id] = tuple([distribution(observation, links) if links else plain for links in said])
    faults = frozenset(cause.id for cause in kb.causes.values() if cause.fault)
    priors = (*(cause.prior_probability for cause in kb.causes.values()), NONE_PRIOR)
    pairs = fault_pairs(causes, faults)
    return Tables(
        causes=causes,
        faults=faults,
        sets=fault_sets(priors, pairs),
        pairs=pairs,
        rows=rows,
        states={o.id: tuple(s.id for s in o.states) for o in kb.observations.values()},
        normal={o.id: [s.id for s in o.states].index(o.normal) for o in kb.observations.values()},
        of_setup={o.id: o.of_setup for o in kb.observations.values()},
        group={o.id: o.group for o in kb.observations.values() if o.group},
        implied={(o.id, s.id): s.implied_by for o in kb.observations.values() for s in o.states if s.implied_by},
        excluded={
            o.id: forbidden
            for o in kb.observations.values()
            if (forbidden := tuple((n, s.excluded_by) for n, s in enumerate(o.states) if s.excluded_by))
        },
        priors=priors,
    )


def given_that_not(row: Distribution, impossible: Sequence[int]) -> Distribution:
    """The distribution given that none of the `impossible` states is the case; as it was if nothing else is left."""
    rest = math.fsum(p for state, p in enumerate(row) if state not in impossible)
    if rest <= 0.0:
        return row
    return tuple(0.0 if state in impossible else p / rest for state, p in enumerate(row))


def fault_pairs(causes: Sequence[str], faults: frozenset[str]) -> tuple[tuple[int, int], ...]:
    """Every pair of faults."""
    indices = [i for i, cause in enumerate(causes) if cause in faults]
    return tuple([(a, b) for n, a in enumerate(indices) for b in indices[n + 1 :]])


def fault_sets(priors: Sequence[float], pairs: Sequence[tuple[int, int]]) -> tuple[FaultSet, ...]:
    """Every single hypothesis, and every pair of faults with `PAIR_FACTOR` times the product of their priors."""
    singles = [FaultSet((i,), math.log(prior)) for i, prior in enumerate(priors)]
    return (*singles, *[FaultSet((a, b), math.log(PAIR_FACTOR * priors[a] * priors[b])) for a, b in pairs])


def distinct(rows: Sequence[Distribution]) -> list[int]:
    """For each row the number of its distribution: most causes say nothing about an observation and share one."""
    numbers: dict[Distribution, int] = {}
    return [numbers.setdefault(row, len(numbers)) for row in rows]


def joined(first: Distribution, second: Distribution, background: Distribution, normal: int) -> Distribution:
    """P(state | both faults) of a set-up observation: noisy-OR per abnormal state, the rest is the normal state.

    The same in either order of the faults.
    With the background b as the leak that both rows contain, an abnormal state is shown with 1 - (1-p)(1-q)/(1-b), and
    never less than the larger of p and q. Where different abnormal states together exceed what is left, they are scaled
    so that the normal state keeps the product of both normal shares.
    """
    shown = [
        0.0 if state == normal else max(p, q, 1.0 - (1.0 - p) * (1.0 - q) / (1.0 - b))
        for state, (p, q, b) in enumerate(zip(first, second, background))
    ]
    floor = first[normal] * second[normal]
    total = math.fsum(shown)
    if total > 1.0 - floor:
        shown = [value * (1.0 - floor) / total for value in shown]
        total = 1.0 - floor
    shown[normal] = 1.0 - total
    return tuple(shown)
