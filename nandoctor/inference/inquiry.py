"""Which question next, and when to stop.

Expected information gain about *which remedy is right* per minute of the owner's time (de Kleer and Williams 1987;
Heckerman, Breese, Rommelse 1995): sets whose causes have the same first remedy are one class, so no question is spent
on telling apart two causes with the same cure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from nandoctor.diagnosis import Question
from nandoctor.inference.belief import Belief
from nandoctor.kb.model import KnowledgeBase, Observation

PATIENCE = 12.0  # what an owner gives before the consultation ends by itself:
ANSWERED, UNKNOWN = 1.0, 2.0  # an answer takes this much of it, "I don't know" as much as two
FIXED_MINUTES = 5.0  # what any question costs on top of its own minutes: reading it, thinking, losing the thread
CERTAIN = 0.995  # with this much on one class, more questions are not worth the time (docs/policy.md has the trials)
WORTH_BITS = 0.01  # a question that tells less than this is not asked


def entropy(probabilities: Sequence[float]) -> float:
    """Shannon entropy in bits."""
    return -math.fsum([p * math.log2(p) for p in probabilities if p > 0.0])


def remedy_classes(belief: Belief, kb: KnowledgeBase) -> tuple[int, ...]:
    """For each fault set the number of its class: sets with the same set of first remedies share one."""
    first = [_first_remedy(cause, kb) for cause in belief.tables.causes]
    numbers: dict[frozenset[str], int] = {}
    out = []
    for members, _ in belief.tables.sets:
        key = frozenset([first[i] for i in members])
        out.append(numbers.setdefault(key, len(numbers)))
    return tuple(out)


def _first_remedy(cause_id: str, kb: KnowledgeBase) -> str:
    cause = kb.causes.get(cause_id)
    return cause.remedies[0].use if cause and cause.remedies else cause_id


def applies(observation: Observation, known: Mapping[str, str]) -> bool:
    """Whether the question makes sense: none of its conditions is contradicted by what is known."""
    return all(known.get(name) in (None, *states) for name, states in observation.applies_when.items())


def information_gain(belief: Belief, name: str, classes: Sequence[int]) -> float:
    """Expected bits learned about the class by the answer to `name`, given an answer."""
    if name not in belief.gains:
        belief.gains[name] = _information_gain(belief, name, classes)
    return belief.gains[name]


def _information_gain(belief: Belief, name: str, classes: Sequence[int]) -> float:
    posterior = belief.sets
    rows = belief.predicted(name)
    size = max(classes) + 1
    now = [0.0] * size
    joint = [[0.0] * size for _ in belief.tables.states[name]]
    for number, row in zip(belief.likely, rows):
        probability, cls = posterior[number], classes[number]
        now[cls] += probability
        for state, p in enumerate(row):
            joint[state][cls] += probability * p
    gain = entropy(now)
    for column in joint:
        total = math.fsum(column)
        if total > 0.0:
            gain -= total * entropy([value / total for value in column])
    return max(gain, 0.0)


def ranked_questions(belief: Belief, kb: KnowledgeBase, asked: Collection[str] = ()) -> list[Question]:
    """Every question that may still be asked, by expected gain per minute, best first."""
    known = {name: item.state for name, item in belief.evidence.items() if not item.hint}
    settled_groups = {belief.tables.group.get(name) for name in known} - {None}
    classes = remedy_classes(belief, kb)
    found = []
    for observation in kb.observations.values():
        if observation.question is None or observation.id in known or observation.id in asked:
            continue
        if not applies(observation, known):
            continue
        gain = information_gain(belief, observation.id, classes) * observation.answerable
        if observation.group and observation.group in settled_groups:
            gain *= 0.5  # a member of its group already counts; this one could only take its place
        found.append(Question(observation.id, gain, observation.minutes))
    return sorted(found, key=lambda q: (-q.gain / (q.minutes + FIXED_MINUTES), q.observation))


def spent(belief: Belief, asked: Collection[str]) -> float:
    """How much of the owner's patience the questions asked so far have taken, 0 to `PATIENCE` and a little more.

    Who answers is asked on while it pays; who does not know soon stops being asked.
    """
    told = [name for name in asked if (item := belief.evidence.get(name)) is not None and not item.hint]
    return ANSWERED * len(told) + UNKNOWN * (len(asked) - len(told))


def next_question(belief: Belief, kb: KnowledgeBase, asked: Collection[str] = ()) -> Question | None:
    """The question most worth asking now, or None: enough asked, enough known, or nothing tells enough."""
    if spent(belief, asked) >= PATIENCE:
        return None
    classes = remedy_classes(belief, kb)
    mass = [0.0] * (max(classes) + 1)
    for probability, cls in zip(belief.sets, classes):
        mass[cls] += probability
    if max(mass) >= CERTAIN and belief.evidence:
        return None
    best = next(iter(ranked_questions(belief, kb, asked)), None)
    return best if best and best.gain >= WORTH_BITS else None


def what_if(
    belief: Belief, kb: KnowledgeBase, asked: Collection[str] = (), limit: int = 3, trust: float = 1.0
) -> list[tuple[str, str, str]]:
    """Unanswered questions whose answer would change the verdict: (observation, state, the cause then first).

    The likeliest such answers first; answers with less than 5 % chance are left out. `trust`: how often answers are
    right.
    """
    first = belief.ranking[0][0]
    found = []
    for question in ranked_questions(belief, kb, asked)[:5]:
        rows = belief.predicted(question.observation)
        for number, state in enumerate(belief.tables.states[question.observation]):
            chance = math.fsum(belief.sets[n] * row[number] for n, row in zip(belief.likely, rows))
            if chance < 0.05:
                continue
            marginals = belief.marginals_of(belief.answered(question.observation, state, trust))
            then = max(marginals, key=lambda c: (marginals[c], c))
            if then != first:
                found.append((chance, question.observation, state, then))
    found.sort(key=lambda item: (-item[0], item[1]))
    return [item[1:] for item in found[:limit]]
