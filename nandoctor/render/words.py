"""A diagnosis' ids and numbers as words of one language."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from nandoctor.diagnosis import Band, Evidence, FileEdit, Note, Step, Weighed
from nandoctor.errors import NandoctorError
from nandoctor.kb.frameworks import steps_for
from nandoctor.kb.model import KnowledgeBase, Message
from nandoctor.readers.facts import Run
from nandoctor.remark import Remark
from nandoctor.render.scale import counted, number, step_text
from nandoctor.source import printable

_FIELD = re.compile(r"(\w+)\s*:\s*(\"[^\"]*\"|'[^']*'|[^\s#{}]+)")  # `name: value` in a line of a prototxt


class Words:
    """The knowledge base's texts in one language, safe against foreign placeholders and characters."""

    def __init__(self, kb: KnowledgeBase, lang: str) -> None:
        self.kb = kb
        self.lang = lang

    def __call__(self, message_id: str, **args: str | float) -> str:
        """The program's own text."""
        message = self.kb.messages.get(message_id)
        return _fill(message.get(self.lang), args) if message else message_id

    def note(self, note: Note) -> str:
        """A note as a sentence: a message of the program, or the message of the check that wrote it."""
        if note.id.startswith("check:"):
            check = self.kb.checks.get(note.id.removeprefix("check:"))
            return _fill(check.message.get(self.lang), note.args) if check else note.id
        if note.id.startswith("event:"):
            return self._event(note)
        return self(note.id, **note.args)

    def _event(self, note: Note) -> str:
        """What a dialect says about a line, or the line itself."""
        name = note.id.removeprefix("event:")
        events = (event for dialect in self.kb.dialects.values() for event in dialect.events)
        message = next((event.message for event in events if event.id == name and event.message), None)
        return _fill(message.get(self.lang), note.args) if message else printable(str(note.args.get("text", name)))

    def remark(self, text: str) -> str:
        """What a reader says of an input, in the language if its texts are there."""
        message = self._remarks.get(text.template) if isinstance(text, Remark) else None
        if message is None or not isinstance(text, Remark):
            return printable(text)
        return _fill(message.get(self.lang), {name: self.remark(value) for name, value in text.args.items()})

    @cached_property
    def _remarks(self) -> dict[str, Message]:
        """The texts by their English: the readers know no ids."""
        return {message.en: message for message in self.kb.messages.values()}

    def error(self, error: NandoctorError) -> str:
        """An error as `file:line:column: what`, with the line and the caret below if it has them."""
        said = self.remark(error.remark)
        return f"{said}\n{error.excerpt}" if error.excerpt else said

    def cause(self, cause_id: str) -> str:
        """The title of a cause, `none-of-these` included."""
        cause = self.kb.causes.get(cause_id)
        return cause.title.get(self.lang) if cause else self(cause_id)

    def remedy(self, remedy_id: str) -> str:
        """The title of a remedy."""
        remedy = self.kb.remedies.get(remedy_id)
        return remedy.title.get(self.lang) if remedy else remedy_id

    def weighed(self, weighed: Evidence | Weighed) -> str:
        """What was seen, or what a remedy brought; "" where only the state is known."""
        if weighed.origin == "tried":
            return self(f"report.tried-{weighed.state}", remedy=self.remedy(weighed.observation))
        return self.note(weighed.note) if weighed.note else ""

    def observation(self, observation_id: str) -> str:
        """The noun phrase of an observation."""
        observation = self.kb.observations.get(observation_id)
        return observation.title.get(self.lang) if observation else observation_id

    def state(self, observation_id: str, state_id: str) -> str:
        """The label of a state."""
        observation = self.kb.observations.get(observation_id)
        state = observation.state(state_id) if observation else None
        return state.label.get(self.lang) if state else state_id

    def band(self, band: Band) -> str:
        """The word for a probability."""
        return self("band." + band.replace(" ", "-"))

    def framework(self, framework: str) -> str:
        """The name of a framework as its users write it."""
        message = self.kb.messages.get("framework." + framework)
        return message.get(self.lang) if message else framework

    def instructions(self, step: Step) -> tuple[str, ...]:
        """What to do in a step of a plan: what holds for everybody, then what is so in the owner's framework."""
        remedy = self.kb.remedies.get(step.id)
        return tuple(text.get(self.lang) for text in steps_for(remedy, step.framework)) if remedy else ()

    def pair(self, label: str, text: str) -> str:
        """`label: text` in the punctuation of the language."""
        return self("report.pair", label=label, text=text)

    def listed(self, items: Iterable[str]) -> str:
        """Items with the comma of the language."""
        return self("report.comma").join(items)

    def causes(self, titles: Iterable[str]) -> str:
        """Titles and clauses that may hold commas themselves."""
        return self("report.semicolon").join(titles)


