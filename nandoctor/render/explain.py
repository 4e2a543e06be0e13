"""One entity of the knowledge base for people, under fixed headings: `nandoctor explain ID`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from nandoctor.errors import UsageError
from nandoctor.inference.tables import distribution
from nandoctor.kb.model import FREQUENCY, PRIOR, Cause, Check, Dialect, KnowledgeBase, Observation, Remedy, State
from nandoctor.render.width import display_width, wrap
from nandoctor.render.words import Words, clean, minutes_text

LIFTS = 1.25  # a state is listed if the cause shows it so many times as often as other runs ...
LOWERS = 0.5  # ... or at most half as often
SHOWN_LINKS = 12
SHOWN_QUESTIONS = 5
MIN_WIDTH = 40
INDENT = "  "
_FIELD = re.compile(r"\{(\w+)[^{}]*\}")


class Link(NamedTuple):
    """A state of an observation as a cause shows it; `ratio` against the background."""

    cause: Cause
    observation: Observation
    state: State
    probability: float
    ratio: float
    because: str = ""

    @property
    def weight(self) -> float:
        """How much the state says on average: p log(p / background)."""
        return self.probability * math.log(self.ratio)


def explain(kb: KnowledgeBase, entity: str, lang: str = "en", width: int = 80) -> str:
    """Everything the knowledge base says about `entity`; several sections where an id names several things.

    Raises:
        UsageError: an unknown id, with the nearest known one.
    """
    page = _Page(kb, lang, max(width, MIN_WIDTH))
    if entity in kb.causes:
        page.cause(kb.causes[entity])
    if entity in kb.observations:
        page.observation(kb.observations[entity])
    if entity in kb.remedies:
        page.remedy(kb.remedies[entity])
    if entity in kb.checks:
        page.check(kb.checks[entity])
    if entity in kb.dialects:
        page.dialect(kb.dialects[entity])
    if not page.lines:
        import difflib

        known = [*kb.causes, *kb.observations, *kb.remedies, *kb.checks, *kb.dialects]
        near = difflib.get_close_matches(entity, known, 3)
        hint = f" (did you mean {' or '.join(f'`{name}`' for name in near)}?)" if near else ""
        raise UsageError(f"unknown id `{entity}`{hint}")
    return "\n".join(map(clean, page.lines)).rstrip("\n") + "\n"


class _Page:
    """A text that grows line by line."""

    def __init__(self, kb: KnowledgeBase, lang: str, width: int) -> None:
        self.kb = kb
        self.lang = lang
        self.width = width
        self.words = Words(kb, lang)
        self.lines: list[str] = []

    # --- layout

    def say(self, message: str, **args: str | float) -> str:
        return self.words(f"explain.{message}", **args)

    def title(self, kind: str, name: str, title: str) -> None:
        if self.lines:
            self.lines.append("")
        head = self.say("head", kind=self.say(kind), id=name)
        self.lines += [*wrap(title, self.width), head, "=" * min(max(display_width(title), len(head)), self.width)]

    def heading(self, message: str) -> None:
        text = self.say(message)
        self.lines += ["", text, "-" * min(display_width(text), self.width)]

    def text(self, text: str, indent: str = "") -> None:
        self.lines += [f"{indent}{line}" for line in wrap(text.strip(), self.width - len(indent))]

    def item(self, text: str, mark: str = "-", indent: str = "") -> None:
        first = f"{indent}{mark} "
        hanging = " " * len(first)
        for number, line in enumerate(wrap(text.strip(), self.width - len(first))):
            self.lines.append((hanging if number else first) + line)

    def code(self, text: str, indent: str = INDENT) -> None:
        self.lines += [f"{indent}{line}".rstrip() for line in text.rstrip("\n").split("\n")]

    def sources(self, sources: Sequence[str]) -> None:
        if sources:
            self.heading("sources")
            self.text(", ".join(sources))

    # --- words

    def frequency(self, probability: float) -> str:
        """The nearest word for a frequency, and the number."""
        word = min(FREQUENCY, key=lambda name: abs(_logit(FREQUENCY[name]) - _logit(probability)))
        return self.say("frequency", word=self.say("word." + word.replace(" ", "-")), percent=_percent(probability))

    def minutes(self, minutes: float) -> str:
        return self.words("report.minutes-n", minutes=minutes_text(minutes))

    def named(self, title: str, name: str) -> str:
        return self.say("named", title=title, id=name)

    def links(self, causes: Iterable[Cause]) -> Iterator[Link]:
        """Every stated link of the causes to an observation that exists."""
        for cause in causes:
            for link in cause.shows:
                observation = self.kb.observations.get(link.observation)
                state = observation.state(link.state) if observation else None
                if observation and state:
                    total = math.fsum(s.background for s in observation.states)
                    ratio = link.probability * total / state.background
                    yield Link(cause, observation, state, link.probability, ratio, link.because)

    # --- the kinds

    def cause(self, cause: Cause) -> None:
        self.title("cause", cause.id, cause.title.get(self.lang))
        self.heading("what-it-is")
        self.text(cause.summary.get(self.lang))
        prior = min(PRIOR, key=lambda word: abs(math.log(PRIOR[word] / cause.prior_probability)))
        word = self.say("prior." + prior.replace(" ", "-"))
        self.text(self.say("prior", word=word, percent=_percent(cause.prior_probability)))
        links = list(self.links([cause]))
        self._signs("shows", sorted((x for x in links if x.ratio >= LIFTS), key=lambda x: -x.weight))
        self._signs("speaks-against", sorted((x for x in links if x.ratio <= LOWERS), key=lambda x: x.ratio))
        if cause.claims:
            self.heading("claims")
            for claim in cause.claims:
                self.item(self.say("claimed", claim=claim.claim.get(self.lang)))
                self.text(self.say("truth", truth=claim.truth.get(self.lang)), INDENT)
        self._cures(cause)
        self._questions(cause, links)
        self.sources(cause.sources)

    def _signs(self, heading: str, links: Sequence[Link]) -> None:
        """The strongest links, one an item."""
        if not links:
            return
        self.heading(heading)
        for link in links[:SHOWN_LINKS]:
            self.item(self._shown(link) + (self.say("because", reason=link.because) if link.because else ""))
        if len(links) > SHOWN_LINKS:
            self.text(self.say("weaker", count=len(links) - SHOWN_LINKS))

    def _shown(self, link: Link) -> str:
        return self.say(
            "shown",
            observation=link.observation.title.get(self.lang),
            state=link.state.label.get(self.lang),
            frequency=self.frequency(link.probability),
            background=_percent(link.probability / link.ratio),
            id=f"{link.observation.id}: {link.state.id}",
        )

    def _cures(self, cause: Cause) -> None:
        if not cause.remedies:
            return
        self.heading("remedies")
        for number, use in enumerate(cause.remedies, start=1):
            remedy = self.kb.remedies.get(use.use)
            if remedy is None:
                continue
            self.item(
                self.say(
                    "remedy-line",
                    remedy=self.named(remedy.title.get(self.lang), remedy.id),
                    minutes=self.minutes(remedy.minutes),
                    frequency=self.frequency(use.probability),
                )
                + (self.say("masks") if use.masks or remedy.masks else ""),
                mark=f"{number}.",
            )
            if remedy.snippets and number == 1:
                self._snippets(remedy, INDENT)
            elif remedy.snippets:
                names = self.words.listed(self.words.framework(name) for name in remedy.snippets)
                self.text(self.say("snippets-for", names=names, id=remedy.id), INDENT + " ")

    def _questions(self, cause: Cause, links: Sequence[Link]) -> None:
        """The questions and experiments whose answer says most about this cause: relative entropy to other runs."""
        stated: dict[str, dict[str, float]] = {}
        for link in links:
            stated.setdefault(link.observation.id, {})[link.state.id] = link.probability
        gain = {}
        for name, said in stated.items():
            observation = self.kb.observations[name]
            row, background = distribution(observation, said), distribution(observation, {})
            gain[name] = math.fsum(p * math.log(p / b) for p, b in zip(row, background))
        telling = [
            self.kb.observations[name]
            for name in sorted(gain, key=lambda name: (-gain[name], name))
            if self.kb.observations[name].question
        ][:SHOWN_QUESTIONS]
        if telling:
            self.heading("find-out")
            for observation in telling:
                self.item(self._asked(observation))
                if observation.find_out:
                    self.text(observation.find_out.get(self.lang), INDENT)

    def _asked(self, observation: Observation) -> str:
        question = observation.question.get(self.lang) if observation.question else ""
        return self.say("asked", question=question, minutes=self.minutes(observation.minutes), id=observation.id)

    def observation(self, observation: Observation) -> None:
        self.title("observation", observation.id, observation.title.get(self.lang))
        self.heading("what-it-is")
        self.text(self.say(f"kind.{observation.kind}"))
        if observation.question:
            self.text(self._asked(observation))
        for name, states in observation.applies_when.items():
            labels = self.words.listed(self.words.state(name, state) for state in states)
            self.text(self.say("applies-when", observation=self.words.observation(name), states=labels))
        if observation.group:
            others = [o for o in self.kb.observations.values() if o.group == observation.group and o is not observation]
            if others:
                listed = self.words.listed(self.named(o.title.get(self.lang), o.id) for o in others)
                self.text(self.say("group", others=listed))
        self.heading("states")
        links = [link for link in self.links(self.kb.causes.values()) if link.observation is observation]
        for state in observation.states:
            normal = self.say("normal") if state.id == observation.normal else ""
            label = state.label.get(self.lang)
            percent = _percent(state.background)
            self.item(self.say("state", label=label, id=state.id, percent=percent) + normal)
            if state.means:
                self.text(state.means.get(self.lang), INDENT)
            self._causes_of(state, links)
        self._finding_out(observation)
        experiments = [r for r in self.kb.remedies.values() if r.asks == observation.id]
        if experiments:
            self.heading("experiment-for")
            for remedy in experiments:
                minutes = self.minutes(remedy.minutes)
                self.item(
                    self.say("experiment", remedy=self.named(remedy.title.get(self.lang), remedy.id), minutes=minutes)
                )

    def _causes_of(self, state: State, links: Sequence[Link]) -> None:
        """For which causes a state speaks, and against which."""
        own = [link for link in links if link.state is state]
        lifted = sorted((x for x in own if x.ratio >= LIFTS), key=lambda x: (-x.ratio, x.cause.id))
        lowered = sorted((x for x in own if x.ratio <= LOWERS), key=lambda x: (x.ratio, x.cause.id))
        for message, found in (("state-for", lifted), ("state-against", lowered)):
            if found:
                named = self.words.listed(f"{link.cause.id} ({_factor(link.ratio)})" for link in found[:6])
                more = self.say("more", count=len(found) - 6) if len(found) > 6 else ""
                self.text(self.say(message, causes=named + more), INDENT)

    def _finding_out(self, observation: Observation) -> None:
        if not (observation.find_out or observation.find_out_in):
            return
        self.heading("find-out")
        if observation.find_out:
            self.text(observation.find_out.get(self.lang))
        for framework, text in observation.find_out_in.items():
            self.item(self.words.pair(self.words.framework(framework), text.get(self.lang)))

    def remedy(self, remedy: Remedy) -> None:
        kind = "experiment-kind" if remedy.kind == "experiment" else "fix-kind"
        self.title("remedy", remedy.id, remedy.title.get(self.lang))
        self.heading("what-it-is")
        self.text(self.say(kind, minutes=self.minutes(remedy.minutes)))
        if remedy.masks:
            self.text(self.say("masks-always"))
        if remedy.asks:
            self.text(self.say("answers", observation=self.named(self.words.observation(remedy.asks), remedy.asks)))
        if remedy.harm:
            self.text(self.words.pair(self.say("harm"), remedy.harm.get(self.lang)))
        self.heading("steps")
        for number, step in enumerate(remedy.steps, start=1):
            self.item(step.get(self.lang), mark=f"{number}.")
        for framework, steps in remedy.steps_in.items():
            for step in steps:
                self.item(self.words.pair(self.words.framework(framework), step.get(self.lang)))
        self.heading("verify")
        self.text(remedy.verify.get(self.lang))
        if remedy.edits:
            self.heading("edits")
            for edit in remedy.edits:
                what = {"scale": f"× {edit.factor:g}"}.get(edit.action, edit.value)
                where = f"{edit.file} {edit.layer}".strip()
                self.item(f"{where}: {edit.action} {edit.path} {what}".strip())
        if remedy.snippets:
            self.heading("snippets")
            self._snippets(remedy, "")
        uses = [(use, cause) for cause in self.kb.causes.values() for use in cause.remedies if use.use == remedy.id]
        if uses:
            self.heading("cures")
            for use, cause in sorted(uses, key=lambda pair: -pair[0].probability):
                title = self.named(cause.title.get(self.lang), cause.id)
                hides = self.say("masks") if use.masks or remedy.masks else ""
                self.item(self.say("cure", cause=title, frequency=self.frequency(use.probability)) + hides)
        self.sources(remedy.sources)

    def _snippets(self, remedy: Remedy, indent: str) -> None:
        for framework, snippet in remedy.snippets.items():
            self.lines.append(f"{indent}{self.words.pair(self.words.framework(framework), '').rstrip()}")
            self.code(snippet, indent + INDENT)

    def check(self, check: Check) -> None:
        self.title("check", check.id, check.title.get(self.lang))
        self.heading("what-it-is")
        self.text(self.say(f"severity.{check.severity}", on=self.say(f"on.{check.on}")))
        self.text(_FIELD.sub(r"<\1>", check.message.get(self.lang)))
        self.heading("looks-at")
        if check.layer_type:
            self.item(self.words.pair(self.say("layer-types"), ", ".join(check.layer_type)))
        for path, value in check.when.items():
            self.item(f"{path}: {value}")
        if check.detector:
            given = ", ".join(f"{name}={value}" for name, value in check.params.items())
            self.item(self.words.pair(self.say("detector"), f"{check.detector} {given}".strip()))
        if check.loader:
            self.item(self.words.pair(self.say("loader"), check.loader))
        if check.observation and check.state:
            self.heading("says")
            label = self.words.state(check.observation, check.state)
            self.item(self.words.pair(self.named(self.words.observation(check.observation), check.observation), label))
        if check.causes:
            self.heading("points-to")
            for cause in check.causes:
                self.item(self.named(self.words.cause(cause), cause))
        if check.remedies:
            self.heading("remedies")
            for remedy in check.remedies:
                self.item(self.named(self.words.remedy(remedy), remedy))

    def dialect(self, dialect: Dialect) -> None:
        self.title("dialect", dialect.id, dialect.title)
        self.heading("what-it-is")
        self.text(self.say("dialect-is", framework=self.words.framework(dialect.framework) or "-"))
        if dialect.samples:
            self.heading("reads")
            for sample in dialect.samples:
                if sample.match:
                    self.code(sample.line.strip(), "")
                    read = ", ".join(
                        f"{name}={value if isinstance(value, str) else format(value, '.10g')}"
                        for name, value in sample.reads.items()
                    )
                    told = ", ".join(part for part in (read, sample.event) if part)
                    self.text(self.say("read-as", what=told or "-"), INDENT)
        if dialect.events:
            self.heading("events")
            for event in dialect.events:
                said = f"{event.observation}: {event.state}" if event.observation else ""
                what = event.message.get(self.lang) if event.message else said
                self.item(self.words.pair(event.id, what) if what else event.id)


def _percent(probability: float) -> str:
    """`40 %`; below one per cent with a digit more."""
    return f"{100 * probability:.0f}\u00a0%" if probability >= 0.01 else f"{100 * probability:.1g}\u00a0%"


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def _factor(ratio: float) -> str:
    return f"×{ratio:.1f}" if ratio < 9.95 else f"×{ratio:.0f}"
