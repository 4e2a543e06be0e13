"""What the choice of the next question is worth: against random order, the best fixed order and gain without cost.

Owners: those of the labelled cases (answers from the case file, experiments when asked, otherwise `unknown`), and
owners simulated from the knowledge base (a cause drawn from the priors, states from its rows, `unknown` as often as it
says that owners cannot answer). Everybody answers seven questions here; where the program would have stopped is counted
apart. The fixed order is chosen in hindsight on the same owners: at each place the question worth most on average.
Usage:

    python benchmarks/policy.py CASES_DIR [CASES_DIR ...] [--owners 400] [--constants] [--write docs]
"""

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from figures import place, rows

from nandoctor import evaluation
from nandoctor.consultation import Consultation
from nandoctor.inference import inquiry
from nandoctor.inference.tables import NONE_OF_THESE
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase

SEED = 11
MOST = 7  # questions everybody answers where policies are compared
LEARN = 120  # owners on whom the fixed order is chosen
LOGGED = (
    "nan_onset",
    "loss_before_nan",
    "first_loss",
    "nonfinite_where",
    "after_nan",
    "lr_value",
)  # any log shows these
KINDS = {"run": "runs", "reported": "reported cases"}
CONSTANTS = ("PATIENCE", "UNKNOWN", "FIXED_MINUTES", "CERTAIN", "WORTH_BITS")
SETTINGS = [  # other values; with an UNKNOWN of 1 every question counts alike
    (7.0, 1.0, 10.0, 0.995, 0.01),
    (7.0, 1.0, 5.0, 0.995, 0.01),
    (10.0, 1.0, 5.0, 0.995, 0.01),
    (12.0, 2.0, 10.0, 0.995, 0.01),
    (12.0, 2.0, 4.0, 0.98, 0.02),
    (12.0, 2.0, 5.0, 0.998, 0.005),
]


class Owner(NamedTuple):
    """Somebody with a failing run: what is known at the start, what they answer, whether a consultation is right."""

    start: Consultation
    answer: Callable[[str], str]
    right: Callable[[Consultation], bool]


class Course(NamedTuple):
    """One consultation of seven questions: per number of questions whether the first cause is right, and minutes."""

    right: list[bool]
    minutes: list[float]
    certain: int  # questions until one class of remedies holds the share that ends a consultation


Chooser = Callable[[Consultation, random.Random], str]


def case_owner(case: evaluation.Case, kb: KnowledgeBase) -> Owner:
    def answer(name: str) -> str:
        state = case.answers.get(name) or case.experiments.get(name) or "unknown"
        return state if kb.observations[name].state(state) else "unknown"

    def right(consultation: Consultation) -> bool:
        return evaluation.compare(case, consultation.belief.ranking, consultation.belief.verdict())[0]

    return Owner(evaluation.open_case(case, kb, "consult"), answer, right)


def simulated_owner(kb: KnowledgeBase, chooser: random.Random, log: bool) -> Owner:
    """An owner drawn from the knowledge base; with `log`, what any log shows is known at the start."""
    tables = Consultation(kb).tables
    causes = [c for c in tables.causes if c != NONE_OF_THESE]
    cause = chooser.choices(causes, weights=[tables.priors[tables.causes.index(c)] for c in causes])[0]
    place_of = tables.causes.index(cause)
    truth = {n: chooser.choices(tables.states[n], weights=r[place_of])[0] for n, r in sorted(tables.rows.items())}
    knows = {name for name, item in sorted(kb.observations.items()) if chooser.random() < item.answerable}
    start = Consultation(kb)
    for name in LOGGED if log else ():
        start = start.answer(name, truth[name], asked=False)
    return Owner(
        start,
        lambda name: truth[name] if name in knows else "unknown",
        lambda consultation: consultation.belief.ranking[0][0] == cause,
    )


def open_questions(consultation: Consultation) -> list[str]:
    known = {name: item.state for name, item in consultation.belief.evidence.items()}
    return [
        o.id
        for o in consultation.kb.observations.values()
        if o.question and o.id not in known and o.id not in consultation.asked and inquiry.applies(o, known)
    ]


