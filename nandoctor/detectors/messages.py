"""Lines that say more than a number: the events of the dialect files become evidence as those files say."""

from __future__ import annotations

from nandoctor.diagnosis import Evidence, Note
from nandoctor.kb.model import EventPattern, KnowledgeBase
from nandoctor.readers.facts import Run


def observe(kb: KnowledgeBase, run: Run) -> list[Evidence]:
    """Evidence of the run's events, and the framework that wrote the log."""
    patterns = event_patterns(kb)
    found: list[Evidence] = []
    told: set[tuple[str, bool]] = set()
    # The first message is the nearest to the cause: an overflow in exp makes the division and the log after it invalid.
    for event in sorted(run.events, key=lambda e: (e.location.file != run.files[0], e.location.line)):
        pattern = patterns.get(event.kind)
        if pattern is None or not pattern.observation or event.count < pattern.min_count:
            continue
        observation = kb.observations.get(pattern.observation)
        if observation is None or observation.state(pattern.state) is None or (observation.id, pattern.hint) in told:
            continue
        told.add((observation.id, pattern.hint))
        args: dict[str, str | int | float] = {**event.fields, "count": event.count, "text": event.text[:160]}
        note = Note(f"event:{event.kind}", args)
        where = (event.location,)
        found.append(
            Evidence(pattern.observation, pattern.state, "log", where, note, trust=pattern.trust, hint=pattern.hint)
        )
    framework = kb.observations.get("framework")
    if framework is not None and run.framework and framework.state(run.framework):
        found.append(Evidence("framework", run.framework, "log", (), Note("seen:framework", {"name": run.framework})))
    return found


def event_patterns(kb: KnowledgeBase) -> dict[str, EventPattern]:
    """Every event of every dialect, by id."""
    return {event.id: event for dialect in kb.dialects.values() for event in dialect.events}
