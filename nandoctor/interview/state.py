"""The state of the conversation above the consultation, and how it goes on after a change.

Everything is immutable: a turn gives a new `Interview`, and keeps the one before for undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from nandoctor.consultation import Consultation
from nandoctor.ingest import Inputs
from nandoctor.interview import reasons
from nandoctor.interview.pending import Ask, AtPlan, Carried, Choice, Correct, Free, Helped, Pending, SameRun, Settle
from nandoctor.interview.pending import choices as choices_of
from nandoctor.interview.replies import (
    Asking,
    Believed,
    Course,
    Disagreement,
    Heard,
    Picking,
    Planned,
    Reply,
    Result,
    Sentence,
    Variant,
)

Form = Literal["text", "markdown", "json", "html"]
SAME = 0.0005  # a smaller change of every probability is none


class ReadFiles(NamedTuple):
    """The host reads these in the background, then calls `after_reading`."""

    inputs: Inputs


class SaveReport(NamedTuple):
    """The host writes the report, then calls `after_saving`."""

    path: str
    form: Form
    redacted: bool


class Leave(NamedTuple):
    """The owner is done."""


Effect = ReadFiles | SaveReport | Leave


class Earlier(msgspec.Struct, frozen=True):
    """What was believed about the run before: at the last visit, or before the owner changed something.

    ranking: best first. plan: remedy ids. onset, reached: steps as printed. missing: files of it that are gone.
    settled: the new run was compared with it.
    """

    verdict: str
    ranking: tuple[tuple[str, float], ...]
    plan: tuple[str, ...] = ()
    onset: float | None = None
    reached: float | None = None
    lines: int = 0
    inputs: Inputs = Inputs()
    later: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    settled: bool = False
    course: Course | Literal[""] = ""


class Interview(msgspec.Struct, frozen=True):
    """The state of the conversation.

    pending: what the next line may answer. raised: contradictions asked about already. later: experiments that the
    owner wants to run and come back with. heard: what the last free words meant. before: the state that an undo
    returns to. earlier: the run before this one. wanted: files being read, joined: with words said in the same line,
    opens: at the beginning of the visit, rerun: of a later run, `surely` if the owner said so. told, shown: first cause
    and plan of the last verdict.
    visit: 1, and one more for each return with a transcript; source: that transcript.
    """

    consultation: Consultation
    lang: str = "en"
    pending: Pending = Free()
    raised: frozenset[str] = frozenset()
    later: tuple[str, ...] = ()
    heard: tuple[Heard, ...] = ()
    wanted: Inputs | None = None
    joined: bool = False
    opens: bool = False
    rerun: Literal["", "perhaps", "surely"] = ""
    told: str = ""
    shown: tuple[str, ...] = ()
    earlier: Earlier | None = None
    visit: int = 1
    source: str = ""
    before: Interview | None = None

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What can be picked now."""
        return choices_of(self.pending, self.consultation.kb)

    @property
    def returning(self) -> bool:
        """Whether a new run is expected, to be compared with the one before."""
        return self.earlier is not None and not self.earlier.settled

    def having(self, **changes: object) -> Interview:
        """The state with some fields changed."""
        return msgspec.structs.replace(self, **changes)

    def step(self, consultation: Consultation, **changes: object) -> Interview:
        """The state after a change that an undo takes back."""
        return self.having(consultation=consultation, before=self, **changes)


class Turn(NamedTuple):
    """What one line of input led to."""

    interview: Interview
    replies: tuple[Reply, ...] = ()
    effect: Effect | None = None


def stay(interview: Interview, *replies: Reply) -> Turn:
    """Something is said, and nothing changes."""
    return Turn(interview, replies)


def moved(now: Consultation, before: Consultation) -> tuple[Believed, ...]:
    """The beliefs, if they differ from those before."""
    old, new = before.belief.marginals, now.belief.marginals
    if all(abs(new[cause] - old[cause]) < SAME for cause in new):
        return ()
    return (Believed(now.belief.ranking, old),)