def worth(consultation: Consultation) -> dict[str, float]:
    """Expected gain per minute of each open question, as the program reckons it."""
    found = inquiry.ranked_questions(consultation.belief, consultation.kb, consultation.asked)
    return {q.observation: q.gain / (q.minutes + inquiry.FIXED_MINUTES) for q in found}


def by_worth(consultation: Consultation, _: random.Random) -> str:
    return next(iter(worth(consultation)), "")


def by_gain(consultation: Consultation, _: random.Random) -> str:
    found = inquiry.ranked_questions(consultation.belief, consultation.kb, consultation.asked)
    return max(found, key=lambda q: (q.gain, q.observation)).observation if found else ""


def at_random(consultation: Consultation, chooser: random.Random) -> str:
    found = open_questions(consultation)
    return chooser.choice(found) if found else ""


def in_order(order: Sequence[str]) -> Chooser:
    def choose(consultation: Consultation, _: random.Random) -> str:
        found = set(open_questions(consultation))
        return next((name for name in order if name in found), "")

    return choose


def best_order(owners: Sequence[Owner]) -> list[str]:
    """At each place the question with the highest worth on average over the owners, given the answers before it."""
    order: list[str] = []
    states = [owner.start for owner in owners]
    for _ in range(2 * MOST):  # longer than seven: known and senseless questions are passed over
        total: dict[str, float] = {}
        for state in states:
            for name, value in worth(state).items():
                total[name] = total.get(name, 0.0) + value
        left = {name: value for name, value in total.items() if name not in order}
        if not left:
            break
        name = max(left, key=lambda n: (left[n], n))
        order.append(name)
        states = [
            state.answer(name, owner.answer(name)) if name in open_questions(state) else state
            for state, owner in zip(states, owners, strict=True)
        ]
    return order


def certain(consultation: Consultation) -> bool:
    mass: dict[int, float] = {}
    belief = consultation.belief
    for probability, cls in zip(belief.sets, inquiry.remedy_classes(belief, consultation.kb), strict=True):
        mass[cls] = mass.get(cls, 0.0) + probability
    return max(mass.values()) >= inquiry.CERTAIN


def run(owner: Owner, choose: Chooser, chooser: random.Random) -> Course:
    state, minutes, ended = owner.start, 0.0, None
    course = Course([owner.right(state)], [0.0], 0)
    for number in range(MOST):
        if ended is None and certain(state):
            ended = number
        name = choose(state, chooser)
        if name:
            minutes += state.kb.observations[name].minutes
            state = state.answer(name, owner.answer(name))
        course.right.append(owner.right(state))
        course.minutes.append(minutes)
    return course._replace(certain=MOST if ended is None else ended)


def comparison(title: str, owners: Sequence[Owner]) -> str:
    """The four policies on the same owners, as a Markdown section."""
    policies: list[tuple[str, Chooser]] = [
        ("gain per minute (the program's)", by_worth),
        ("gain, whatever it costs", by_gain),
        ("best fixed order, in hindsight", in_order(best_order(owners[:LEARN]))),
        ("random order", at_random),
    ]
    most = MOST
    lines = []
    for name, choose in policies:
        chooser = random.Random(SEED)
        courses = [run(owner, choose, chooser) for owner in owners]
        size = len(courses)
        lines.append([
            name,
            *(f"{100 * sum(c.right[k] for c in courses) / size:.1f}" for k in range(most + 1)),
            f"{sum(c.minutes[most] for c in courses) / size:.1f}",
            f"{sum(c.certain for c in courses) / size:.2f}",
        ])  # fmt: skip
    head = [f"{title} ({len(owners)})", *(f"k = {k}" for k in range(most + 1)), "minutes for 7", "questions until sure"]
    return rows(head, lines)


class Figures(NamedTuple):
    """A consultation that ends when the program ends it."""

    first: float
    three: float
    mean: float
    most: int
    unknown: float
    experiments: float
    minutes: float


