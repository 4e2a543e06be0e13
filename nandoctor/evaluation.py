"""How right the diagnosis is on labelled cases: accuracy, calibration, false alarms, onset, questions asked.

Only a case's files, `answers`, `description` and, when its question is asked, `experiments` reach the program; the id,
the path and everything else stay hidden.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nandoctor.consultation import Consultation
from nandoctor.errors import UnreadableError
from nandoctor.kb.model import KnowledgeBase
from nandoctor.kb.yamlnode import build, compose
from nandoctor.readers.series import onset

LOG_FILES = ("train.log", "train.jsonl", "metrics.csv", "trainer_state.json", "scalars.json")
FINE = ("healthy", "benign-nan")


class Case(msgspec.Struct, frozen=True):
    """A labelled case folder; `files` by role."""

    folder: Path
    id: str
    kind: str
    framework: str
    causes: tuple[str, ...]  # planted or confirmed; more than one: all must be found
    acceptable: tuple[str, ...]
    answers: dict[str, str]
    experiments: dict[str, str]
    description: str
    onset: int | None
    onset_line: int | None
    has_onset: bool  # the label says anything about the onset
    logs: tuple[str, ...]
    net: str
    solver: str


class Outcome(msgspec.Struct, frozen=True):
    """What came out for one case."""

    case: str
    kind: str
    framework: str
    truth: tuple[str, ...]
    ranking: tuple[tuple[str, float], ...]
    verdict: str
    first: bool
    among_three: bool
    confidence: float  # in what the program puts first
    onset_right: bool | None
    questions: int
    seconds: float
    asked: tuple[tuple[str, str], ...] = ()
    error: str = ""

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong with this run."""
        return self.truth[0] in FINE


def load_case(folder: Path) -> Case:
    """One case folder.

    Raises:
        KnowledgeError: its case.yaml cannot be read.
    """
    path = folder / "case.yaml"
    data: Any = build(compose(path.read_text(encoding="utf-8"), str(path)), str(path))
    present = {entry.name for entry in folder.iterdir()}
    logs = [name for name in LOG_FILES if name in present]
    logs += sorted(name for name in present if name.endswith(".cfg"))
    marked = data.get("onset")
    text = {key: {str(k): str(v) for k, v in (data.get(key) or {}).items()} for key in ("answers", "experiments")}
    return Case(
        folder=folder,
        id=str(data["id"]),
        kind=str(data.get("kind", "run")),
        framework=str(data.get("framework", "")),
        causes=tuple(data.get("causes") or (data["cause"],)),
        acceptable=tuple(data.get("also_acceptable") or ()),
        answers=text["answers"],
        experiments=text["experiments"],
        description=str(data.get("description") or ""),
        onset=marked if isinstance(marked, int) else None,
        onset_line=data.get("onset_line") if isinstance(data.get("onset_line"), int) else None,
        has_onset="onset" in data and (marked is None or isinstance(marked, int)),
        logs=tuple(str(folder / name) for name in logs),
        net=str(folder / "train_val.prototxt") if "train_val.prototxt" in present else "",
        solver=str(folder / "solver.prototxt") if "solver.prototxt" in present else "",
    )


def load_cases(folder: Path) -> list[Case]:
    """Every case below a folder, in the order of paths.

    Raises:
        UnreadableError: there is none.
    """
    found = [load_case(path.parent) for path in sorted(folder.rglob("case.yaml"))]
    if not found:
        raise UnreadableError(f"{folder}: no case folder (with a case.yaml) here")
    return found


def open_case(case: Case, kb: KnowledgeBase, mode: str) -> Consultation:
    """The consultation on what the mode lets through: `files`, `all` (files, answers, words), `words`, `consult`."""
    files = mode != "words"
    return Consultation.open(
        kb=kb,
        log=case.logs if files else (),
        net=case.net if files else "",
        solver=case.solver if files else "",
        answers={k: v for k, v in case.answers.items() if k in kb.observations} if mode == "all" else {},
        describe=case.description if mode != "files" else "",
    )


def consult(consultation: Consultation, case: Case) -> tuple[Consultation, list[tuple[str, str]]]:
    """The simulated owner: answers from the case, experiments when asked, `unknown` otherwise."""
    asked: list[tuple[str, str]] = []
    while (question := consultation.next_question()) is not None:
        state = case.answers.get(question.observation) or case.experiments.get(question.observation) or "unknown"
        known = consultation.kb.observations[question.observation].state(state)
        state = state if known else "unknown"
        asked.append((question.observation, state))
        consultation = consultation.answer(question.observation, state)
    return consultation, asked


