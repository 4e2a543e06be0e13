"""`kb sensitivity`: which words, moved one step, turn an embedded case over. There a guess decides, and care is due."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from nandoctor.authoring.cases import meets, missing_decibans
from nandoctor.consultation import Consultation
from nandoctor.diagnosis import Evidence
from nandoctor.inference.belief import CALIBRATION, Belief, likelihood
from nandoctor.inference.tables import Distribution, Tables, distribution
from nandoctor.kb.model import FREQUENCY, Cause, KnowledgeBase, Shows

# A link is tried only if it can move its cause by the margin of the case; in pairs it moves it a little further.
SLACK = 1.0  # decibans


class Flip(msgspec.Struct, frozen=True):
    """A link whose frequency, moved one step, makes a case fail that held (or hold that failed)."""

    case_cause: str
    case_number: int
    case_title: str
    expect: str
    cause: str  # whose link it is
    observation: str
    state: str
    stated: float
    moved: float
    holds: bool  # after the move
    probability: tuple[float, float]  # of the case's cause, before and after


def sensitivity(kb: KnowledgeBase) -> Iterator[Flip]:
    """Every single step of a word that turns an embedded case over, case by case."""
    tables = Consultation(kb).tables
    for cause in kb.causes.values():
        for number, case in enumerate(cause.cases, start=1):
            evidence = Consultation.open(kb=kb, answers=case.observations, describe=case.describe).evidence
            yield from _of_case(kb, tables, cause, number, evidence)


def _of_case(
    kb: KnowledgeBase, tables: Tables, cause: Cause, number: int, evidence: tuple[Evidence, ...]
) -> Iterator[Flip]:
    case = cause.cases[number - 1]
    belief = Belief(tables, evidence)
    before = _place(belief, cause.id)
    held = meets(case.expect, *before)
    margin = abs(missing_decibans(case.expect, cause.id, belief.ranking))
    counted = {name: belief.evidence[name] for name in belief.counted}
    for other in kb.causes.values():
        index = tables.causes.index(other.id)
        for link in other.shows:
            if link.observation not in counted:
                continue
            for moved in steps(link.probability):
                row = _row(kb, other, link, moved)
                weights = likelihood(counted[link.observation], tables.states[link.observation])
                if _shift(tables.rows[link.observation][index], row, weights) + SLACK < margin:
                    continue
                rows = list(tables.rows[link.observation])
                rows[index] = row
                changed = msgspec.structs.replace(tables, rows=tables.rows | {link.observation: tuple(rows)})
                after = _place(Belief(changed, evidence), cause.id)
                if meets(case.expect, *after) != held:
                    yield Flip(
                        cause.id, number, case.title, case.expect, other.id, link.observation, link.state,
                        link.probability, moved, not held, (before[1], after[1]),
                    )  # fmt: skip


def steps(probability: float) -> list[float]:
    """The frequency one word lower and one word higher; numbers between the words move by the same log odds."""
    ladder = sorted(FREQUENCY.values())
    nearest = min(range(len(ladder)), key=lambda i: abs(_logit(ladder[i]) - _logit(probability)))
    differences = [_logit(b) - _logit(a) for a, b in pairwise(ladder)]
    found = []
    if nearest > 0:
        found.append(_logistic(_logit(probability) - differences[nearest - 1]))
    if nearest < len(ladder) - 1:
        found.append(_logistic(_logit(probability) + differences[nearest]))
    return [round(value, 4) for value in found]


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


def _place(belief: Belief, cause: str) -> tuple[int, float]:
    names = [name for name, _ in belief.ranking]
    return names.index(cause) + 1, belief.marginals[cause]


def _row(kb: KnowledgeBase, cause: Cause, moved_link: Shows, moved: float) -> Distribution:
    observation = kb.observations[moved_link.observation]
    stated = {link.state: link.probability for link in cause.shows if link.observation == observation.id}
    return distribution(observation, stated | {moved_link.state: moved})


def _shift(old: Distribution, new: Distribution, weights: Distribution) -> float:
    """Decibans by which the move changes what the evidence says about the link's cause."""
    before = math.fsum(p * w for p, w in zip(old, weights))
    after = math.fsum(p * w for p, w in zip(new, weights))
    return 10.0 * CALIBRATION * abs(math.log10(after / before))


def table(flips: list[Flip]) -> str:
    """The flips as a Markdown table."""
    lines = ["| case | expects | link | from | to | then |", "|---|---|---|---|---|---|"]
    for flip in flips:
        before, after = flip.probability
        case = f"{flip.case_cause} {flip.case_number}: {flip.case_title}"
        link = f"{flip.cause}: {flip.observation} = {flip.state}"
        then = f"{'holds' if flip.holds else 'fails'} ({before:.0%} to {after:.0%})"
        lines.append(f"| {case} | {flip.expect} | {link} | {flip.stated:g} | {flip.moved:g} | {then} |")
    return "\n".join(lines) + "\n"
