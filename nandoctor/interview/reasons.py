"""MYCIN's privileges: why a question is asked, how a result came about, what would change it."""

from __future__ import annotations

import math

from nandoctor.consultation import Consultation
from nandoctor.diagnosis import Evidence, Step
from nandoctor.inference import inquiry
from nandoctor.inference.planning import AtHand, PlannedStep
from nandoctor.interview.replies import Flips, Reasons

SUSPECTS = 5  # causes that a question may be said to separate
SUSPECT_FROM = 0.03
APART = 1.0  # natural log of the likelihood ratio from which two causes count as told apart (as in `planning`)
MOVES = 0.02  # a change of probability below this is not worth words
MOVED_SHOWN = 2


def reasons(consultation: Consultation, observation: str) -> Reasons:
    """Which causes the question separates, and what each answer would do to the ranking."""
    belief = consultation.belief
    tables = belief.tables
    suspects = [cause for cause, p in belief.ranking[:SUSPECTS] if p >= SUSPECT_FROM]
    rows = tables.rows[observation]
    own = {cause: rows[tables.causes.index(cause)] for cause in suspects}
    separated = tuple(
        a
        for a in suspects
        if any(max(abs(math.log(p / q)) for p, q in zip(own[a], own[b])) > APART for b in suspects if b != a)
    )
    predicted = belief.predictive(observation)
    now = belief.marginals
    out = []
    for number, state in enumerate(tables.states[observation]):
        weights = [p * row[number] for p, row in zip(belief.sets, predicted)]
        chance = math.fsum(weights)
        if chance <= 0.0:
            continue  # what else is known rules this answer out
        then = belief.marginals_of([w / chance for w in weights])
        moved = sorted(then, key=lambda cause: (-abs(then[cause] - now[cause]), cause))[:MOVED_SHOWN]
        moved.sort(key=lambda cause: -(then[cause] - now[cause]))
        shown = tuple((c, then[c], now[c]) for c in moved if abs(then[c] - now[c]) >= MOVES)
        out.append((state, chance, shown))
    return Reasons(observation, separated, tuple(out))


def flips(consultation: Consultation) -> Flips:
    """The unanswered questions whose answer would put another cause first."""
    rows = inquiry.what_if(consultation.belief, consultation.kb, consultation.asked)
    return Flips(tuple(rows), consultation.belief.ranking[0][0])


def further_question(consultation: Consultation) -> str:
    """The best question left, whether or not it is worth the owner's time; "" if there is none."""
    ranked = inquiry.ranked_questions(consultation.belief, consultation.kb, consultation.asked)
    return next((q.observation for q in ranked if q.gain > 0.0), "")


def experiment(consultation: Consultation, observation: str) -> Step | None:
    """The experiment that answers an observation, with the edits of the owner's own files."""
    from nandoctor.remedying import steps

    kb = consultation.kb
    remedy = next((r for r in kb.remedies.values() if r.asks == observation), None)
    if remedy is None:
        return None
    planned = PlannedStep(remedy.id, (), 0.0, remedy.minutes, False)
    return steps(kb, consultation.ingested, [planned], consultation.framework, AtHand())[0]


def telling(consultation: Consultation, evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """Evidence with the most telling first: by its weight for the causes that now lead."""
    weight: dict[str, float] = {}
    for cause in consultation.causes[:SUSPECTS]:
        for item in (*cause.support, *cause.against):
            weight[item.observation] = max(weight.get(item.observation, 0.0), abs(item.decibans))
    return tuple(sorted(evidence, key=lambda item: (-weight.get(item.observation, 0.0), item.observation)))
