"""The machine's side of a transcript: what each turn changed, in lines such as `[answer precision=fp16]`.

A transcript holds a header for each visit, the owner's lines (`> ...`, further lines of a paste `>. ...`), the lines of
the program, and these records. The owner's lines are enough to run a consultation again word for word; the records are
enough to continue it even if the knowledge has changed since.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from nandoctor.consultation import Consultation
from nandoctor.errors import UnreadableError
from nandoctor.events import Answered, Chose, Said, Tried
from nandoctor.ingest import Inputs
from nandoctor.interview import visits
from nandoctor.interview.pending import Ask, AtPlan, Carried, Free, Helped, Pending, Settle
from nandoctor.interview.state import Interview
from nandoctor.kb.model import KnowledgeBase
from nandoctor.source import Location, printable

TITLE = "nandoctor transcript 1"
VISIT = "=== visit "
OWNER = "> "
OWNER_MORE = ">. "
STOPPED = "[stopped reading]"
INTERRUPTED = "[interrupted]"
ENDED = "[ended]"
NEW_RUN = "new run"  # in transcripts of former versions; now the records say what was withdrawn
MARKS = (STOPPED, INTERRUPTED, ENDED)
_HEADER = re.compile(r"([a-z]+): (.*)$")


class Input(NamedTuple):
    """One thing that came from outside: a line of the owner, or a mark such as `[interrupted]`."""

    line: int
    text: str


class Visit(NamedTuple):
    """One visit as recorded. `header`: (key, value) in order. `records`: bracket lines without brackets, with lines."""

    line: int
    header: tuple[tuple[str, str], ...]
    said: tuple[Input, ...]
    records: tuple[tuple[int, str], ...]

    def value(self, key: str, default: str = "") -> str:
        """The first value of a header key."""
        return next((value for name, value in self.header if name == key), default)

    def values(self, key: str) -> tuple[str, ...]:
        """All values of a header key."""
        return tuple(value for name, value in self.header if name == key)


def header(consultation: Consultation, wanted: Inputs | None) -> list[tuple[str, str]]:
    """What a visit begins with, as the command line gave it."""
    lines: list[tuple[str, str]] = []
    inputs = wanted or visits.last_inputs(consultation)
    if inputs.run_dir:
        lines.append(("run", inputs.run_dir))
    lines += [("log", log) for log in inputs.logs]
    lines += [(name, value) for name, value in (("net", inputs.net), ("solver", inputs.solver)) if value]
    if inputs.dialect:
        lines.append(("dialect", inputs.dialect))
    lines += [("shape", f"{blob}={','.join(map(str, dims))}") for blob, dims in inputs.input_shapes.items()]
    for event in consultation.events:
        match event:
            case Said(text, _):
                lines.append(("describe", " ".join(text.split())))
            case Answered(observation, state):
                lines.append(("answer", f"{observation}={state}"))
            case Tried(remedy, helped):
                lines.append(("tried", f"{remedy}={'helped' if helped else 'no'}"))
    return [(key, printable(value)) for key, value in lines]


def inputs_of(visit: Visit) -> Inputs:
    """The files that a visit begins with."""
    shapes: dict[str, tuple[int, ...]] = {}
    for value in visit.values("shape"):
        blob, _, dims = value.partition("=")
        shapes[blob] = tuple(int(dim) for dim in dims.split(",") if dim.strip().isdecimal())
    return Inputs(
        run_dir=visit.value("run"),
        logs=visit.values("log"),
        net=visit.value("net"),
        solver=visit.value("solver"),
        dialect=visit.value("dialect"),
        input_shapes=shapes,
    )


def atoms(now: Interview) -> list[str]:
    """Everything held, one record each."""
    out: list[str] = []
    for event in now.consultation.events:
        match event:
            case Answered(observation, state, asked):
                out.append(f"{'answer' if asked else 'given'} {observation}={state}")
            case Said(_, understood):
                out += [f"understood {item.observation}={item.state} {item.trust:g}" for item in understood]
            case Tried(remedy, helped):
                out.append(f"tried {remedy}={'helped' if helped else 'no'}")
            case Chose(observation, keep):
                out.append(f"kept {observation}={keep}")
    inputs = visits.last_inputs(now.consultation)
    out += [f"read {printable(name)}" for name in (inputs.run_dir, *inputs.logs, inputs.net, inputs.solver) if name]
    out += [f"pasted {name}" for name, _ in inputs.texts]
    run = now.consultation.ingested.run
    if run is not None:
        found = visits.onset_step(run)
        pieces = [f"lines={run.lines}"]
        pieces += [f"reached={run.last_step:g}"] if run.last_step is not None else []
        pieces += [f"onset={found:g}"] if found is not None else []
        out.append("run " + " ".join(pieces))
    out += [f"later {observation}" for observation in now.later]
    out += [f"raised {observation}" for observation in sorted(now.raised)]
    return out


def changes(old: Interview, new: Interview) -> list[str]:
    """What a turn changed, as bracket lines."""
    told = [f"[language {new.lang}]"] if new.lang != old.lang else []
    if new.consultation is old.consultation and new.later == old.later:
        return told
    before, after = atoms(old), atoms(new)
    lines = told + [f"[withdrawn {atom}]" for atom in before if atom not in after]
    return lines + [f"[{atom}]" for atom in after if atom not in before]


def closing(now: Interview) -> list[str]:
    """What is believed and planned, for a later visit."""
    belief = now.consultation.belief
    causes = ", ".join(f"{cause} {p:.3f}" for cause, p in belief.ranking[:5])
    lines = [f"[verdict {belief.verdict()}: {causes}]"]
    steps = [step.id for step in now.consultation.diagnosis.fastest]
    return [*lines, f"[plan {', '.join(steps)}]"] if steps else lines


def left_open(now: Interview) -> list[str]:
    """What the owner left unanswered, for a later visit."""
    match now.pending:
        case Ask(observation):
            return [f"[open question {observation}]"]
        case Settle(observation):
            return [f"[open disagreement {observation}]"]
        case AtPlan(variant, steps):
            return [f"[open plan {variant}]" if steps else "[open nothing]"]
        case Helped(remedy):
            return [f"[open outcome {remedy}]"]
        case Carried(steps) if now.earlier is not None and now.earlier.course:
            return [f"[open carried-out {now.earlier.course} {', '.join(steps)}]"]
    return []


def pending_of(kind: str, rest: str, kb: KnowledgeBase, plan: tuple[str, ...]) -> Pending:
    """What a record of `left_open` stands for; `Free` if the knowledge no longer has what it names.

    plan: the steps last shown. A plan is worked out again before it is shown; without steps, there is nothing to do.
    """
    match kind:
        case "question" if rest in kb.observations:
            return Ask(rest)
        case "disagreement" if rest in kb.observations:
            return Settle(rest)
        case "plan" if rest in ("fastest", "diagnostic"):
            return AtPlan("diagnostic" if rest == "diagnostic" else "fastest", plan)
        case "nothing":
            return AtPlan("fastest", ())
        case "outcome" if rest in kb.remedies:
            return Helped(rest)
        case "carried-out":
            steps = tuple(step for step in rest.partition(" ")[2].split(", ") if step in kb.remedies)
            return Carried(steps) if steps else Free()
    return Free()


def owner_lines(text: str) -> list[str]:
    """The owner's line, or pasted lines, as the transcript holds them."""
    first, *rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [OWNER + _clean(first), *(OWNER_MORE + _clean(line) for line in rest)]


