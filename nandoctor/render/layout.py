"""A diagnosis as a view needs it: every id turned into words, ranked, shortened, nothing typeset yet.

Text, Markdown and HTML show the same `Report`; it decides what is shown by default and what only with details.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, Literal, TypeVar

import msgspec

from nandoctor.diagnosis import Band, Diagnosis, FileEdit, Finding, RankedCause, Step, Weighed
from nandoctor.kb.frameworks import ANYBODY
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render.verdict import verdicts
from nandoctor.render.words import Words, run_range
from nandoctor.source import Location, printable

NONE_OF_THESE = "none-of-these"
FINE = ("healthy", "benign-nan")  # the causes that are no fault
DETAILED_CAUSES = 3
DETAILED_FROM = 0.05  # a cause below this is a remark, not a suspect
MENTIONED_FROM = 0.02
SUPPORT_SHOWN = 3  # the top three for and the top two against are what people read
AGAINST_SHOWN = 2
FAINT = 0.5  # decibans; less moves a probability of one half by less than three points
STEPS_SHOWN = 5
STEP_FROM = 0.03  # a later step with less chance is not worth its lines
FULL_STEPS = 2  # later steps show their edit, but neither instructions nor the way to verify them
CODE_SHOWN = 2  # code of the framework, for the first fixes only
SECOND_SHOWN = 5
OTHERS_SHOWN = 5
EDITS_SHOWN = 4
FINDINGS_SHOWN = 6
UNCHECKED_SHOWN = 5

T = TypeVar("T")


class Shortened(msgspec.Struct, Generic[T], frozen=True):
    """The first items of a longer list, and how many more there are."""

    shown: tuple[T, ...] = ()
    more: int = 0


def shortened(items: Sequence[T], limit: int | None) -> Shortened[T]:
    """At most `limit` items; None: all of them."""
    shown = tuple(items[:limit])
    return Shortened(shown, len(items) - len(shown))


class Claim(msgspec.Struct, frozen=True):
    """A piece of evidence in words. `origin` says who told it where there is no line."""

    text: str
    places: tuple[Location, ...]
    origin: str
    decibans: float


class CauseView(msgspec.Struct, frozen=True):
    """A cause with the evidence that is shown."""

    rank: int
    id: str
    title: str
    summary: str
    band: str
    band_id: Band
    probability: float
    support: Shortened[Claim]
    against: Shortened[Claim]


class StepView(msgspec.Struct, frozen=True):
    """A step of a plan in words. `steps` are instructions; empty where an edit or code says it all."""

    number: int
    id: str
    kind: Literal["fix", "experiment"]
    title: str
    success: float
    minutes: float
    masks: bool
    tried: bool
    tells: tuple[str, ...]
    edits: Shortened[FileEdit]
    patch: str
    steps: tuple[str, ...]
    snippet: str
    snippet_framework: str
    verify: str
    harm: str


class FindingView(msgspec.Struct, frozen=True):
    """What a check found, in words."""

    severity: Literal["error", "warning", "note"]
    word: str
    text: str
    places: tuple[Location, ...]
    edits: tuple[FileEdit, ...]


class Report(msgspec.Struct, frozen=True):
    """Everything a view typesets."""

    files: tuple[str, ...]  # one piece of the header each
    causes: tuple[CauseView, ...]
    others: Shortened[CauseView]  # mentioned on one line
    ruled_out: tuple[tuple[str, Claim], ...]
    contradictions: tuple[str, ...]
    plan: tuple[StepView, ...]
    later: tuple[StepView, ...]
    diagnostic: tuple[StepView, ...]  # empty if it is the same plan
    findings: Shortened[FindingView]
    unchecked: Shortened[tuple[str, str, str]]  # observation, because, how
    question: str
    answer_option: str  # how to answer it on the command line
    what_if: tuple[str, ...]
    verdicts: tuple[str, ...]  # the last line, longest first; a view takes the first that fits


def build(diagnosis: Diagnosis, kb: KnowledgeBase, lang: str, *, details: bool = False) -> Report:
    """The report of a diagnosis in `lang`; with `details` nothing is left out."""
    words = Words(kb, lang)
    causes, others = _causes(diagnosis, words, details)
    fine = diagnosis.verdict in ("healthy", "benign")
    steps = [s for s in diagnosis.fastest if not fine or set(s.cures) & set(FINE)]
    plan, later = _plan(steps, words, details)
    same = [s.id for s in diagnosis.fastest] == [s.id for s in diagnosis.diagnostic]
    second = (
        () if same or fine else tuple(_step(s, n, words) for n, s in enumerate(diagnosis.diagnostic[:SECOND_SHOWN], 1))
    )
    shown = {place for cause in causes for claim in cause.support.shown + cause.against.shown for place in claim.places}
    shown |= {edit.location for step in plan for edit in step.edits.shown}
    found = [f for f in diagnosis.findings if details or not (f.locations and set(f.locations) <= shown)]
    found.sort(key=lambda f: ("error", "warning", "note").index(f.severity))
    unchecked = _unchecked(diagnosis, words)
    if fine and unchecked and not details:  # nothing hangs on it; the names are enough
        unchecked = [(words.listed(dict.fromkeys(name for name, _, _ in unchecked)), "", "")]
    question, option = ("", "") if fine else _question(diagnosis, words)
    return Report(
        files=_files(diagnosis, words),
        causes=causes,
        others=shortened(others, None if details else OTHERS_SHOWN),
        ruled_out=tuple(
            (words.cause(cause), _claim(weighed, words))
            for cause, weighed in (() if fine and not details else diagnosis.ruled_out)
        ),
        contradictions=tuple(
            words(
                "report.contradiction",
                observation=words.observation(item.observation),
                kept=words.state(item.observation, item.kept.state),
                kept_from=_source(item.kept.locations, item.kept.origin, words),
                other=words.state(item.observation, item.overruled.state),
                other_from=_source(item.overruled.locations, item.overruled.origin, words),
            )
            for item in diagnosis.contradictions
        ),
        plan=plan,
        later=later,
        diagnostic=second,
        findings=shortened([_finding(f, words) for f in found], None if details else FINDINGS_SHOWN),
        unchecked=shortened(unchecked, None if details else UNCHECKED_SHOWN),
        question=question,
        answer_option=option,
        what_if=tuple(
            words(
                "report.what-if",
                observation=words.observation(observation),
                state=words.state(observation, state),
                cause=words.cause(cause),
            )
            for observation, state, cause in (() if fine else diagnosis.what_if[: None if details else 2])
        ),
        verdicts=verdicts(diagnosis, words),
    )


# --- the parts


def _claim(weighed: Weighed, words: Words) -> Claim:
    text = words.weighed(weighed)
    if not text:
        state = words.state(weighed.observation, weighed.state)
        text = words.pair(words.observation(weighed.observation), state)
    return Claim(text, weighed.locations, words("origin." + weighed.origin), weighed.decibans)


def _source(places: Sequence[Location], origin: str, words: Words) -> str:
    return str(places[0]) if places else words("origin." + origin)


def _cause(ranked: RankedCause, rank: int, words: Words, details: bool) -> CauseView:
    cause = words.kb.causes.get(ranked.id)

    def claims(weighed: Sequence[Weighed], limit: int) -> Shortened[Claim]:
        telling = [_claim(w, words) for w in weighed if details or abs(w.decibans) >= FAINT]
        return shortened(telling, None if details else limit)

    support, against = ranked.by_finding()
    return CauseView(
        rank,
        ranked.id,
        words.cause(ranked.id),
        cause.summary.get(words.lang) if cause else "",
        words.band(ranked.band),
        ranked.band,
        ranked.probability,
        claims(support, SUPPORT_SHOWN),
        claims(against, AGAINST_SHOWN),
    )


def _causes(diagnosis: Diagnosis, words: Words, details: bool) -> tuple[tuple[CauseView, ...], tuple[CauseView, ...]]:
    ranked = sorted(diagnosis.causes, key=lambda c: -c.probability)
    ranks = {cause.id: rank for rank, cause in enumerate(ranked, 1)}
    mentioned = [c for c in ranked if c.probability >= MENTIONED_FROM]
    if diagnosis.verdict in ("healthy", "benign"):
        shown = [c for c in ranked if c.id in FINE][:1]
        first = next((c for c in ranked if c.id not in (*FINE, NONE_OF_THESE)), None)
        others = [first] if first in mentioned else []
    elif details:
        shown, others = mentioned or ranked[:1], []
    else:
        known = [c for c in ranked if c.id != NONE_OF_THESE]
        detailed = [c for n, c in enumerate(known) if n == 0 or c.probability >= DETAILED_FROM][:DETAILED_CAUSES]
        ids = {c.id for c in detailed}
        shown = [c for c in ranked if c.id in ids or (c.id == NONE_OF_THESE and c.probability >= DETAILED_FROM)]
        others = [c for c in mentioned if c not in shown]

    def views(part: Sequence[RankedCause]) -> tuple[CauseView, ...]:
        return tuple([_cause(cause, ranks[cause.id], words, details) for cause in part])

    return views(shown), views(others)


def _step(
    step: Step, position: int, words: Words, *, code: bool = False, full: bool = False, details: bool = False
) -> StepView:
    remedy = words.kb.remedies.get(step.id)
    lang = words.lang
    snippet = step.snippet if details or (code and not step.edits) else ""
    instructions = words.instructions(step) if details or (full and not step.edits) else ()
    if snippet and step.framework in ANYBODY:  # whose code it is, the owner cannot know
        instructions += (words("talk.snippet", framework=words.framework(step.snippet_framework)),)
    return StepView(
        position,
        step.id,
        step.kind,
        words.remedy(step.id),
        step.success,
        step.minutes,
        step.masks,
        step.tried,
        tuple(words.cause(cause) for cause in step.tells),
        shortened(step.edits, None if details else EDITS_SHOWN),
        step.patch,
        instructions,
        snippet,
        words.framework(step.snippet_framework) if step.snippet_framework else "",
        remedy.verify.get(lang) if remedy and full else "",
        remedy.harm.get(lang) if remedy and remedy.harm and full else "",
    )


def _plan(steps: Sequence[Step], words: Words, details: bool) -> tuple[tuple[StepView, ...], tuple[StepView, ...]]:
    shown: list[StepView] = []
    later: list[StepView] = []
    code = CODE_SHOWN
    for position, step in enumerate(steps, 1):
        worth = position == 1 or step.kind == "experiment" or step.success >= STEP_FROM
        if details or (worth and len(shown) < STEPS_SHOWN):
            with_code = details or (step.kind == "fix" and code > 0)
            full = with_code or position <= FULL_STEPS
            shown.append(_step(step, position, words, code=with_code, full=full, details=details))
            code -= step.kind == "fix"
        else:
            later.append(_step(step, position, words))
    return tuple(shown), tuple(later)


def _unchecked(diagnosis: Diagnosis, words: Words) -> list[tuple[str, str, str]]:
    """What could not be checked, why, how it could; observations with the same reason and remedy are one entry."""
    grouped: dict[tuple[str, str], dict[str, None]] = {}
    for item in diagnosis.could_not_check:
        key = (words.note(item.because), words.note(item.how) if item.how else "")
        grouped.setdefault(key, {})[words.observation(item.observation)] = None
    return [(words.listed(names), because, how) for (because, how), names in grouped.items()]


def _finding(finding: Finding, words: Words) -> FindingView:
    return FindingView(
        finding.severity,
        words("severity." + finding.severity),
        words.note(finding.message),
        finding.locations,
        finding.edits,
    )


def _question(diagnosis: Diagnosis, words: Words) -> tuple[str, str]:
    question = diagnosis.next_question
    observation = words.kb.observations.get(question.observation) if question else None
    if question is None or observation is None:
        return "", ""
    text = observation.question.get(words.lang) if observation.question else observation.title.get(words.lang)
    return text, f"--answer {question.observation}={'|'.join(state.id for state in observation.states)}"


def _files(diagnosis: Diagnosis, words: Words) -> tuple[str, ...]:
    """`train.log (Caffe, iterations 0 to 1000)`, then every other file that something was read from."""
    pieces, named = [], set()
    for run in diagnosis.runs:
        named |= set(run.files)
        facts = []
        if run.framework or diagnosis.framework:
            facts.append(words.framework(run.framework or diagnosis.framework))
        facts.append(run_range(run, words))
        pieces.append(f"{', '.join(map(printable, run.files))} ({words.listed(filter(None, facts))})")
        if run.several_runs > 1:
            pieces.append(words("report.several-runs", count=run.several_runs))
    if not diagnosis.runs:
        pieces.append(words("report.no-log"))
    places: Iterable[Location] = (
        place
        for group in (
            [e.locations for e in diagnosis.observations],
            [f.locations for f in diagnosis.findings],
            [(edit.location,) for step in diagnosis.fastest for edit in step.edits],
        )
        for locations in group
        for place in locations
    )
    for place in places:
        if place.file not in named:
            named.add(place.file)
            pieces.append(printable(place.file))
    return tuple(pieces)
