"""What the next line of the owner may answer: the pending matter and its numbered choices."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from nandoctor.ingest import Inputs
from nandoctor.interview.replies import Heard, Variant
from nandoctor.kb.model import KnowledgeBase

UNKNOWN_KEY = "0"
FIND_OUT_KEY = "?"


class Choice(NamedTuple):
    """One thing to pick. `key`: what to type. `kind` says what `id` names (a state is one `of` an observation)."""

    key: str
    kind: Literal["state", "text", "remedy"]
    id: str
    of: str = ""


class Free(msgspec.Struct, frozen=True):
    """Nothing is asked: words or files."""


class Ask(msgspec.Struct, frozen=True):
    """A question about an observation."""

    observation: str


class Settle(msgspec.Struct, frozen=True):
    """Who is right, the file or the owner?"""

    observation: str


class Correct(msgspec.Struct, frozen=True):
    """Which of the understood things is wrong?"""

    items: tuple[Heard, ...]


class AtPlan(msgspec.Struct, frozen=True):
    """A plan is shown: a number opens a step; what `opened` brought may then be said in words."""

    variant: Variant
    steps: tuple[str, ...]
    opened: str = ""


class SameRun(msgspec.Struct, frozen=True):
    """A log arrives after a verdict: a new run, or more of the same one?"""

    inputs: Inputs


class Carried(msgspec.Struct, frozen=True):
    """Which step was carried out before the new run?"""

    steps: tuple[str, ...]


class Helped(msgspec.Struct, frozen=True):
    """Did the step help?"""

    remedy: str


Pending = Free | Ask | Settle | Correct | AtPlan | SameRun | Carried | Helped


def choices(pending: Pending, kb: KnowledgeBase) -> tuple[Choice, ...]:
    """The numbered choices of a pending matter; none where only words or files make sense."""
    match pending:
        case Ask(observation):
            return _states(observation, kb)
        case Settle():
            return (
                Choice("1", "text", "choice.file-right"),
                Choice("2", "text", "choice.owner-right"),
                Choice(UNKNOWN_KEY, "text", "choice.unknown"),
            )
        case Correct(items):
            heard = [Choice(str(n), "state", item.state, item.observation) for n, item in enumerate(items, 1)]
            return (*heard, Choice(UNKNOWN_KEY, "text", "choice.all-right"))
        case AtPlan(_, steps):
            return tuple(Choice(str(n), "remedy", remedy) for n, remedy in enumerate(steps, 1))
        case SameRun():
            return (Choice("1", "text", "choice.new-run"), Choice("2", "text", "choice.same-run"))
        case Carried(steps):
            tried = [Choice(str(n), "remedy", remedy) for n, remedy in enumerate(steps, 1)]
            return (*tried, Choice(UNKNOWN_KEY, "text", "choice.none-of-them"))
        case Helped():
            return (
                Choice("1", "text", "choice.helped"),
                Choice("2", "text", "choice.no-help"),
                Choice(UNKNOWN_KEY, "text", "choice.unknown"),
            )
    return ()


def _states(observation: str, kb: KnowledgeBase) -> tuple[Choice, ...]:
    known = kb.observations[observation]
    states = [Choice(str(n), "state", state.id, observation) for n, state in enumerate(known.states, 1)]
    if known.kind == "experiment":
        states.append(Choice(str(len(states) + 1), "text", "choice.later"))
    return (
        *states,
        Choice(UNKNOWN_KEY, "text", "choice.cannot-run" if known.kind == "experiment" else "choice.unknown"),
        Choice(FIND_OUT_KEY, "text", "choice.find-out-experiment" if known.kind == "experiment" else "choice.find-out"),
    )