def _clean(line: str) -> str:
    return line.rstrip() if line.isprintable() else printable(line.replace("\t", "\0")).replace("\ufffd", "\t").rstrip()


def parse(text: str, file: str = "") -> tuple[Visit, ...]:
    """The visits of a transcript.

    Raises:
        UnreadableError: it is none.
    """
    lines = text.split("\n")
    if not lines or lines[0].strip() != TITLE:
        raise UnreadableError("this is not a transcript of nandoctor", Location(file, 1))
    starts = [0, *(number for number, line in enumerate(lines) if line.startswith(VISIT))]
    return tuple(_visit(lines, start, stop) for start, stop in zip(starts, [*starts[1:], len(lines)]))


def _visit(lines: Sequence[str], start: int, stop: int) -> Visit:
    head: list[tuple[str, str]] = []
    number = start + 1
    while number < stop and (found := _HEADER.match(lines[number])):
        head.append((found[1], found[2]))
        number += 1
    said: list[Input] = []
    records: list[tuple[int, str]] = []
    for place in range(number, stop):
        line = lines[place]
        if line in MARKS:
            said.append(Input(place + 1, line))
        elif line.startswith("[") and line.endswith("]"):
            records.append((place + 1, line[1:-1]))
        elif line.startswith(OWNER_MORE) and said:
            said[-1] = said[-1]._replace(text=said[-1].text + "\n" + line[len(OWNER_MORE) :])
        elif line.startswith(OWNER) or line == OWNER.rstrip():
            said.append(Input(place + 1, line[len(OWNER) :]))
    return Visit(start + 1, tuple(head), tuple(said), tuple(records))