class _Figure(float):
    """A number that prints with three significant digits where the message asks for no other form.

    `{count:place|places}` is no number but the word that goes with it, for languages that have a plural.
    """

    def __format__(self, spec: str) -> str:
        if "|" in spec:
            one, _, many = spec.partition("|")
            return one if float(self) == 1 else many
        return super().__format__(spec) if spec else step_text(self) if self.is_integer() else number(self)


class _Text(str):
    """A value that came as text; `{count:place|places}` works for a number in it, too."""

    def __format__(self, spec: str) -> str:
        if "|" in spec:
            one, _, many = spec.partition("|")
            return one if self == "1" else many
        return super().__format__(spec)


def _fill(template: str, args: Mapping[str, str | float]) -> str:
    """Placeholders filled in. An overlay's mistake in one shows as the bare template, not as a traceback."""
    try:
        return template.format(**{k: _Text(clean(v)) if isinstance(v, str) else _Figure(v) for k, v in args.items()})
    except (KeyError, IndexError, ValueError, AttributeError):
        return template


def clean(text: str) -> str:
    """Foreign text made safe; our own no-break spaces stay."""
    return "\u00a0".join(map(printable, text.split("\u00a0")))


def capital(sentence: str) -> str:
    """A noun phrase as the beginning of a sentence, where the script has capitals."""
    return sentence[:1].upper() + sentence[1:] if sentence[:1].isascii() else sentence


def percent(probability: float) -> str:
    """`91 %` with a no-break space; the ends are never certain: `< 1 %`, `> 99 %`."""
    rounded = f"{100 * probability:.0f}"
    return {"0": "<\u00a01", "100": ">\u00a099"}.get(rounded, rounded) + "\u00a0%"


def decibans(weight: float) -> str:
    """`+14`, `-7`, `0`."""
    rounded = math.floor(abs(weight) + 0.5)
    return f"{'-' if weight < 0 else '+'}{rounded}" if rounded else "0"


def minutes_text(minutes: float) -> str:
    """Whole minutes; below two, halves."""
    return f"{minutes:.0f}" if minutes >= 2 else f"{round(minutes * 2) / 2:g}" if minutes >= 0.25 else "< 0.5"


def run_range(run: Run, words: Words) -> str:
    """`iterations 0 to 1000`, or the number of lines if the log prints no steps."""
    first, last = run.first_step, run.last_step
    if first is None or last is None:
        return words("report.lines", count=run.lines) if run.lines else ""
    return steps_range(first, last, run.framework, words)


def steps_range(first: float, last: float, framework: str, words: Words) -> str:
    """`iterations 0 to 1000`, `step 19`."""
    unit = counted(framework)
    if first == last:
        return words(f"plot.{unit}-n", step=step_text(first))
    return words(f"report.range-{unit}s", first=step_text(first), last=step_text(last))


def short_names(files: Iterable[str]) -> dict[str, str]:
    """For each file the shortest end of its path that no other file shares, at least its name."""
    distinct = sorted(set(files))
    parts = {file: file.replace(os.sep, "/").rstrip("/").split("/") for file in distinct}
    names = {}
    for file in distinct:
        for count in range(1, len(parts[file]) + 1):
            tail = parts[file][-count:]
            if sum(p[-count:] == tail for p in parts.values()) == 1:
                break
        names[file] = "/".join(parts[file][-count:])
    return names


def edit_text(edit: FileEdit, words: Words) -> str:
    """An edit in a few words: `base_lr 0.5 -> 0.05`, `add clip_gradients: 10`; "" if it needs its lines to be seen."""
    old = [line.strip() for line in edit.removed if line.strip()]
    new = [line.strip() for line in edit.added if line.strip()]
    if len(old) == len(new) == 1:
        before, after = _FIELD.findall(old[0]), _FIELD.findall(new[0])
        changed = [(a, b) for a, b in zip(before, after) if a != b]
        if len(before) == len(after) and len(changed) == 1 and changed[0][0][0] == changed[0][1][0]:
            (name, value), (_, made) = changed[0]
            return printable(f"{name} {value} -> {made}")
        return ""
    if len(new) == 1 and not old:
        return words("report.add-line", line=new[0])
    if len(old) == 1 and not new:
        return words("report.remove-line", line=old[0])
    return ""


def new_value(edit: FileEdit) -> str:
    """The new `name value` of an edit of one field; "" if it is not of that form."""
    old = [field for line in edit.removed for field in _FIELD.findall(line)]
    new = [field for line in edit.added for field in _FIELD.findall(line) if field not in old]
    return printable(" ".join(new[0])) if len(new) == 1 else ""
