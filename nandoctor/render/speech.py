"""What the consultation says, as lines of a page: plain mode and transcripts print them, the terminal interface too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nandoctor.diagnosis import Evidence
from nandoctor.errors import NandoctorError
from nandoctor.interview.pending import Choice
from nandoctor.interview.replies import (
    Asking,
    Believed,
    Disagreement,
    FilesRead,
    Flips,
    Grounds,
    Guide,
    Held,
    HowToFind,
    Outcome,
    Picking,
    Planned,
    Reasons,
    Reply,
    Result,
    Sentence,
    StepShown,
    Taken,
    Understood,
    Unusable,
    Withdrawn,
)
from nandoctor.kb.frameworks import suited, ways_to_find_out
from nandoctor.render.conclusion import (
    INDENT,
    PLACE_SHARE,
    flips,
    grounds,
    how_to,
    outcome,
    planned,
    result,
    step_shown,
)
from nandoctor.render.page import NARROW, Page
from nandoctor.render.phrases import evidence_text, listed, source_text, state_text
from nandoctor.render.width import cut, display_width
from nandoctor.render.words import Words, capital, minutes_text, percent, short_names, steps_range
from nandoctor.source import printable

LISTED = 8  # pieces of evidence listed after reading; the rest is one request away
BELIEVED = 4
NARROW_SHARE = 0.8  # where the place has a line of its own
SHOWN_FROM = 0.005
ASKING = (Asking, Picking, Disagreement)
GUIDE = ("0", "find", "why", "how", "whatif", "evidence", "undo", "wrong", "plan", "step", "tried", "more", "save",
         "lang", "quit")  # fmt: skip


def speak(replies: Sequence[Reply], choices: Sequence[Choice], words: Words, width: int, *, hints: bool = True) -> Page:
    """Replies as a page, with the numbered choices below a question; `hints`: with a line on what else can be asked."""
    page = Page(width)
    for reply in replies:
        page.blank()
        say(page, reply, words)
    if replies and isinstance(replies[-1], ASKING):
        for choice in choices:
            page.text(choice_text(choice, words), INDENT, label=choice.key, label_width=2)
        if hints and isinstance(replies[-1], Asking) and replies[-1].number == 1 and not replies[-1].again:
            page.blank()
            page.text(words("talk.first-hint"), INDENT, "dim")
    return page


def say(page: Page, reply: Reply, words: Words) -> None:
    """One reply."""
    _SAYERS[type(reply)](page, reply, words)


def choice_text(choice: Choice, words: Words) -> str:
    """A choice in words."""
    if choice.kind == "state":
        return words.state(choice.of, choice.id)
    return words.remedy(choice.id) if choice.kind == "remedy" else words(choice.id)


def sentence(reply: Sentence | Picking, words: Words) -> str:
    """A sentence; arguments that name entities are put in words."""
    args: dict[str, str | float] = {}
    for name, value in reply.args.items():
        text = str(value)
        if name == "cause":
            args[name] = words.cause(text)
        elif name == "remedy":
            args[name] = words.remedy(text)
        elif name == "observation":
            args[name] = words.observation(text)
        elif name == "probability":
            args[name] = percent(float(value))
        else:
            args[name] = value if isinstance(value, int | float) else words.remark(value)
    return words(reply.id, **args)


# --- one kind of reply each


def _sentence(page: Page, reply: Sentence, words: Words) -> None:
    page.text(sentence(reply, words), 0, {"warning": "yellow", "hint": "dim"}.get(reply.level, ""))  # type: ignore[arg-type]


def _understood(page: Page, reply: Understood, words: Words) -> None:
    page.text(words("talk.understood"))
    rows = []
    for number, item in enumerate(reply.items, 1):
        text = state_text(item.observation, item.state, words)
        quote = f'"{printable(item.phrase)}"' if item.phrase else ""
        rows.append((str(number) if len(reply.items) > 1 else "·", text, quote))
    _rows(page, rows)
    page.text(words("talk.understood-hint"), INDENT, "dim")


def _files_read(page: Page, reply: FilesRead, words: Words) -> None:
    page.text(_what_was_read(reply, words))
    for error in reply.errors:
        _error(page, error, words)
    for note in reply.notes:
        page.text(words.remark(note), INDENT, "dim")
    if not reply.evidence:
        page.text(words("talk.read-nothing"))
        return
    if reply.questions:
        kinds = [k for k, has in (("log", reply.has_run), ("net", reply.has_net), ("solver", reply.has_solver)) if has]
        what = words(f"talk.your-{kinds[0] if len(kinds) == 1 else 'files'}")
        form = "talk.read-one-question" if reply.questions == 1 else "talk.read-questions"
        page.text(words(form, count=reply.questions, what=what))
    else:
        page.text(words("talk.read-clues"))
    _evidence(page, reply.evidence[:LISTED], words)
    if len(reply.evidence) > LISTED:
        page.text(words("talk.more", count=len(reply.evidence) - LISTED), INDENT, "dim")


def _unusable(page: Page, reply: Unusable, words: Words) -> None:
    _error(page, reply.error, words)


def _error(page: Page, error: NandoctorError, words: Words) -> None:
    """What is wrong with a file; of a mistake in it the line, with a caret below."""
    page.text(words("say.unreadable", detail=words.remark(error.remark)), 0, "yellow")
    line, _, caret = error.excerpt.partition("\n")
    start = max(0, len(caret) - (page.width - INDENT) * 3 // 4)  # the caret stays in sight
    for text in (line, caret) if caret else ():
        page.line((" " * INDENT + cut(text[start:], page.width - INDENT), "dim"))


def _what_was_read(reply: FilesRead, words: Words) -> str:
    facts = [words.framework(reply.framework)] if reply.framework else []
    if reply.has_run:
        if reply.first is not None and reply.last is not None:
            facts.append(steps_range(reply.first, reply.last, reply.framework, words))
        elif reply.lines:
            facts.append(words("report.lines", count=reply.lines))
    names = ", ".join(printable(name) for name in reply.names)
    return words("talk.file-facts", files=names, facts=words("talk.comma").join(facts)) if facts else names


def _evidence(page: Page, evidence: Sequence[Evidence], words: Words) -> None:
    names = short_names(place.file for item in evidence for place in item.locations)
    _rows(page, [("·", evidence_text(item, words), source_text(item, words, names)) for item in evidence])


def _rows(page: Page, rows: Sequence[tuple[str, str, str]]) -> None:
    """(label, text, place) in aligned columns."""
    room = int(page.width * (PLACE_SHARE if page.width >= NARROW else NARROW_SHARE))
    width = min(max([display_width(place) for _, _, place in rows], default=0), room)
    labels = max([display_width(label) for label, _, _ in rows], default=1)
    for label, text, place in rows:
        shown = cut(place, room) if place.startswith('"') else place
        page.row(text, "", indent=INDENT, label=label, label_width=labels, place=shown, place_width=width)


def _asking(page: Page, reply: Asking, words: Words) -> None:
    kb, lang = words.kb, words.lang
    known = kb.observations[reply.observation]
    if reply.step is not None and not reply.again:
        minutes = words("talk.minutes", minutes=minutes_text(reply.minutes))
        page.text(words("talk.experiment", minutes=minutes, title=words.remedy(reply.step.id)))
        how_to(page, reply.step, words, code=False)
    lead = words("talk.question-again") if reply.again else words("talk.question", number=reply.number)
    question = known.question.get(lang) if known.question else words.observation(known.id)
    page.text(f"{lead} {question}" if not lead.endswith("：") else lead + question, 0, "bold")


def _picking(page: Page, reply: Picking, words: Words) -> None:
    page.text(sentence(reply, words), 0, "bold")


def _taken(page: Page, reply: Taken, words: Words) -> None:
    observation = words.observation(reply.observation)
    if reply.state == "unknown":
        page.text(capital(words("talk.left-open", observation=observation)))
    else:
        page.text(capital(state_text(reply.observation, reply.state, words)))


def believed_pieces(reply: Believed, words: Words) -> list[tuple[str, str, str]]:
    """(cause, percentage, change) of the first causes; the change is "" below one point."""
    out: list[tuple[str, str, str]] = []
    for cause, probability in reply.ranking[:BELIEVED]:
        if probability < SHOWN_FROM and out:
            break
        change = round(100 * probability) - round(100 * reply.before.get(cause, probability))
        out.append((words.cause(cause), percent(probability), f"{change:+d}" if change else ""))
    return out


def _believed(page: Page, reply: Believed, words: Words) -> None:
    pieces = [
        words("talk.cause-now", cause=cause, percent=share) + (f" ({change})" if change else "")
        for cause, share, change in believed_pieces(reply, words)
    ]
    page.text(words("talk.now", causes=" · ".join(pieces)), 0, "cyan")


def _reasons(page: Page, reply: Reasons, words: Words) -> None:
    if len(reply.separates) > 1:
        page.text(words("talk.why", causes=listed(map(words.cause, reply.separates), words)))
    else:
        page.text(words("talk.why-none"))
    for state, chance, rows in reply.rows:
        head = words("talk.if", state=words.state(reply.observation, state))
        page.row(head, percent(chance), indent=INDENT, right_width=6)
        moves = (
            words("talk.moves", cause=words.cause(cause), now=percent(now), then=percent(then))
            for cause, then, now in rows
        )
        page.text(" · ".join(moves) or words("talk.moves-nothing"), INDENT + 3, "dim")


def _how_to_find(page: Page, reply: HowToFind, words: Words) -> None:
    known = words.kb.observations[reply.observation]
    remedy = words.kb.remedies[reply.step.id] if reply.step is not None else None
    # The experiment's own steps for the framework follow below; its own way to find out would say the same.
    framework = "" if remedy is not None and suited(remedy.steps_in, reply.framework) else reply.framework
    told = [text.get(words.lang) for text in ways_to_find_out(known, framework)]
    if told:
        page.text(words("talk.find-out"))
        for text in told:
            page.text(text, INDENT)
    if reply.step is not None and remedy is not None:
        page.text(words.remedy(reply.step.id), 0, "bold")
        how_to(page, reply.step, words, code=True)
        page.text(words("talk.verify-experiment", text=remedy.verify.get(words.lang)), INDENT)
    for state in known.states:
        if state.means:
            text = words("talk.means", state=state.label.get(words.lang), means=state.means.get(words.lang))
            page.text(text, INDENT, "dim")
    if not told and reply.step is None and not any(state.means for state in known.states):
        page.text(words("talk.no-way-known"))


def _held(page: Page, reply: Held, words: Words) -> None:
    if not reply.evidence:
        page.text(words("talk.held-nothing"))
        return
    page.text(words("talk.held", count=len(reply.evidence)))
    names = short_names(place.file for item in reply.evidence for place in item.locations)
    rows = []
    for item in reply.evidence:
        place = source_text(item, words, names)
        if item.origin in ("answer", "description"):
            place = words("talk.undo-it", origin=place, id=item.observation)
        rows.append(("·", evidence_text(item, words), place))
    _rows(page, rows)


def _disagreement(page: Page, reply: Disagreement, words: Words) -> None:
    item = reply.contradiction
    page.text(words("talk.disagreement", observation=words.observation(item.observation)), 0, "yellow")
    kept, other = item.kept, item.overruled
    file_says = words("talk.file-says", file=source_text(kept, words), state=words.state(item.observation, kept.state))
    page.text(file_says, INDENT)
    if kept.note:
        page.text(words.note(kept.note), INDENT + 2, "dim")
    page.text(words("talk.you-say", state=words.state(item.observation, other.state)), INDENT)
    page.text(words("talk.who-is-right"), 0, "bold")


def _withdrawn(page: Page, reply: Withdrawn, words: Words) -> None:
    for kind, name, state in reply.items:
        if kind in ("answer", "said"):
            what = words.observation(name)
            if state != "unknown":
                what = words("talk.noted", observation=what, state=words.state(name, state))
        elif kind == "tried":
            what = words("talk.taken-back-tried", remedy=words.remedy(name))
        elif kind == "chose":
            what = words("talk.taken-back-chose", observation=words.observation(name))
        else:
            what = words("talk.taken-back-file", file=name)
        page.text(words("talk.taken-back", what=what))


def _guide(page: Page, _: Guide, words: Words) -> None:
    page.text(words("guide.intro"))
    for name in GUIDE:
        label = {"find": "?", "wrong": "x"}.get(name, name)
        page.text(words(f"guide.{name}"), INDENT, label=label, label_width=8)


_SAYERS: dict[type[Any], Callable[[Page, Any, Words], None]] = {
    Sentence: _sentence,
    Understood: _understood,
    FilesRead: _files_read,
    Unusable: _unusable,
    Asking: _asking,
    Picking: _picking,
    Taken: _taken,
    Believed: _believed,
    Reasons: _reasons,
    HowToFind: _how_to_find,
    Grounds: grounds,
    Flips: flips,
    Held: _held,
    Disagreement: _disagreement,
    Withdrawn: _withdrawn,
    Result: result,
    Planned: planned,
    StepShown: step_shown,
    Outcome: outcome,
    Guide: _guide,
}
