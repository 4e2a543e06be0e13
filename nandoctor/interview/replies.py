"""What the program says in a consultation, as data: ids and numbers, no words of any language yet.

`render.speech` turns a reply into lines; the terminal interface shows some of them as widgets.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nandoctor.diagnosis import Contradiction, Diagnosis, Evidence, RankedCause, Step
from nandoctor.errors import NandoctorError
from nandoctor.kb.model import Id

Variant = Literal["fastest", "diagnostic"]
Course = Literal["fixed", "not-fixed", "new-fault", "too-early", "unclear"]


class Sentence(msgspec.Struct, frozen=True):
    """One sentence of the program: message id and arguments. `quoted` are the owner's words, shown cut."""

    id: str
    args: dict[str, str | int | float] = {}
    level: Literal["", "warning", "hint"] = ""


class Heard(msgspec.Struct, frozen=True):
    """One thing understood from free words, and the words that said it."""

    observation: Id
    state: Id
    phrase: str
    trust: float


class Understood(msgspec.Struct, frozen=True):
    """What was understood from free words; can be corrected with one key."""

    items: tuple[Heard, ...]


class FilesRead(msgspec.Struct, frozen=True):
    """Files were read.

    names: what was handed over. evidence: what they told, most telling first. questions: how many of it the program
    would otherwise have asked. framework, lines, first, last: the run. errors: files that could not be used.
    """

    names: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    questions: int
    framework: str = ""
    lines: int = 0
    first: float | None = None
    last: float | None = None
    has_run: bool = False
    has_net: bool = False
    has_solver: bool = False
    in_log: bool = False  # net or solver come from the log's own dump
    errors: tuple[NandoctorError, ...] = ()
    notes: tuple[str, ...] = ()


class Unusable(msgspec.Struct, frozen=True):
    """A file that could not be used, and why."""

    error: NandoctorError


class Asking(msgspec.Struct, frozen=True):
    """A question; for an experiment, `step` says what to change. `again`: it was asked before and repeats."""

    observation: Id
    number: int
    minutes: float
    step: Step | None = None
    again: bool = False


class Picking(msgspec.Struct, frozen=True):
    """A question of the dialogue itself: message id of its text; its choices stand in the pending state."""

    id: str
    args: dict[str, str | int | float] = {}


class Taken(msgspec.Struct, frozen=True):
    """An answer was noted; `unknown` is no evidence."""

    observation: Id
    state: str


class Believed(msgspec.Struct, frozen=True):
    """The ranking after a step; `before` holds the probabilities it had."""

    ranking: tuple[tuple[str, float], ...]
    before: dict[str, float] = {}


class Reasons(msgspec.Struct, frozen=True):
    """Why a question is asked: the causes it separates, and what each answer would do.

    rows: (state, chance of this answer, ((cause, probability then, probability now), ...)).
    """

    observation: Id
    separates: tuple[str, ...]
    rows: tuple[tuple[str, float, tuple[tuple[str, float, float], ...]], ...]


class HowToFind(msgspec.Struct, frozen=True):
    """How the owner finds out; `framework` picks the text, `step` shows the edits of an experiment."""

    observation: Id
    framework: str
    step: Step | None = None


class Grounds(msgspec.Struct, frozen=True):
    """The evidence for and against a cause."""

    cause: RankedCause


class Flips(msgspec.Struct, frozen=True):
    """The unanswered questions whose answer would change the verdict: (observation, state, the cause then first)."""

    rows: tuple[tuple[str, str, str], ...]
    first: str


class Held(msgspec.Struct, frozen=True):
    """Everything held as evidence."""

    evidence: tuple[Evidence, ...]


class Disagreement(msgspec.Struct, frozen=True):
    """A file and the owner say different things; asked about once."""

    contradiction: Contradiction


class Withdrawn(msgspec.Struct, frozen=True):
    """What an undo took back, as (kind, observation or remedy or text, state)."""

    items: tuple[tuple[str, str, str], ...]


class Result(msgspec.Struct, frozen=True):
    """The verdict, with its reasons; `brief`, without them, where they were shown before."""

    diagnosis: Diagnosis
    brief: bool = False


class Planned(msgspec.Struct, frozen=True):
    """A plan: numbered steps."""

    diagnosis: Diagnosis
    variant: Variant


class StepShown(msgspec.Struct, frozen=True):
    """One step in full: what to change, how to see whether it worked."""

    number: int
    step: Step


class Outcome(msgspec.Struct, frozen=True):
    """What became of the fault since the last visit.

    before, now: the first causes then and now. onset: where the fault showed then; reached: how far the new run went.
    """

    course: Course
    before: str
    now: str
    onset: float | None = None
    onset_now: float | None = None
    reached: float | None = None


class Guide(msgspec.Struct, frozen=True):
    """What can be typed."""


Reply = (
    Sentence
    | Understood
    | FilesRead
    | Unusable
    | Asking
    | Picking
    | Taken
    | Believed
    | Reasons
    | HowToFind
    | Grounds
    | Flips
    | Held
    | Disagreement
    | Withdrawn
    | Result
    | Planned
    | StepShown
    | Outcome
    | Guide
)
