"""The last line of every view: what it is, how sure, what to do first."""

from __future__ import annotations

import math

from nandoctor.diagnosis import Diagnosis, RankedCause, Step
from nandoctor.readers.series import first_nonfinite
from nandoctor.render.plot import loss_series
from nandoctor.render.scale import number
from nandoctor.render.words import Words, edit_text, percent
from nandoctor.source import printable

NONE_OF_THESE = "none-of-these"
SURE = 0.5  # from here a cause is at least "likely"; two of them are two faults


def verdicts(diagnosis: Diagnosis, words: Words) -> tuple[str, ...]:
    """The verdict in one line, longest form first; a view takes the first that fits its width."""
    if diagnosis.verdict == "healthy":
        return _healthy(diagnosis, words)
    if diagnosis.verdict == "benign":
        return _benign(diagnosis, words)
    ranked = sorted(diagnosis.causes, key=lambda c: -c.probability)
    if diagnosis.verdict == "undetermined" or not ranked:
        return _undetermined(diagnosis, ranked, words)
    known = [c for c in ranked if c.id != NONE_OF_THESE] or ranked
    first, second = known[0], known[1] if len(known) > 1 else None
    if second and second.probability >= SURE:
        what = words(
            "verdict.two",
            first=words.cause(first.id),
            percent=percent(first.probability),
            second=words.cause(second.id),
            percent2=percent(second.probability),
        )
    elif second and first.probability < SURE:
        what = words(
            "verdict.unsure",
            title=words.cause(first.id),
            percent=percent(first.probability),
            second=words.cause(second.id),
            percent2=percent(second.probability),
        )
    else:
        what = words(
            "verdict.fault",
            title=words.cause(first.id),
            band=words.band(first.band),
            percent=percent(first.probability),
        )
    what = _capital(what)
    return tuple(f"{what} {step}" for step in first_steps(diagnosis, words)) + (what,)


def first_steps(diagnosis: Diagnosis, words: Words) -> list[str]:
    """The first untried step of the fastest plan, longest form first."""
    step = next((s for s in diagnosis.fastest if not s.tried), None)
    if step is None:
        return []
    title = words.remedy(step.id)
    forms = [words("verdict.first-step", step=_with_edit(step, words))] if step.edits else []
    if step.edits:
        forms.append(words("verdict.first-step", step=f"{title} ({step.edits[0].location})"))
    return [form.rstrip(".。") + words("verdict.stop") for form in [*forms, words("verdict.first-step", step=title)]]


def _with_edit(step: Step, words: Words) -> str:
    edit = step.edits[0]
    text = edit_text(edit, words)
    if not text or len(step.edits) > 1:
        return f"{words.remedy(step.id)} ({edit.location})"
    return words("report.edit-in", edit=text, place=str(edit.location))


def _healthy(diagnosis: Diagnosis, words: Words) -> tuple[str, ...]:
    chance = percent(_chance(diagnosis, "healthy"))
    short = words("verdict.healthy-short", percent=chance)
    series = next(filter(None, map(loss_series, diagnosis.runs)), None)
    finite = series.finite() if series else []
    if len(finite) < 2 or any(first_nonfinite(run) for run in diagnosis.runs):
        return (short,)
    what = words("verdict.loss-finite", first=number(finite[0].value), last=number(finite[-1].value))
    return (words("verdict.healthy", percent=chance, what=what), short)


def _benign(diagnosis: Diagnosis, words: Words) -> tuple[str, ...]:
    chance = percent(_chance(diagnosis, "benign-nan"))
    names = list(dict.fromkeys(printable(s.quantity) for run in diagnosis.runs for s, _ in first_nonfinite(run)))
    short = words("verdict.benign-short", percent=chance)
    return (words("verdict.benign", percent=chance, quantities=", ".join(names)), short) if names else (short,)


def _undetermined(diagnosis: Diagnosis, ranked: list[RankedCause], words: Words) -> tuple[str, ...]:
    none_first = bool(ranked) and ranked[0].id == NONE_OF_THESE
    what = words("verdict.none-fits" if none_first else "verdict.undetermined")
    question = diagnosis.next_question
    observation = words.kb.observations.get(question.observation) if question else None
    if observation and observation.question:
        return (f"{what} {words('verdict.ask', question=observation.question.get(words.lang))}", what)
    return (f"{what} {words('verdict.give-more')}", what) if diagnosis.could_not_check else (what,)


def _chance(diagnosis: Diagnosis, cause_id: str) -> float:
    """Of the cause, or of both harmless ones if the verdict rests on their sum."""
    own = math.fsum(c.probability for c in diagnosis.causes if c.id == cause_id)
    both = math.fsum(c.probability for c in diagnosis.causes if c.id in ("healthy", "benign-nan"))
    return own if own >= SURE else min(both, 1.0)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:] if sentence[:1].isascii() else sentence
