"""What the owner may ask for at any time: why, how, what if, undo, the plan, what a step brought."""

from __future__ import annotations

import msgspec

from nandoctor.consultation import Consultation
from nandoctor.errors import NandoctorError
from nandoctor.events import Answered, Chose, Event, Read, Said, Tried
from nandoctor.interview import reasons, visits
from nandoctor.interview.hearing import names
from nandoctor.interview.pending import Ask, AtPlan, Correct, Helped
from nandoctor.interview.replies import (
    Grounds,
    Heard,
    HowToFind,
    Picking,
    Reply,
    Sentence,
    StepShown,
    Variant,
    Withdrawn,
)
from nandoctor.interview.requests import VARIANTS, outcome
from nandoctor.interview.state import (
    Form,
    Interview,
    SaveReport,
    Turn,
    ask,
    conclude,
    go_on,
    moved,
    plan_steps,
    repeat,
    show_plan,
    stay,
)
from nandoctor.kb.model import LANGUAGES

FORMS: dict[str, Form] = {
    "md": "markdown", "markdown": "markdown", "json": "json", "txt": "text", "html": "html", "htm": "html",
}  # fmt: skip
DEFAULT_REPORT = "nandoctor-report.md"
REDACTED = ("redacted", "redact", "--redact", "脱敏", "익명")


def why(now: Interview) -> Turn:
    """Why this question; without one, why this result."""
    if not isinstance(now.pending, Ask):
        return how(now, "")
    return stay(now, reasons.reasons(now.consultation, now.pending.observation))


def find_out(now: Interview) -> Turn:
    """How the owner finds the answer out."""
    if not isinstance(now.pending, Ask):
        return stay(now, Sentence("say.nothing-asked", level="hint"))
    name = now.pending.observation
    return stay(now, HowToFind(name, now.consultation.framework, reasons.experiment(now.consultation, name)))


def how(now: Interview, argument: str) -> Turn:
    """The evidence for and against a cause, by rank or id; the first one by default."""
    ranked = now.consultation.causes
    if not argument:
        return stay(now, Grounds(ranked[0]))
    if argument.isdecimal() and 1 <= int(argument) <= len(ranked):
        return stay(now, Grounds(ranked[int(argument) - 1]))
    try:
        return stay(now, Grounds(now.consultation.how(argument)))
    except NandoctorError:
        return stay(now, Sentence("say.no-such-cause", {"text": argument[:40]}, "warning"))


def undo(now: Interview, argument: str) -> Turn:
    """Takes back the last thing the owner said, or everything said about one observation."""
    if argument:
        consultation = visits.without(now.consultation, argument)
        if consultation is None:
            return stay(now, Sentence("say.nothing-to-undo", level="hint"))
        back = now.step(consultation)
    elif now.before is None:
        return stay(now, Sentence("say.nothing-to-undo", level="hint"))
    else:
        back = now.before.having(lang=now.lang, raised=now.raised)
    told: list[Reply] = [Withdrawn(_gone(now.consultation.events, back.consultation.events))]
    told += moved(back.consultation, now.consultation)
    if argument or (isinstance(back.pending, AtPlan) and back.consultation.next_question()):
        return go_on(back, told)
    return repeat(back, *told)


def _gone(old: tuple[Event, ...], new: tuple[Event, ...]) -> tuple[tuple[str, str, str], ...]:
    """What is in `old` and no longer in `new`, as (kind, id or text, state)."""
    out: list[tuple[str, str, str]] = []
    for event in old:
        if event in new:
            continue
        match event:
            case Answered(name, state):
                out.append(("answer", name, state))
            case Tried(remedy, helped):
                out.append(("tried", remedy, "helped" if helped else "no"))
            case Chose(name, keep):
                out.append(("chose", name, keep))
            case Read(inputs):
                kept = [name for read in new if isinstance(read, Read) for name in names(read.inputs)]
                out.append(("read", ", ".join(name for name in names(inputs) if name not in kept), ""))
            case Said(_, understood):
                left = {e.observation for said in new if isinstance(said, Said) for e in said.understood}
                out += [("said", item.observation, item.state) for item in understood if item.observation not in left]
    return tuple(out)


def wrong(now: Interview, argument: str) -> Turn:
    """Corrects what was understood from free words: at once if it was one thing, else the owner picks it."""
    if not now.heard:
        return stay(now, Sentence("say.nothing-to-correct", level="hint"))
    if len(now.heard) == 1:
        return drop(now, now.heard[0])
    if argument.isdecimal() and 1 <= int(argument) <= len(now.heard):
        return drop(now, now.heard[int(argument) - 1])
    return Turn(now.having(pending=Correct(now.heard)), (Picking("ask.which-wrong"),))


def drop(now: Interview, item: Heard) -> Turn:
    """Forgets one thing understood, and lets the owner say what is right."""
    events = list(now.consultation.events)
    for place in range(len(events) - 1, -1, -1):
        event = events[place]
        if isinstance(event, Said) and any(e.observation == item.observation for e in event.understood):
            events[place] = Said(event.text, tuple(e for e in event.understood if e.observation != item.observation))
            break
    consultation = Consultation(now.consultation.kb, tuple(events), now.consultation.ingested)
    after = now.step(consultation, heard=tuple(h for h in now.heard if h.observation != item.observation))
    told: list[Reply] = [Sentence("say.forgotten"), *moved(consultation, now.consultation)]
    known = consultation.kb.observations[item.observation]
    if known.question is None or item.observation in consultation.belief.evidence:
        return go_on(after, told)
    return ask(after, item.observation, told)


