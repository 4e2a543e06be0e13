"""The owner comes back with a new run: the outcome, and which step was carried out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nandoctor.interview import visits
from nandoctor.interview.pending import Carried
from nandoctor.interview.replies import Picking, Reply
from nandoctor.interview.state import Interview, Turn, go_on


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
