"""`kb test`: the cases embedded in the causes, consulted; and simulated owners of every cause.

A failure says what was expected, what came, and what would have been needed: the evidence that stands in the way and
the decibans that are missing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import msgspec

from nandoctor.consultation import ANSWER_TRUST, Consultation
from nandoctor.diagnosis import Evidence, Weighed
from nandoctor.errors import NandoctorError
from nandoctor.inference.belief import Belief
from nandoctor.inference.inquiry import applies
from nandoctor.inference.tables import Tables
from nandoctor.kb.model import Expectation, KnowledgeBase

BELOW = 0.05  # of `expect: below 5 %`
OWNERS = 20  # simulated owners for each cause
RECOGNISED = 0.9  # share of them for whom the cause must come among the first three
TELLING = 0.05  # nats that a typical state tells on average; below it the cause shows what every run shows
SEED = 20240229
SHOWN_WEIGHTS = 5


class CaseResult(msgspec.Struct, frozen=True):
    """What came out of an embedded case.

    `missing`: decibans that the cause lacks (expected to be found) or has too many (expected not to be).
    `obstacles`: the evidence that makes it so, strongest first. `error`: the case could not be consulted.
    """

    cause: str
    number: int  # of the case in the file, from 1
    title: str
    expect: str
    passed: bool
    probability: float = 0.0
    rank: int = 0
    top: tuple[tuple[str, float], ...] = ()
    missing: float = 0.0
    obstacles: tuple[Weighed, ...] = ()
    error: str = ""


class OwnersResult(msgspec.Struct, frozen=True):
    """Simulated owners of one cause: in how many of them it came first, among three, and who took its place."""

    cause: str
    owners: int
    first: float
    among_three: float
    passed: bool
    taken_by: tuple[tuple[str, int], ...] = ()


class TestReport(msgspec.Struct, frozen=True):
    """All results of `kb test`."""

    __test__ = False  # not a test of pytest

    cases: tuple[CaseResult, ...]
    owners: tuple[OwnersResult, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(case.passed for case in self.cases) and all(item.passed for item in self.owners)

    def to_json(self) -> str:
        """The report as JSON: `passed`, `cases`, `owners`, with the fields of the structs."""
        data = {"passed": self.passed, "cases": self.cases, "owners": self.owners}
        return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"


def run_tests(kb: KnowledgeBase, causes: Iterable[str] = (), *, owners: int = OWNERS) -> TestReport:
    """Every embedded case and `owners` simulated owners of each cause (of `causes` only, if given; 0: none).

    Raises:
        UsageError: an unknown cause id.
    """
    from nandoctor.errors import UsageError
    from nandoctor.kb.schema import did_you_mean

    wanted = list(causes) or list(kb.causes)
    for name in wanted:
        if name not in kb.causes:
            raise UsageError(f"unknown cause `{name}`{did_you_mean(name, kb.causes)}")
    cases = tuple(
        run_case(kb, name, number, case)
        for name in wanted
        for number, case in enumerate(kb.causes[name].cases, start=1)
    )
    simulation = Simulation(kb)
    return TestReport(cases, tuple(simulation.owners(name, owners) for name in wanted) if owners else ())


# --- embedded cases


def run_case(kb: KnowledgeBase, cause: str, number: int, case: Expectation) -> CaseResult:
    """Consults one embedded case."""
    try:
        consultation = Consultation.open(kb=kb, answers=case.observations, describe=case.describe)
        ranking = consultation.belief.ranking
    except NandoctorError as exc:
        return CaseResult(cause, number, case.title, case.expect, False, error=exc.message)
    names = [name for name, _ in ranking]
    rank, probability = names.index(cause) + 1, dict(ranking)[cause]
    passed = meets(case.expect, rank, probability)
    if passed:
        return CaseResult(cause, number, case.title, case.expect, True, probability, rank, ranking[:3])
    how = consultation.how(cause)
    wanted = case.expect in ("first", "top3")
    return CaseResult(
        cause,
        number,
        case.title,
        case.expect,
        False,
        probability,
        rank,
        ranking[:3],
        round(missing_decibans(case.expect, cause, ranking), 1),
        (how.against if wanted else how.support)[:SHOWN_WEIGHTS],
    )


def meets(expect: str, rank: int, probability: float) -> bool:
    """Whether a cause at `rank` (from 1) with `probability` is what was expected."""
    if expect == "first":
        return rank == 1
    if expect == "top3":
        return rank <= 3
    if expect == "not first":
        return rank != 1
    return probability < BELOW


def missing_decibans(expect: str, cause: str, ranking: Sequence[tuple[str, float]]) -> float:
    """How far the cause is from the border of what is expected, in decibans of odds; more than 0 on the wrong side."""
    own = dict(ranking)[cause]
    others = [probability for name, probability in ranking if name != cause]
    if expect == "below 5 %":
        return _decibans(own) - _decibans(BELOW)
    border = others[2] if expect == "top3" else others[0]
    distance = _decibans(border) - _decibans(own)
    return -distance if expect == "not first" else distance


def _decibans(probability: float) -> float:
    clipped = min(max(probability, 1e-9), 1.0 - 1e-9)
    return 10.0 * math.log10(clipped / (1.0 - clipped))


# --- simulated owners


class Simulation:
    """Owners whose run shows what is most typical of a cause; each knows another part of it. A knowledge base that
    cannot diagnose its own descriptions is broken.
    """

    def __init__(self, kb: KnowledgeBase, seed: int = SEED) -> None:
        self.kb = kb
        self.seed = seed

    @cached_property
    def tables(self) -> Tables:
        """The numbers of the knowledge base."""
        return Consultation(self.kb).tables

    def owners(self, cause: str, count: int) -> OwnersResult:
        """`count` owners of `cause`; deterministic."""
        generator = random.Random(f"{self.seed} {cause}")
        first = among = 0
        taken: dict[str, int] = {}
        for _ in range(count):
            ranking = Belief(self.tables, self.draw(cause, generator)).ranking
            place = [name for name, _ in ranking].index(cause)
            first += place == 0
            among += place < 3
            if place:
                taken[ranking[0][0]] = taken.get(ranking[0][0], 0) + 1
        others = sorted(taken.items(), key=lambda item: (-item[1], item[0]))
        return OwnersResult(cause, count, first / count, among / count, among / count >= RECOGNISED, tuple(others))

    def typical(self, cause: str) -> dict[str, str]:
        """The most typical state of each observation by which the cause differs, the most telling observation first:
        frequent with the cause and rare without it, the largest p log(p / background).
        """
        index = self.tables.causes.index(cause)
        found: list[tuple[float, str, str]] = []
        for name in dict.fromkeys(link.observation for link in self.kb.causes[cause].shows):
            row, background = self.tables.rows[name][index], self.tables.rows[name][-1]
            weights = [p * math.log(p / b) for p, b in zip(row, background)]
            if max(weights) >= TELLING:
                found.append((-max(weights), name, self.tables.states[name][weights.index(max(weights))]))
        return {name: state for _, name, state in sorted(found)}

    def draw(self, cause: str, generator: random.Random) -> list[Evidence]:
        """What one owner knows of the typical states: the most telling one (the program would ask for it), each other
        one with the chance that owners can tell it.
        """
        shown = self.typical(cause)
        found: list[Evidence] = []
        for name, state in shown.items():
            observation = self.kb.observations[name]
            known = generator.random() < observation.answerable and applies(observation, shown)
            if known or not found:
                found.append(Evidence(name, state, "answer", trust=ANSWER_TRUST))
        return found


# --- for people


def report_text(report: TestReport, kb: KnowledgeBase, lang: str = "en") -> str:
    """The report for a terminal: every failure, then one line with the counts."""

    def say(message: str, **args: object) -> str:
        return kb.text(f"authoring.{message}", lang, **args)

    lines = []
    for case in report.cases:
        if not case.passed:
            lines += [say("case-failed", cause=case.cause, number=case.number, title=case.title)]
            lines += [f"  {line}" for line in _case_lines(case, say)] + [""]
    for item in report.owners:
        if not item.passed:
            others = ", ".join(f"{name} {count}" for name, count in item.taken_by)
            share, needed = f"{item.among_three:.0%}", f"{RECOGNISED:.0%}"
            lines += [say("owners-failed", cause=item.cause, share=share, needed=needed, others=others), ""]
    good = sum(case.passed for case in report.cases)
    lines.append(say("cases-passed", good=good, all=len(report.cases)))
    if report.owners:
        first = math.fsum(item.first for item in report.owners) / len(report.owners)
        among = math.fsum(item.among_three for item in report.owners) / len(report.owners)
        lines.append(say("owners-passed", first=f"{first:.0%}", among=f"{among:.0%}"))
    return "\n".join(lines) + "\n"


def _case_lines(case: CaseResult, say: Callable[..., str]) -> list[str]:
    if case.error:
        return [case.error]
    came = ", ".join(f"{name} {probability:.0%}" for name, probability in case.top)
    lines = [
        say("expected", expect=case.expect),
        say("came", top=came),
        say("own", rank=case.rank, probability=f"{case.probability:.1%}"),
    ]
    wanted = case.expect in ("first", "top3")
    lines.append(say("lacks" if wanted else "exceeds", decibans=f"{abs(case.missing):.1f}"))
    if case.obstacles:
        listed = ", ".join(f"{w.observation}: {w.state} {w.decibans:+.0f}" for w in case.obstacles)
        lines.append(say("against" if wanted else "for", evidence=listed))
    return lines


def table_of(results: Sequence[OwnersResult]) -> str:
    """A Markdown table of the simulated owners."""
    rows = ["| cause | first | among three | taken by |", "|---|---|---|---|"]
    for item in results:
        others = ", ".join(f"{name} {count}" for name, count in item.taken_by[:3])
        rows.append(f"| {item.cause} | {item.first:.0%} | {item.among_three:.0%} | {others} |")
    return "\n".join(rows) + "\n"
