"""Coming back: the run before, the new one, and what became of the fault."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import msgspec

from nandoctor.consultation import Consultation
from nandoctor.events import Answered, Event, Read, Said, Tried
from nandoctor.ingest import Inputs
from nandoctor.interview.replies import Course, Outcome
from nandoctor.interview.state import Earlier
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Run
from nandoctor.readers.series import onset

STILL_POSSIBLE = 0.35  # the cause of last time keeps this much: then it is not called a new fault
FINE = ("healthy", "benign")


def summary(consultation: Consultation, plan: tuple[str, ...], later: tuple[str, ...] = ()) -> Earlier:
    """What is believed now, to be compared with a later run."""
    run = consultation.ingested.run
    return Earlier(
        verdict=consultation.belief.verdict(),
        ranking=tuple((cause, round(p, 4)) for cause, p in consultation.belief.ranking[:5]),
        plan=plan,
        onset=onset_step(run),
        reached=run.last_step if run else None,
        lines=run.lines if run else 0,
        inputs=last_inputs(consultation),
        later=later,
    )


def onset_step(run: Run | None) -> float | None:
    """The step at which the loss became non-finite; None without one, or without steps."""
    found = onset(run) if run else None
    return found[1].step if found else None


def last_inputs(consultation: Consultation) -> Inputs:
    """Everything read so far."""
    return next((e.inputs for e in reversed(consultation.events) if isinstance(e, Read)), Inputs())


def same_run(earlier: Earlier, run: Run, texts: Sequence[str] = ()) -> Literal["same", "longer", "other"]:
    """Whether a run is the one of last time: unchanged, possibly the same that went on, or another.

    A file that was not read last time holds another run, even with the same numbers: a change that does not help may
    leave every number as it was. In a file that was, what stood there tells. `texts` are names of pastes, no files.
    """
    logs = {os.path.abspath(name) for name in earlier.inputs.logs}  # noqa: PTH100 - the same name for the same file
    folder = os.path.join(os.path.abspath(earlier.inputs.run_dir), "") if earlier.inputs.run_dir else ""  # noqa: PTH100, PTH118
    pasted = {name for name, _ in earlier.inputs.texts}
    for name in run.files:
        place = os.path.abspath(name)  # noqa: PTH100
        if name in texts and name not in pasted:
            return "other"
        if name not in texts and place not in logs and not (folder and place.startswith(folder)):
            return "other"
    found = onset_step(run)
    if run.lines == earlier.lines:
        return "same" if found == earlier.onset and run.last_step == earlier.reached else "other"
    if run.lines < earlier.lines:
        return "other"
    if earlier.onset is not None:
        return "longer" if found == earlier.onset else "other"
    beyond = found is None or earlier.reached is None or found > earlier.reached
    return "longer" if beyond else "other"


def afresh(consultation: Consultation, inputs: Inputs) -> tuple[Consultation, Inputs]:
    """A consultation for a later run: what is known about the set-up and what was tried stays, what the old run showed
    does not. Net and solver are read again, since the owner may have edited them.
    """
    old, held = last_inputs(consultation), consultation.ingested
    net = held.net.file if held.net and not held.net_in_log else ""
    solver = held.solver.file if held.solver and not held.solver_in_log else ""
    merged = Inputs(
        run_dir=inputs.run_dir,
        logs=inputs.logs,
        net=inputs.net or ("" if inputs.run_dir else net),
        solver=inputs.solver or ("" if inputs.run_dir else solver),
        dialect=inputs.dialect or old.dialect,
        input_shapes=old.input_shapes | inputs.input_shapes,
        texts=(*(text for text in old.texts if text[0] in (net, solver)), *inputs.texts),
    )
    pasted = {name for name, _ in merged.texts}
    merged = msgspec.structs.replace(
        merged,
        net="" if merged.net in pasted else merged.net,
        solver="" if merged.solver in pasted else merged.solver,
    )
    return Consultation(consultation.kb, lasting(consultation.kb, consultation.events)), merged


def lasting(kb: KnowledgeBase, events: Sequence[Event]) -> tuple[Event, ...]:
    """Of the owner's words and deeds, those that still hold for a later run: the set-up, and what was tried."""
    kept: list[Event] = []
    for event in events:
        match event:
            case Answered(name, state) if state != "unknown" and name in kb.observations:
                if kb.observations[name].of_setup:
                    kept.append(Answered(name, state, asked=False))
            case Said(text, understood):
                known = (item for item in understood if item.observation in kb.observations)
                setup = tuple(item for item in known if kb.observations[item.observation].of_setup)
                if setup:
                    kept.append(Said(text, setup))
            case Tried():
                kept.append(event)
    return tuple(kept)


def compare(earlier: Earlier, consultation: Consultation) -> Outcome:
    """Fixed, not fixed, a new fault; or too early to say."""
    run = consultation.ingested.run
    verdict = consultation.belief.verdict()
    marginals = consultation.belief.marginals
    before = earlier.ranking[0][0] if earlier.ranking else ""
    now = consultation.belief.ranking[0][0]
    onset_now = onset_step(run)
    reached = run.last_step if run else None
    enough = earlier.onset is None or reached is None or reached >= earlier.onset
    course: Course
    if verdict in FINE:
        course = "fixed" if enough else "too-early"
        if earlier.verdict in FINE:
            course = "unclear"
    elif verdict == "undetermined":
        course = "unclear" if enough or onset_now is not None else "too-early"
    elif now == before or marginals.get(before, 0.0) >= STILL_POSSIBLE:
        course = "not-fixed"
    else:
        course = "new-fault"
    return Outcome(course, before, now, earlier.onset, onset_now, reached)


def without(consultation: Consultation, name: str) -> Consultation | None:
    """With everything the owner said about one observation, or one remedy, taken back; None if there is nothing."""
    events: list[Event] = []
    changed = False
    for event in consultation.events:
        match event:
            case Answered(observation) if observation == name:
                changed = True
            case Tried(remedy) if remedy == name:
                changed = True
            case Said(text, understood) if any(e.observation == name for e in understood):
                events.append(Said(text, tuple(e for e in understood if e.observation != name)))
                changed = True
            case _:
                events.append(event)
    return Consultation(consultation.kb, tuple(events), consultation.ingested) if changed else None
