"""The owner comes back: where the consultation stood, or a new run, its outcome, and which step was carried out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nandoctor.interview import visits
from nandoctor.interview.pending import AtPlan, Carried, Free
from nandoctor.interview.replies import Picking, Reply, Sentence
from nandoctor.interview.state import Interview, Turn, go_on, repeat, stay


def go_back(now: Interview, told: Sequence[Reply]) -> Turn:
    """Where the consultation stood: the question or the plan that the owner left."""
    match now.pending:
        case AtPlan(_, steps):
            told = [*told, Sentence("say.return")]
            return repeat(now, *told) if steps else stay(now, *told)
        case Free() if now.consultation.events:
            return go_on(now, told)
        case Free():
            return stay(now, *told, Sentence("say.return"))
    return repeat(now, *told)


def welcome_back(now: Interview, told: Sequence[Reply]) -> Turn:
    """The new run was read: fixed, not fixed or a new fault; then, which step was it?"""
    earlier = now.earlier
    assert earlier is not None
    found = visits.compare(earlier, now.consultation)
    after = now.having(earlier=msgspec.structs.replace(earlier, settled=True, course=found.course))
    tried = now.consultation.remedies_tried
    kb = now.consultation.kb
    steps = tuple(s for s in earlier.plan if s in kb.remedies and kb.remedies[s].kind == "fix" and s not in tried)
    if found.course in ("too-early", "unclear", "new-fault") or not steps:
        return go_on(after, [*told, found])
    return Turn(after.having(pending=Carried(steps)), (*told, found, Picking("ask.which-carried-out")))