def compare(case: Case, ranking: Sequence[tuple[str, float]], verdict: str) -> tuple[bool, bool]:
    """(right first, right among three). Healthy and benign stand for each other; several causes must all be found."""
    right = {*case.causes, *case.acceptable}
    causes = [cause for cause, _ in ranking]
    if case.causes[0] in FINE:
        first = verdict in ("healthy", "benign")
        return first, first or any(cause in FINE for cause in causes[:3])
    if len(case.causes) > 1:
        return set(case.causes) <= set(causes[: len(case.causes)]), set(case.causes) <= set(causes[:3])
    return causes[0] in right, any(cause in right for cause in causes[:3])


def judge(case: Case, kb: KnowledgeBase, mode: str) -> Outcome:
    """Runs one case and compares. Never raises: an exception is the outcome's `error`, and the case counts as wrong."""
    started = time.perf_counter()
    asked: list[tuple[str, str]] = []
    try:
        consultation = open_case(case, kb, mode)
        if mode == "consult":
            consultation, asked = consult(consultation, case)
        if mode == "experiments":
            for observation, state in {**case.answers, **case.experiments}.items():
                if (known := kb.observations.get(observation)) and known.state(state):
                    consultation = consultation.answer(observation, state, asked=False)
        ranking = consultation.belief.ranking
        verdict = consultation.belief.verdict()
        error = ""
    except Exception as exc:  # a crash is a result here, and the table shows it
        ranking, verdict, error = (("none-of-these", 1.0),), "undetermined", f"{type(exc).__name__}: {exc}"
        consultation = Consultation(kb)
    seconds = time.perf_counter() - started
    first, three = compare(case, ranking, verdict)
    return Outcome(
        case=case.id,
        kind=case.kind,
        framework=case.framework,
        truth=case.causes,
        ranking=ranking[:6],
        verdict=verdict,
        first=first,
        among_three=three,
        confidence=ranking[0][1],
        onset_right=_onset_right(case, consultation) if mode != "words" and case.logs else None,
        questions=len(asked),
        seconds=seconds,
        asked=tuple(asked),
        error=error,
    )


def _onset_right(case: Case, consultation: Consultation) -> bool | None:
    if not case.has_onset and case.onset_line is None:
        return None
    run = consultation.ingested.run
    found = onset(run) if run else None
    if found is None:
        return case.onset is None and case.onset_line is None
    if case.onset is None and case.onset_line is None:
        return False
    reading = found[1]
    step_right = case.onset is None or reading.step == case.onset
    return step_right and (case.onset_line is None or reading.line == case.onset_line)


def evaluate(
    cases: Iterable[Case], kb: KnowledgeBase, mode: str, progress: Callable[[int], None] | None = None
) -> list[Outcome]:
    """All outcomes of one mode."""
    out = []
    for number, case in enumerate(cases, 1):
        out.append(judge(case, kb, mode))
        if progress:
            progress(number)
    return out


class Interval(msgspec.Struct, frozen=True):
    """A share with its 95 % bootstrap interval."""

    share: float
    low: float
    high: float


def share(flags: Sequence[bool], seed: int = 7, rounds: int = 1000) -> Interval:
    """The share of true values with a 95 % percentile bootstrap interval (1,000 resamples, fixed seed)."""
    if not flags:
        return Interval(0.0, 0.0, 0.0)
    chooser = random.Random(seed)
    count = len(flags)
    draws = sorted(sum(chooser.choices(flags, k=count)) / count for _ in range(rounds))
    return Interval(sum(flags) / count, draws[int(0.025 * rounds)], draws[int(0.975 * rounds)])


def calibration_error(outcomes: Sequence[Outcome], bins: int = 10) -> float:
    """Expected calibration error of the first cause: weighted mean over equal bins of |confidence - accuracy|."""
    table: list[list[Outcome]] = [[] for _ in range(bins)]
    for item in outcomes:
        table[min(int(item.confidence * bins), bins - 1)].append(item)
    total = len(outcomes) or 1
    return sum(abs(sum(o.confidence for o in group) - sum(o.first for o in group)) / total for group in table if group)


