"""Continuing a consultation from its transcript."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import msgspec

from nandoctor.consultation import Consultation
from nandoctor.diagnosis import Evidence
from nandoctor.errors import UnreadableError
from nandoctor.events import Answered, Chose, Event, Said, Tried
from nandoctor.ingest import Inputs
from nandoctor.interview import hearing, record, visits
from nandoctor.interview.pending import Pending
from nandoctor.interview.record import Visit
from nandoctor.interview.replies import Course
from nandoctor.interview.state import Earlier, Interview
from nandoctor.kb.model import KnowledgeBase
from nandoctor.source import printable

MAX_TRANSCRIPT = 256 << 20  # bytes; a transcript with a large paste in it may be this long


def load(path: Path) -> str:
    """The text of a transcript.

    Raises:
        UnreadableError: missing, too large, or not UTF-8.
    """
    name = printable(str(path))
    try:
        if path.stat().st_size > MAX_TRANSCRIPT:
            raise UnreadableError(f"{name} is too large for a transcript")
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        raise UnreadableError(f"{name}: no such file") from None
    except OSError as exc:
        raise UnreadableError(f"{name}: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableError(f"{name} is not a transcript: not UTF-8 text") from None


def resume(
    path: Path, kb: KnowledgeBase, *, logs: Sequence[str] = (), net: str = "", solver: str = "", run_dir: str = ""
) -> Interview:
    """The conversation of a transcript, to be continued; with files of a new run, they are read and compared first.

    Paths of the transcript are made relative to the present folder.

    Raises:
        UnreadableError: the file is missing, or no transcript.
    """
    found = record.parse(load(path), str(path))
    inputs = Inputs(run_dir=run_dir, logs=tuple(logs), net=net, solver=solver)
    return restore(found, kb, inputs, path.parent).having(source=str(path))


def restore(found: Sequence[Visit], kb: KnowledgeBase, inputs: Inputs, folder: Path) -> Interview:
    """The conversation after these visits. `inputs` are files of a new run; `folder` is the transcript's own.

    The old files are read again, and the conversation stands where it was left. If they hold another run by now (a log
    is often overwritten), they are the new run.
    """
    held = _Held(kb, folder)
    for visit in found:
        held.take(visit)
    lang = held.lang or found[0].value("language", "en")
    number = len(found) + 1
    old = held.files()
    consultation = Consultation(kb, held.events())
    if old:
        consultation = consultation.read(old)
    run = consultation.ingested.run
    earlier = held.earlier(consultation)
    names = [name for name, _ in old.texts]
    if run is not None and held.lines and visits.same_run(earlier, run, names) != "same":
        consultation, earlier = Consultation(kb, held.events()), held.earlier(None)
        inputs = held.with_net(inputs if inputs.logs or inputs.run_dir else _with(old, inputs))
    return Interview(
        consultation,
        lang,
        pending=held.pending(),
        raised=frozenset(held.raised),
        later=tuple(held.later),
        earlier=earlier,
        wanted=inputs or None,
        visit=number,
    )


def _with(old: Inputs, new: Inputs) -> Inputs:
    """The old files, with a net or a solver that is handed over now."""
    return msgspec.structs.replace(old, net=new.net or old.net, solver=new.solver or old.solver)


class _Held:
    """What the records of a transcript add up to."""

    def __init__(self, kb: KnowledgeBase, folder: Path) -> None:
        self.kb = kb
        self.folder = folder.absolute()
        self.base = self.folder  # where the relative paths of the visit at hand begin
        self.lang = ""
        self.given: dict[str, Event] = {}  # record -> event, in order
        self.paths: dict[str, Path] = {}
        self.pasted: dict[str, str] = {}
        self.later: dict[str, None] = {}
        self.raised: dict[str, None] = {}
        self.open = ""  # what the last visit left unanswered
        self.lines = 0
        self.onset: float | None = None
        self.reached: float | None = None
        self.verdict = ""
        self.ranking: tuple[tuple[str, float], ...] = ()
        self.plan: tuple[str, ...] = ()

    def take(self, visit: Visit) -> None:
        """One visit's records, in order."""
        self.lang = visit.value("language") or self.lang
        self.base = self.folder / visit.value("base", ".")
        self.open = ""
        for line, text in visit.records:
            kind, _, rest = text.partition(" ")
            if text == record.NEW_RUN:
                self._new_run()
            elif kind == "withdrawn":
                self._withdraw(*rest.split(" ", 1))
            else:
                said = next((item.text for item in reversed(visit.said) if item.line < line), "")
                self._add(kind, rest, said)

    def _new_run(self) -> None:
        """What the run before showed no longer counts."""
        kept = Interview(Consultation(self.kb, self.events(setup_only=True)))
        self.given = dict(zip(record.atoms(kept), kept.consultation.events))
        self.paths, self.pasted, self.later = {}, {}, {}

    def _withdraw(self, kind: str, rest: str = "") -> None:
        self.given.pop(f"{kind} {rest}", None)
        if kind == "read":  # the visit before may have named the same file from another folder
            gone = os.path.normpath(self.base / rest)
            self.paths = {name: path for name, path in self.paths.items() if os.path.normpath(path) != gone}
        elif kind == "pasted":
            self.pasted.pop(rest, None)
        elif kind == "later":
            self.later.pop(rest, None)
        elif kind == "raised":
            self.raised.pop(rest, None)
        elif kind == "run":
            self.lines, self.onset, self.reached = 0, None, None

    def _add(self, kind: str, rest: str, said: str) -> None:
        match kind:
            case "read":
                self.paths[rest] = self.base / rest
            case "pasted":
                self.pasted[rest] = said
            case "later":
                self.later[rest] = None
            case "raised":
                self.raised[rest] = None
            case "open":
                self.open = rest
            case "language":
                self.lang = rest
            case "run":
                facts = {name: _number(value) for name, _, value in (word.partition("=") for word in rest.split())}
                self.lines = int(facts.get("lines") or 0)
                self.onset, self.reached = facts.get("onset"), facts.get("reached")
            case "verdict":
                self.verdict, _, causes = rest.partition(": ")
                pairs = (item.rpartition(" ") for item in causes.split(", "))
                self.ranking = tuple((cause, _number(p) or 0.0) for cause, _, p in pairs if cause)
            case "plan":
                self.plan = tuple(rest.split(", "))
            case _:
                event = self._event(kind, rest)
                if event is not None:
                    self.given[f"{kind} {rest}"] = event

    def _event(self, kind: str, rest: str) -> Event | None:
        """The event of a record; None if the knowledge no longer has what it names."""
        name, _, value = rest.partition("=")
        state, _, trust = value.partition(" ")
        observation = self.kb.observations.get(name)
        known = observation is not None and (state == "unknown" or observation.state(state) is not None)
        match kind:
            case "answer" | "given" if known:
                return Answered(name, state, asked=kind == "answer")
            case "understood" if known:
                return Said("", (Evidence(name, state, "description", trust=_number(trust) or 0.8),))
            case "tried" if name in self.kb.remedies:
                return Tried(name, state == "helped")
            case "kept" if observation is not None and state in ("file", "owner"):
                return Chose(name, "owner" if state == "owner" else "file")
        return None

    def events(self, *, setup_only: bool = False) -> tuple[Event, ...]:
        """What the owner said and tried; for a new run only what still holds of the set-up."""
        events = tuple(self.given.values())
        return visits.lasting(self.kb, events) if setup_only else events

    def pending(self) -> Pending:
        """What the owner is to answer first."""
        kind, _, rest = self.open.partition(" ")
        return record.pending_of(kind, rest, self.kb, self.plan)

    def files(self) -> Inputs:
        """The files read so far that are still there, seen from the present folder."""
        there = [path for path in self._seen() if hearing.exists(path)]
        return msgspec.structs.replace(hearing.inputs_of(there), texts=tuple(self.pasted.items()))

    def _seen(self) -> list[str]:
        return [name if Path(name).is_absolute() else _from_here(path) for name, path in self.paths.items()]

    def with_net(self, inputs: Inputs) -> Inputs:
        """A new run's files with the net and solver known from before, unless it brings its own."""
        if inputs.run_dir:
            return inputs
        old = self.files()
        texts = tuple(item for item in old.texts if hearing.kind_of(item[1]) == "prototxt")
        if inputs.net or inputs.solver:
            return msgspec.structs.replace(inputs, texts=(*inputs.texts, *texts))
        return msgspec.structs.replace(inputs, net=old.net, solver=old.solver, texts=(*inputs.texts, *texts))

    def earlier(self, consultation: Consultation | None) -> Earlier:
        """What was believed at the end; worked out again if the transcript broke off before it was written."""
        if not self.ranking and consultation is not None and consultation.events:
            plan = tuple(step.id for step in consultation.diagnosis.fastest)
            return visits.summary(consultation, plan, tuple(self.later))
        return Earlier(
            verdict=self.verdict or "undetermined",
            ranking=self.ranking,
            plan=self.plan,
            onset=self.onset,
            reached=self.reached,
            lines=self.lines,
            inputs=self.files(),
            later=tuple(self.later),
            missing=tuple(path for path in self._seen() if not hearing.exists(path)),
            course=self._course(),
        )

    def _course(self) -> Course | Literal[""]:
        """What had become of the fault, where the owner left at the question which step it was."""
        kind, _, rest = self.open.partition(" ")
        word = rest.partition(" ")[0]
        return next((course for course in get_args(Course) if kind == "carried-out" and course == word), "")


def _from_here(path: Path) -> str:
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
