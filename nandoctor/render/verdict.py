"""The last line of every view: what it is, how sure, what to do first."""

from __future__ import annotations

import math

from nandoctor.diagnosis import Diagnosis, RankedCause
from nandoctor.readers.series import first_nonfinite, level
from nandoctor.render.plot import file_name, loss_series
from nandoctor.render.scale import number
from nandoctor.render.words import Words, capital, edit_text, new_value, percent
from nandoctor.source import Location, printable

NONE_OF_THESE = "none-of-these"
SURE = 0.5  # from here a cause is at least "likely"; two of them are two faults


def verdicts(diagnosis: Diagnosis, words: Words, *, alone: bool = False) -> tuple[str, ...]:
    """The verdict in one line, longest form first; a view takes the first that fits its width.

    Where something is to be done, every form says what to do first, unless the verdict is wanted `alone`.
    """
    if diagnosis.verdict == "healthy":
        return _healthy(diagnosis, words)
    if diagnosis.verdict == "benign":
        return _benign(diagnosis, words)
    ranked = sorted(diagnosis.causes, key=lambda c: -c.probability)
    if diagnosis.verdict == "undetermined" or not ranked:
        return _undetermined(diagnosis, ranked, words)
    known = [c for c in ranked if c.id != NONE_OF_THESE] or ranked
    steps = [] if alone else first_steps(diagnosis, words)
    return tuple(capital(form) for form in _suspects(known, steps, words))


def _suspects(known: list[RankedCause], steps: list[str], words: Words) -> list[str]:
    """The most probable cause, or the two that stand out, each with as much of the first step as there may be room."""
    first, second = known[0], known[1] if len(known) > 1 else None
    fields = {"first": words.cause(first.id), "percent": percent(first.probability), "band": words.band(first.band)}
    if second:
        fields |= {"second": words.cause(second.id), "percent2": percent(second.probability)}
    kind = "fault" if first.probability >= SURE or not second else "unsure"
    if second and second.probability >= SURE:
        kind = "two"
    what, short = words(f"verdict.{kind}", **fields), words(f"verdict.{kind}-short", **fields)
    if not steps:
        return [what, short]
    if kind == "unsure":
        return [_joined(head, step) for head in (what, short) for step in steps]
    return [_joined(head, step) for step in steps for head in (what, short)]


def first_steps(diagnosis: Diagnosis, words: Words) -> list[str]:
    """The first untried step of the fastest plan, longest form first."""
    step = next((s for s in diagnosis.fastest if not s.tried), None)
    if step is None:
        return []
    title = words.remedy(step.id)
    exact, named = [], []
    if step.edits:
        edit, place = step.edits[0], step.edits[0].location
        places = [str(place), str(Location(file_name(place.file), place.line))]
        texts = [text for text in (edit_text(edit, words), new_value(edit)) if text] if len(step.edits) == 1 else []
        exact = [words("report.edit-in", edit=text, place=where) for where in places for text in texts]
        named = [f"{title} ({where})" for where in places]
    named.append(title)
    forms = [words("verdict.first-step", step=form) for form in exact]
    forms += [words("verdict.first", step=form) for form in exact]
    for form in named:
        forms += [words(message, step=form.rstrip(".。")) for message in ("verdict.first-step", "verdict.first")]
    return list(dict.fromkeys(forms))


def _healthy(diagnosis: Diagnosis, words: Words) -> tuple[str, ...]:
    chance = percent(_chance(diagnosis, "healthy"))
    short = words("verdict.healthy-short", percent=chance)
    series = next(filter(None, map(loss_series, diagnosis.runs)), None)
    finite = series.finite() if series else []
    if len(finite) < 2 or any(first_nonfinite(run) for run in diagnosis.runs):
        return (short,)
    count = max(1, min(5, len(finite) // 5))  # ends that do not overlap
    first, last = level(finite, count) or 0.0, level(finite[::-1], count) or 0.0
    what = words("verdict.loss-finite", first=number(first), last=number(last))
    return (words("verdict.healthy", percent=chance, what=what), short)


def _benign(diagnosis: Diagnosis, words: Words) -> tuple[str, ...]:
    chance = percent(_chance(diagnosis, "benign-nan"))
    names = list(dict.fromkeys(printable(s.quantity) for run in diagnosis.runs for s, _ in first_nonfinite(run)))
    short = words("verdict.benign-short", percent=chance)
    return (words("verdict.benign", percent=chance, quantities=words.listed(names)), short) if names else (short,)


def _undetermined(diagnosis: Diagnosis, ranked: list[RankedCause], words: Words) -> tuple[str, ...]:
    none_first = bool(ranked) and ranked[0].id == NONE_OF_THESE
    what = words("verdict.none-fits" if none_first else "verdict.undetermined")
    question = diagnosis.next_question
    observation = words.kb.observations.get(question.observation) if question else None
    if observation and observation.question:
        return (_joined(what, words("verdict.ask", question=observation.question.get(words.lang))), what)
    return (_joined(what, words("verdict.give-more")), what) if diagnosis.could_not_check else (what,)


def _chance(diagnosis: Diagnosis, cause_id: str) -> float:
    """Of the cause, or of both harmless ones if the verdict rests on their sum."""
    own = math.fsum(c.probability for c in diagnosis.causes if c.id == cause_id)
    both = math.fsum(c.probability for c in diagnosis.causes if c.id in ("healthy", "benign-nan"))
    return own if own >= SURE else min(both, 1.0)


def _joined(first: str, second: str) -> str:
    return first + ("" if first.endswith("。") else " ") + second