def brier(outcomes: Sequence[Outcome]) -> float:
    """Mean squared error of the first cause's probability against being right."""
    return sum((o.confidence - o.first) ** 2 for o in outcomes) / (len(outcomes) or 1)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Every figure of one mode, as plain data."""
    fine = [o for o in outcomes if o.fine]
    faulty = [o for o in outcomes if not o.fine]
    known = [o.onset_right for o in outcomes if o.onset_right is not None]
    causes: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        causes.setdefault(outcome.truth[0], []).append(outcome)
    return {
        "cases": len(outcomes),
        "first": msgspec.to_builtins(share([o.first for o in outcomes])),
        "among_three": msgspec.to_builtins(share([o.among_three for o in outcomes])),
        "healthy_called_faulty": [o.case for o in fine if o.verdict == "fault"],
        "faulty_called_fine": [o.case for o in faulty if o.verdict in ("healthy", "benign")],
        "onset_right": sum(known),
        "onset_known": len(known),
        "onset_wrong": [o.case for o in outcomes if o.onset_right is False],
        "brier": brier(outcomes),
        "calibration_error": calibration_error(outcomes),
        "questions_mean": sum(o.questions for o in outcomes) / (len(outcomes) or 1),
        "questions_most": max((o.questions for o in outcomes), default=0),
        "seconds_mean": sum(o.seconds for o in outcomes) / (len(outcomes) or 1),
        "seconds_most": max((o.seconds for o in outcomes), default=0.0),
        "errors": {o.case: o.error for o in outcomes if o.error},
        "per_cause": {
            cause: {
                "cases": len(items),
                "first": sum(o.first for o in items),
                "among_three": sum(o.among_three for o in items),
            }
            for cause, items in sorted(causes.items())
        },
    }


def table(results: dict[str, list[Outcome]], form: str, misses: bool = False) -> str:
    """The figures of each mode as text or JSON."""
    if form == "json":
        data = {mode: summary(outcomes) for mode, outcomes in results.items()}
        if misses:
            for mode, outcomes in results.items():
                data[mode]["misses"] = [msgspec.to_builtins(o) for o in outcomes if not o.first]
        return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
    lines = []
    for mode, outcomes in results.items():
        figures = summary(outcomes)
        lines += [f"{mode}: {figures['cases']} cases", *_figure_lines(figures), ""]
        lines += ["  cause                              cases  first  among three"]
        lines += [
            f"  {cause:<34} {row['cases']:>5}  {row['first']:>5}  {row['among_three']:>11}"
            for cause, row in figures["per_cause"].items()
        ]
        lines += ["", *_confusions(outcomes), ""]
        if misses:
            lines += [
                f"  {o.case}: {' + '.join(o.truth)}, found "
                + ", ".join(f"{cause} {p:.2f}" for cause, p in o.ranking[:3])
                for o in outcomes
                if not o.first
            ]
    return "\n".join(lines).rstrip() + "\n"


def _figure_lines(figures: dict[str, Any]) -> list[str]:
    def interval(name: str) -> str:
        row = figures[name]
        return f"{row['share']:6.1%}  ({row['low']:.1%} to {row['high']:.1%})"

    rows = [
        ("right cause first", interval("first")),
        ("right cause among three", interval("among_three")),
        ("healthy or benign called faulty", str(len(figures["healthy_called_faulty"]))),
        ("faults called fine", str(len(figures["faulty_called_fine"]))),
        ("onset right", f"{figures['onset_right']} of {figures['onset_known']}"),
        ("Brier score, calibration error", f"{figures['brier']:.3f}, {figures['calibration_error']:.3f}"),
        ("questions, mean and most", f"{figures['questions_mean']:.2f}, {figures['questions_most']}"),
        ("seconds, mean and most", f"{figures['seconds_mean']:.3f}, {figures['seconds_most']:.3f}"),
    ]
    rows += [("error in " + case, text) for case, text in figures["errors"].items()]
    return [f"  {label:<34} {value}" for label, value in rows]


def _confusions(outcomes: Sequence[Outcome]) -> list[str]:
    """The most frequent confusions: truth, what came first instead, how often."""
    pairs: dict[tuple[str, str], int] = {}
    for outcome in outcomes:
        if not outcome.first:
            key = (outcome.truth[0], outcome.ranking[0][0])
            pairs[key] = pairs.get(key, 0) + 1
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:15]
    return ["  confused: truth -> came first", *(f"  {n:>3}  {a} -> {b}" for (a, b), n in ordered)] if ordered else []