def go_on(interview: Interview, told: Sequence[Reply] = (), since: Interview | None = None) -> Turn:
    """After a change: the beliefs, then a contradiction, the next question, or the verdict with the plan."""
    now = interview.consultation
    replies = [*told, *(moved(now, since.consultation) if since else ())]
    for item in now.contradictions:
        if item.observation not in interview.raised:
            raised = interview.raised | {item.observation}
            asked = interview.having(pending=Settle(item.observation), raised=raised)
            return Turn(asked, (*replies, Disagreement(item)))
    question = now.next_question()
    if question is not None:
        return ask(interview, question.observation, replies)
    return conclude(interview, replies)


def conclude(interview: Interview, told: Sequence[Reply] = (), variant: Variant = "fastest") -> Turn:
    """The verdict and a plan; the reasons only where they were not just shown, the plan only if it is another one."""
    diagnosis = interview.consultation.diagnosis
    steps = tuple(step.id for step in diagnosis.fastest)
    first = diagnosis.causes[0].id
    if interview.told == first and variant == "fastest" and interview.shown == steps:
        after = interview.having(pending=AtPlan("fastest", steps))
        return Turn(after, (*told, Result(diagnosis, brief=True), Sentence("say.plan-as-before", level="hint")))
    result = Result(diagnosis, brief=interview.told == first)
    held = interview.consultation.ingested
    blind = not interview.told and held.run is None
    hint = (Sentence("say.log-would-help", level="hint"),) if blind else ()
    return show_plan(interview.having(told=first, shown=steps), (*told, result, *hint), variant)


def ask(interview: Interview, observation: str, told: Sequence[Reply] = (), *, again: bool = False) -> Turn:
    """Puts a question, worth its time or not."""
    consultation = interview.consultation
    known = consultation.kb.observations[observation]
    step = reasons.experiment(consultation, observation) if known.kind == "experiment" else None
    asking = Asking(
        observation,
        len(consultation.asked) + 1,
        step.minutes if step else known.minutes,
        step,
        again,
    )
    return Turn(interview.having(pending=Ask(observation)), (*told, asking))


def show_plan(interview: Interview, told: Sequence[Reply] = (), variant: Variant = "fastest") -> Turn:
    """Shows one of the two plans; a number then opens a step."""
    diagnosis = interview.consultation.diagnosis
    steps = diagnosis.fastest if variant == "fastest" else diagnosis.diagnostic
    pending = AtPlan(variant, tuple(step.id for step in steps))
    return Turn(interview.having(pending=pending), (*told, Planned(diagnosis, variant)))


def plan_steps(interview: Interview) -> tuple[str, ...]:
    """The remedies of the plan on the screen, or of the fastest one."""
    if isinstance(interview.pending, AtPlan):
        return interview.pending.steps
    return tuple(step.id for step in interview.consultation.diagnosis.fastest)


def repeat(interview: Interview, *first: Reply) -> Turn:
    """What is pending, once more."""
    match interview.pending:
        case Ask(observation):
            return ask(interview, observation, first, again=True)
        case AtPlan(variant):
            return show_plan(interview, first, variant)
        case Settle(observation):
            open_ones = interview.consultation.contradictions
            item = next((c for c in open_ones if c.observation == observation), None)
            return stay(interview, *first, Disagreement(item)) if item else go_on(interview, first)
        case Carried():
            return stay(interview, *first, Picking("ask.which-carried-out"))
        case SameRun():
            return stay(interview, *first, Picking("ask.same-run"))
        case Correct():
            return stay(interview, *first, Picking("ask.which-wrong"))
        case Helped(remedy):
            return stay(interview, *first, Picking("ask.did-it-help", {"remedy": remedy}))
    return stay(interview, *first, Sentence("say.return" if interview.returning else "say.welcome"))
