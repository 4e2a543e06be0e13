"""The result: what broke the run, how sure, why, what to do.

Plain frozen data; `consultation` makes it, `render` shows it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nandoctor.readers.facts import Run
from nandoctor.source import Location

Origin = Literal["log", "net", "solver", "answer", "description", "tried"]
Verdict = Literal["fault", "healthy", "benign", "undetermined"]
Band = Literal["very likely", "likely", "possible", "unlikely"]


class Note(msgspec.Struct, frozen=True):
    """A sentence in no language yet: message id and arguments; `KnowledgeBase.text` makes it readable."""

    id: str
    args: dict[str, str | int | float] = {}


class Evidence(msgspec.Struct, frozen=True):
    """One thing held about one observation.

    Either `state` with `trust` (how far the reading is right: 0.98 means 2 % of such readings are wrong), or
    `likelihoods` (state -> P(this reading | state)) for a detector that is unsure. A `hint` is what names and silence
    suggest: it counts until anybody says outright what it guesses at, and the question stays open.
    """

    observation: str
    state: str  # the (most likely) state
    origin: Origin
    locations: tuple[Location, ...] = ()
    note: Note | None = None  # what was seen, for the "for / against" lists
    trust: float = 0.985
    likelihoods: dict[str, float] = {}
    hint: bool = False


class CouldNotCheck(msgspec.Struct, frozen=True):
    """An observation the files did not settle, why, and how they would."""

    observation: str
    because: Note
    how: Note | None = None


class Weighed(msgspec.Struct, frozen=True):
    """A piece of evidence and what it does for one cause, in decibans (10 log10 of the likelihood ratio)."""

    observation: str
    state: str
    decibans: float
    locations: tuple[Location, ...] = ()
    note: Note | None = None
    origin: Origin = "log"


class RankedCause(msgspec.Struct, frozen=True):
    """A cause with its marginal probability and the evidence for and against it."""

    id: str  # a cause of the knowledge base, or `none-of-these`
    probability: float
    band: Band
    support: tuple[Weighed, ...] = ()  # JSON: "for", strongest first
    against: tuple[Weighed, ...] = ()

    def by_finding(self) -> tuple[tuple[Weighed, ...], tuple[Weighed, ...]]:
        """For and against, strongest first; what one sentence says of several observations is one item, the sum."""
        merged: list[Weighed] = []
        for item in sorted((*self.support, *self.against), key=lambda w: -abs(w.decibans)):
            same = (n for n, w in enumerate(merged) if w.note and (w.note, w.locations) == (item.note, item.locations))
            place = next(same, None)
            if place is None:
                merged.append(item)
            else:
                total = merged[place].decibans + item.decibans
                merged[place] = msgspec.structs.replace(merged[place], decibans=total)
        merged.sort(key=lambda w: -abs(w.decibans))
        return tuple(w for w in merged if w.decibans > 0), tuple(w for w in merged if w.decibans < 0)


class FileEdit(msgspec.Struct, frozen=True):
    """A change of one of the owner's files, as lines: shown as `- old` / `+ new` with its place."""

    location: Location
    removed: tuple[str, ...]
    added: tuple[str, ...]


class Step(msgspec.Struct, frozen=True):
    """A step of a plan. `success`: chance that it cures, given that the steps before it failed."""

    id: str
    kind: Literal["fix", "experiment"]
    cures: tuple[str, ...]
    success: float
    minutes: float
    masks: bool = False
    edits: tuple[FileEdit, ...] = ()
    patch: str = ""  # unified diff
    snippet: str = ""
    snippet_framework: str = ""
    tells: tuple[str, ...] = ()  # experiment: the causes it separates
    tried: bool = False
    framework: str = ""  # the owner's: whose own steps are added to those for everybody


class Finding(msgspec.Struct, frozen=True):
    """What a check of net or solver found."""

    check: str
    severity: Literal["error", "warning", "note"]
    message: Note  # id `check:<id>`; args from the match
    locations: tuple[Location, ...] = ()
    patch: str = ""
    edits: tuple[FileEdit, ...] = ()
    causes: tuple[str, ...] = ()


class Contradiction(msgspec.Struct, frozen=True):
    """Two sources that disagree about one observation, and which of them was kept."""

    observation: str
    kept: Evidence
    overruled: Evidence


class Question(msgspec.Struct, frozen=True):
    """The next question: an observation of the knowledge base and its value."""

    observation: str
    gain: float  # bits about which remedy is right
    minutes: float


class Diagnosis(msgspec.Struct, frozen=True):
    """Everything a view shows. Texts are looked up in the knowledge base by id."""

    verdict: Verdict
    causes: tuple[RankedCause, ...]
    fastest: tuple[Step, ...]
    diagnostic: tuple[Step, ...]
    observations: tuple[Evidence, ...]  # one or more per observation
    findings: tuple[Finding, ...] = ()
    runs: tuple[Run, ...] = ()
    could_not_check: tuple[CouldNotCheck, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    next_question: Question | None = None
    what_if: tuple[tuple[str, str, str], ...] = ()  # (observation, state, the cause that would come first)
    ruled_out: tuple[
        tuple[str, Weighed], ...
    ] = ()  # popular suspects the evidence excludes (the learning rate), with why
    framework: str = ""
    notes: tuple[str, ...] = ()