def plan(now: Interview, argument: str) -> Turn:
    """The verdict and a plan, whether or not there are questions left; the other plan the second time."""
    asked = VARIANTS.get(argument.casefold(), "")
    variant: Variant = "diagnostic" if asked == "diagnostic" else "fastest"
    if not isinstance(now.pending, AtPlan):
        return conclude(now.having(shown=()), variant=variant)
    if not asked and now.pending.variant == "fastest":
        variant = "diagnostic"
    return show_plan(now, (), variant)


def step_number(now: Interview, argument: str) -> Turn:
    """One step in full."""
    steps = plan_steps(now)
    if not argument.isdecimal() or not 1 <= int(argument) <= len(steps):
        return stay(now, Sentence("say.no-such-choice", {"text": argument[:40]}, "warning"))
    return open_step(now, steps[int(argument) - 1])


def open_step(now: Interview, remedy: str) -> Turn:
    """A step of the plan: a fix is shown in full, an experiment is put as its question."""
    kb = now.consultation.kb
    known = kb.remedies[remedy]
    if known.kind == "experiment" and known.asks in kb.observations:
        return ask(now, known.asks)
    diagnosis = now.consultation.diagnosis
    variant = now.pending.variant if isinstance(now.pending, AtPlan) else "fastest"
    steps = diagnosis.fastest if variant == "fastest" else diagnosis.diagnostic
    number, step = next(((n, s) for n, s in enumerate(steps, 1) if s.id == remedy), (0, None))
    if step is None:
        return repeat(now)
    if isinstance(now.pending, AtPlan):
        now = now.having(pending=msgspec.structs.replace(now.pending, opened=remedy))
    return stay(now, StepShown(number, step))


def tried(now: Interview, argument: str) -> Turn:
    """A step was carried out: `2 helped`, `clip-gradients no`, or only the step, and then the owner is asked."""
    word, _, result = argument.partition(" ")
    steps = plan_steps(now)
    remedy = steps[int(word) - 1] if word.isdecimal() and 1 <= int(word) <= len(steps) else word
    kb = now.consultation.kb
    if remedy not in kb.remedies:
        return stay(now, Sentence("say.no-such-step", {"text": word[:40]}, "warning"))
    known = kb.remedies[remedy]
    if known.kind == "experiment" and known.asks in kb.observations:
        return ask(now, known.asks)
    helped = outcome(result) if result else None
    if helped is None:
        asked = now.having(pending=Helped(remedy))
        return Turn(asked, (Picking("ask.did-it-help", {"remedy": remedy}),))
    return outcome_of(now, remedy, helped)


def outcome_of(now: Interview, remedy: str, helped: bool) -> Turn:
    """What a step brought counts as evidence."""
    consultation = now.consultation.tried(remedy, helped)
    after = now.step(consultation)
    noted = Sentence("say.tried-helped" if helped else "say.tried-no", {"remedy": remedy})
    told: list[Reply] = [noted, *moved(consultation, now.consultation)]
    if not helped:
        return go_on(after, told)
    told.append(Sentence("say.solved", {"cause": _cured(consultation, remedy)}))
    return Turn(after.having(pending=AtPlan("fastest", ())), tuple(told))


def _cured(consultation: Consultation, remedy: str) -> str:
    """The likeliest of the causes that this remedy cures; the likeliest of all if it cures none of them."""
    causes = consultation.kb.causes
    for cause, _ in consultation.belief.ranking:
        if cause in causes and any(use.use == remedy for use in causes[cause].remedies):
            return cause
    return consultation.belief.ranking[0][0]


def more(now: Interview) -> Turn:
    """One more question, although none is worth the time any more."""
    name = reasons.further_question(now.consultation)
    return ask(now, name) if name else stay(now, Sentence("say.no-more-questions", level="hint"))


def later(now: Interview) -> Turn:
    """The owner will run the experiment and come back."""
    pending = now.pending
    kb = now.consultation.kb
    if not isinstance(pending, Ask) or kb.observations[pending.observation].kind != "experiment":
        return stay(now, Sentence("say.nothing-to-postpone", level="hint"))
    after = now.step(now.consultation.answer(pending.observation, "unknown"), later=(*now.later, pending.observation))
    return go_on(after, [Sentence("say.come-back", {"observation": pending.observation})])


def save(now: Interview, argument: str) -> Turn:
    """Writes a report: `report.md`, `report.json redacted`."""
    words = argument.split()
    redacted = bool(words) and words[-1].casefold() in REDACTED
    path = " ".join(words[:-1] if redacted else words) or DEFAULT_REPORT
    form = FORMS.get(path.rpartition(".")[2].lower())
    if form is None:
        return stay(now, Sentence("say.save-how", level="hint"))
    return Turn(now, (), SaveReport(path, form, redacted))


def language(now: Interview, argument: str) -> Turn:
    """Goes on in another language."""
    lang = argument.casefold()
    if lang not in LANGUAGES:
        return stay(now, Sentence("say.languages", level="hint"))
    return repeat(msgspec.structs.replace(now, lang=lang), Sentence("say.language-now"))