def consulted(cases: Sequence[evaluation.Case], opened: Sequence[Consultation], kb: KnowledgeBase) -> Figures:
    size = len(cases)
    first = three = asked_of_all = most = unknown = tests = 0
    minutes = 0.0
    for case, start in zip(cases, opened, strict=True):
        end, asked = evaluation.consult(start, case)
        right, among = evaluation.compare(case, end.belief.ranking, end.belief.verdict())
        first += right
        three += among
        asked_of_all += len(asked)
        most = max(most, len(asked))
        unknown += sum(state == "unknown" for _, state in asked)
        tests += sum(kb.observations[name].kind == "experiment" for name, _ in asked)
        minutes += sum(kb.observations[name].minutes for name, _ in asked)
    return Figures(100 * first / size, 100 * three / size, asked_of_all / size, most, unknown / size, tests / size,
                   minutes / size)  # fmt: skip


def verdicts(groups: dict[str, list[evaluation.Case]], kb: KnowledgeBase) -> str:
    """The verdict after a consultation against the one with every answer given at once."""
    lines = []
    for name, cases in groups.items():
        found = consulted(cases, [evaluation.open_case(c, kb, "consult") for c in cases], kb)
        outcomes = evaluation.evaluate(cases, kb, "all")
        at_once = 100 * sum(o.first for o in outcomes) / len(outcomes)
        three = 100 * sum(o.among_three for o in outcomes) / len(outcomes)
        lines.append([
            f"{name} ({len(cases)})", f"{at_once:.1f} / {three:.1f}", f"{found.first:.1f} / {found.three:.1f}",
            f"{found.first - at_once:+.1f}", f"{found.mean:.2f}, {found.most}", f"{found.unknown:.2f}",
            f"{found.experiments:.2f}", f"{found.minutes:.1f}",
        ])  # fmt: skip
    head = ["", "all answers at once: first / three", "consultation: first / three", "difference",
            "questions: mean, most", "of these unknown", "experiments", "minutes"]  # fmt: skip
    return rows(head, lines)


def constants(groups: dict[str, list[evaluation.Case]], kb: KnowledgeBase) -> str:
    """The consultation under other values of the constants of `nandoctor.inference.inquiry`."""
    opened = {name: [evaluation.open_case(c, kb, "consult") for c in cases] for name, cases in groups.items()}
    kept = tuple(getattr(inquiry, name) for name in CONSTANTS)
    lines = []
    for setting in dict.fromkeys((kept, *SETTINGS)):
        _set(setting)
        cells = []
        for name, cases in groups.items():
            f = consulted(cases, opened[name], kb)
            cells.append(f"{f.first:.1f} / {f.three:.1f} / {f.mean:.2f} / {f.experiments:.2f}")
        lines.append([*setting, *cells, "set" if setting == kept else ""])
    _set(kept)
    return rows([*CONSTANTS, *(f"{n}: first / three / questions / experiments" for n in groups), ""], lines)


def _set(values: Sequence[float]) -> None:
    for name, value in zip(CONSTANTS, values, strict=True):
        setattr(inquiry, name, value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path, nargs="+")
    parser.add_argument("--owners", type=int, default=400)
    parser.add_argument("--constants", action="store_true", help="also try other values of the constants")
    parser.add_argument("--only-constants", action="store_true", help="try them, and nothing else")
    parser.add_argument("--write", type=Path, help="folder with policy.md, whose figures are replaced")
    options = parser.parse_args()
    kb = load_knowledge()
    groups: dict[str, list[evaluation.Case]] = {}
    for folder in options.cases:
        for case in evaluation.load_cases(folder):
            groups.setdefault(KINDS.get(case.kind, case.kind), []).append(case)
    if options.only_constants:
        print(constants(groups, kb))
        return
    parts = [("verdict", verdicts(groups, kb))]
    owners = {name: [case_owner(case, kb) for case in cases] for name, cases in groups.items()}
    for name, log in (("simulated owners with a log", True), ("simulated owners with nothing", False)):
        chooser = random.Random(SEED)
        owners[name] = [simulated_owner(kb, chooser, log) for _ in range(options.owners)]
    for people in owners.values():  # the fixed order is chosen on the first of them
        random.Random(SEED).shuffle(people)
    parts.append(("policies", "\n".join(comparison(name, people) for name, people in owners.items())))
    if options.constants:
        parts.append(("constants", constants(groups, kb)))
    for block, text in parts:
        print(text)
        if options.write:
            place(options.write / "policy.md", block, text)


if __name__ == "__main__":
    main()
