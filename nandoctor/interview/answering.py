"""Answers: a choice by its key, or words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nandoctor.interview import hearing, reading
from nandoctor.interview.pending import (
    FIND_OUT_KEY,
    UNKNOWN_KEY,
    Ask,
    AtPlan,
    Carried,
    Choice,
    Correct,
    Free,
    Helped,
    SameRun,
    Settle,
)
from nandoctor.interview.privileges import drop, find_out, later, open_step, outcome_of
from nandoctor.interview.replies import Heard, Reply, Sentence, Taken, Understood
from nandoctor.interview.requests import outcome
from nandoctor.interview.state import Interview, Turn, ask, go_on, repeat, stay

SHORT = 8  # words that tell what a step brought; a longer story is heard as such
QUOTED = 60  # characters of the owner's words in a reply


def pick(now: Interview, choice: Choice) -> Turn:
    """One of the numbered choices."""
    match now.pending:
        case Ask(observation):
            if choice.key == FIND_OUT_KEY:
                return find_out(now)
            if choice.id == "choice.later":
                return later(now)
            return _answer(now, observation, choice.id if choice.kind == "state" else "unknown")
        case Settle(observation):
            if choice.key == UNKNOWN_KEY:
                return go_on(now, [Sentence("say.file-counts")])
            keep: Literal["file", "owner"] = "file" if choice.key == "1" else "owner"
            settled = now.step(now.consultation.choose(observation, keep))
            return go_on(settled, [Sentence(f"say.keeps-{keep}")], now)
        case Correct(items):
            if choice.key == UNKNOWN_KEY:
                return go_on(now.having(pending=Free()))
            return drop(now, items[int(choice.key) - 1])
        case AtPlan():
            return open_step(now, choice.id)
        case SameRun(inputs):
            if choice.key == "1":
                return reading.new_run(now, inputs, sure=True)
            return reading.read(now, inputs, sure=True)
        case Carried():
            if choice.key == UNKNOWN_KEY or now.earlier is None:
                return go_on(now.having(pending=Free()))
            return outcome_of(now, choice.id, now.earlier.course == "fixed")
        case Helped(remedy):
            if choice.key == UNKNOWN_KEY:
                return go_on(now)
            return outcome_of(now, remedy, choice.key == "1")
    return repeat(now)


def words(now: Interview, text: str) -> Turn:
    """Free words, with or without files in them."""
    found = hearing.paths(text)
    if found:
        return _with_files(now, text, found)
    pending = now.pending
    if isinstance(pending, Helped) and (helped := outcome(text)) is not None:
        return outcome_of(now, pending.remedy, helped)
    if isinstance(pending, AtPlan) and pending.opened and len(text.split()) <= SHORT:
        helped = outcome(text)
        if helped is not None:
            return outcome_of(now, pending.opened, helped)
    if not isinstance(pending, Ask):
        return _said(now, text)
    state = hearing.answer(text, pending.observation, now.lang, now.consultation.kb)
    if state is None:
        return _said(now, text)
    besides: tuple[Heard, ...] = ()
    if state != "unknown" and hearing.is_long(text):
        besides = hearing.understood(text, now.consultation.kb, (pending.observation,))
    if not besides:
        return _answer(now, pending.observation, state)
    said = now.having(consultation=now.consultation.say(text, hearing.evidence(besides)), heard=besides)
    turn = _answer(said, pending.observation, state, (Understood(besides),), since=now)
    return turn._replace(interview=turn.interview.having(before=now))


def _answer(
    now: Interview, observation: str, state: str, extra: Sequence[Reply] = (), since: Interview | None = None
) -> Turn:
    waiting = tuple(name for name in now.later if name != observation)
    after = now.step(now.consultation.answer(observation, state), later=waiting)
    return go_on(after, [Taken(observation, state), *extra], since or now)


def _said(now: Interview, text: str, told: Sequence[Reply] = ()) -> Turn:
    """Words that answer no question."""
    heard = hearing.understood(text, now.consultation.kb)
    if heard:
        after = now.step(now.consultation.say(text, hearing.evidence(heard)), heard=heard)
        return go_on(after, [Understood(heard), *told], now)
    if told:
        return stay(now, *told)
    what = Sentence("say.not-understood", {"text": text[:QUOTED]}, "warning")
    if now.choices:
        hint = "say.at-plan" if isinstance(now.pending, AtPlan) else "say.use-numbers"
        return stay(now, what, Sentence(hint, level="hint"))
    question = now.consultation.next_question()
    if question is None:
        return stay(now, what)
    return ask(now, question.observation, [what, Sentence("say.ask-instead")])


def _with_files(now: Interview, text: str, found: Sequence[str]) -> Turn:
    there = [path for path in found if hearing.exists(path)]
    told: list[Reply] = [Sentence("say.no-such-file", {"file": path}, "warning") for path in found if path not in there]
    rest = hearing.without_paths(text, found)
    if not there:
        return _said(now, rest, told) if rest else stay(now, *told)
    heard = hearing.understood(rest, now.consultation.kb)
    if not heard:
        return reading.read(now, hearing.inputs_of(there), told)
    after = now.step(now.consultation.say(text, hearing.evidence(heard)), heard=heard)
    return reading.read(after, hearing.inputs_of(there), [Understood(heard), *told], joined=True)
