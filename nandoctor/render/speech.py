"""What the consultation says, as lines of a page: plain mode and transcripts print them, the terminal interface too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nandoctor.diagnosis import Evidence, Step, Weighed
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
    Withdrawn,
)
from nandoctor.render.layout import build
from nandoctor.render.page import NARROW, Page
from nandoctor.render.scale import step_text
from nandoctor.render.verdict import verdicts
from nandoctor.render.width import cut, display_width
from nandoctor.render.words import Words, decibans, edit_text, minutes_text, percent, short_names
from nandoctor.source import printable

INDENT = 2
LISTED = 8  # pieces of evidence listed after reading; the rest is one request away
BELIEVED = 4
CLAIMS = 6
PLACE_SHARE = 0.34  # of the width for `file:line`
NARROW_SHARE = 0.8  # where the place has a line of its own
SHOWN_FROM = 0.005
CLEAR = "checks.clear"  # "nothing unusual" does not say in what
WORTH = 0.75  # decibans; less prints as nothing
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
            args[name] = value if isinstance(value, int | float) else printable(value)
    return words(reply.id, **args)


def evidence_text(item: Evidence | Weighed, words: Words) -> str:
    """What was seen, in words."""
    if item.origin == "tried":
        return words.remedy(item.observation)
    known = words.kb.observations.get(item.observation)
    if item.note is None or item.note.id == CLEAR:
        return state_text(item.observation, item.state, words)
    if known is not None and item.state == known.normal and not item.note.args:
        return state_text(item.observation, item.state, words)
    return words.note(item.note) or state_text(item.observation, item.state, words)


def state_text(observation: str, state: str, words: Words) -> str:
    """`number format: fp32`."""
    return words("talk.noted", observation=words.observation(observation), state=words.state(observation, state))


def _listed(names: Iterable[str], words: Words) -> str:
    return words("talk.comma").join(names)


def source_text(item: Evidence | Weighed, words: Words, names: dict[str, str] | None = None) -> str:
    """Where it stands: `train.log:412`, or who said it."""
    if not item.locations:
        return words("origin." + item.origin)
    place = item.locations[0]
    file = (names or {}).get(place.file, place.file)
    return printable(file) + (f":{place.line}" if place.line else "")


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
        page.text(words("say.unreadable", detail=error), 0, "yellow")
    for note in reply.notes:
        page.text(printable(note), INDENT, "dim")
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


def _what_was_read(reply: FilesRead, words: Words) -> str:
    facts = [words.framework(reply.framework)] if reply.framework else []
    if reply.has_run:
        if reply.first is not None and reply.last is not None:
            unit = "iterations" if reply.framework in ("caffe", "darknet") else "steps"
            facts.append(words(f"report.range-{unit}", first=step_text(reply.first), last=step_text(reply.last)))
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
        _how_to(page, reply.step, words, code=False)
    lead = words("talk.question-again") if reply.again else words("talk.question", number=reply.number)
    question = known.question.get(lang) if known.question else words.observation(known.id)
    page.text(f"{lead} {question}" if not lead.endswith("：") else lead + question, 0, "bold")


def _how_to(page: Page, step: Step, words: Words, *, code: bool) -> None:
    """What to change: the instructions, the exact edits, and the code if wanted or if there is nothing else."""
    remedy = words.kb.remedies[step.id]
    for text in remedy.steps:
        page.text(text.get(words.lang), INDENT, label="·", label_width=1)
    names = short_names(edit.location.file for edit in step.edits)
    for edit in step.edits:
        place = f"{names[edit.location.file]}:{edit.location.line}"
        if page.width < NARROW:
            page.text(place, INDENT + 2, "cyan")
        lines = [("-", line) for line in edit.removed] + [("+", line) for line in edit.added]
        for number, (sign, line) in enumerate(lines):
            page.change(sign, printable(line), INDENT + 2, place if not number else "", display_width(place))
    if code and step.snippet and not step.edits:
        page.text(words("talk.snippet", framework=words.framework(step.snippet_framework)), INDENT, "dim")
        page.code(step.snippet, INDENT + 2)


def _picking(page: Page, reply: Picking, words: Words) -> None:
    page.text(sentence(reply, words), 0, "bold")


def _taken(page: Page, reply: Taken, words: Words) -> None:
    observation = words.observation(reply.observation)
    if reply.state == "unknown":
        page.text(words("talk.left-open", observation=observation))
    else:
        page.text(state_text(reply.observation, reply.state, words))


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
        page.text(words("talk.why", causes=_listed(map(words.cause, reply.separates), words)))
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
    own = known.find_out_in.get(reply.framework) or (
        known.find_out_in.get("pytorch") if reply.framework in ("lightning", "hf") else None
    )
    told = [text.get(words.lang) for text in (known.find_out, own) if text]
    if told:
        page.text(words("talk.find-out"))
        for text in told:
            page.text(text, INDENT)
    if reply.step is not None:
        page.text(words.remedy(reply.step.id), 0, "bold")
        _how_to(page, reply.step, words, code=True)
        verify = words.kb.remedies[reply.step.id].verify.get(words.lang)
        page.text(words("talk.verify-experiment", text=verify), INDENT)
    for state in known.states:
        if state.means:
            text = words("talk.means", state=state.label.get(words.lang), means=state.means.get(words.lang))
            page.text(text, INDENT, "dim")
    if not told and reply.step is None and not any(state.means for state in known.states):
        page.text(words("talk.no-way-known"))


def _grounds(page: Page, reply: Grounds, words: Words) -> None:
    cause = reply.cause
    known = words.kb.causes.get(cause.id)
    title = words.cause(cause.id)
    page.text(
        words("talk.how", cause=title, band=words.band(cause.band), percent=percent(cause.probability)), 0, "bold"
    )
    if known:
        page.text(known.summary.get(words.lang), INDENT)
    support = [item for item in cause.support if item.decibans >= WORTH]
    against = [item for item in cause.against if item.decibans <= -WORTH]
    _claims(page, (support or cause.support)[:CLAIMS], (against or cause.against)[:CLAIMS], words)
    if not cause.support and not cause.against:
        page.text(words("talk.how-none"), INDENT)


def _claims(page: Page, support: Sequence[Weighed], against: Sequence[Weighed], words: Words) -> None:
    places = [place.file for item in (*support, *against) for place in item.locations]
    names = short_names(places)
    heads = {"report.for": support, "report.against": against}
    label_width = max(display_width(words(head)) for head in heads)
    room = int(page.width * PLACE_SHARE)
    sources = [source_text(item, words, names) for item in (*support, *against)]
    width = min(max([display_width(s) for s in sources], default=0), room)
    for head, items in heads.items():
        for number, item in enumerate(items):
            page.row(
                evidence_text(item, words),
                decibans(item.decibans),
                indent=INDENT,
                label=words(head) if not number else " ",
                label_width=label_width,
                place=source_text(item, words, names),
                place_width=width,
                right_width=3,
            )


def _flips(page: Page, reply: Flips, words: Words) -> None:
    first = words.cause(reply.first)
    page.text(words("talk.flips" if reply.rows else "talk.no-flips", cause=first))
    for observation, state, cause in reply.rows:
        text = words(
            "report.what-if",
            observation=words.observation(observation),
            state=words.state(observation, state),
            cause=words.cause(cause),
        )
        page.text(text, INDENT, label="·", label_width=1)


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


def _result(page: Page, reply: Result, words: Words) -> None:
    page.text(verdicts(reply.diagnosis, words)[-1], 0, "bold")
    if reply.brief:
        return
    report = build(reply.diagnosis, words.kb, words.lang)
    shown = {cause.id: cause for cause in reply.diagnosis.causes}
    for view in report.causes:
        page.blank()
        page.row(view.title, percent(view.probability), indent=INDENT, right_width=5, style="bold")
        cause = shown[view.id]
        support = cause.support[: len(view.support)]
        against = cause.against[: len(view.against)]
        _claims(page, support, against, words)
        if not support and not against:
            page.text(words("report.no-evidence"), INDENT, "dim")
    for cause_title, claim in report.ruled_out:
        page.blank()
        page.text(f"{words('report.ruled-out')}: {cause_title}. {claim.text}", INDENT, "dim")
    for text in report.contradictions:
        page.text(text, INDENT, "yellow")


def _planned(page: Page, reply: Planned, words: Words) -> None:
    steps = planned_steps(reply)
    plan_head(page, reply, words)
    for number, step in enumerate(steps, 1):
        _plan_step(page, number, step, words)
    if steps:
        page.text(words("talk.plan-hint"), 0, "dim")


def planned_steps(reply: Planned) -> tuple[Step, ...]:
    """The steps of the plan that is shown."""
    return reply.diagnosis.fastest if reply.variant == "fastest" else reply.diagnosis.diagnostic


def plan_head(page: Page, reply: Planned, words: Words) -> None:
    """The title of a plan with its columns; a sentence if it has no steps."""
    if planned_steps(reply):
        page.heading(words(f"talk.plan-{reply.variant}"), f"{words('report.success')}  {words('report.minutes')}")
    else:
        fine = reply.diagnosis.verdict in ("healthy", "benign")
        page.text(words("talk.plan-none" if fine else "report.none-planned"))


def plan_step(number: int, step: Step, words: Words, width: int) -> Page:
    """One row of a plan as a page of its own."""
    page = Page(width)
    _plan_step(page, number, step, words)
    return page


def _plan_step(page: Page, number: int, step: Step, words: Words) -> None:
    kinds = {kind: words(f"kind.{kind}") for kind in ("fix", "experiment")}
    wide = page.width >= NARROW
    kind_width = max(map(display_width, kinds.values())) if wide else -2
    first, second = display_width(words("report.success")), display_width(words("report.minutes"))
    success = percent(step.success) if step.kind == "fix" else ""
    page.row(
        words.remedy(step.id),
        f"{success.rjust(first)}  {minutes_text(step.minutes).rjust(second)}",
        indent=INDENT,
        label=f"{number}  {kinds[step.kind]}" if wide else str(number),
        label_width=3 + kind_width,
        right_width=first + second + 2,
    )
    if step.kind == "experiment" and not wide:
        page.text(kinds["experiment"], INDENT + 3, "dim")
    _remarks(page, step, words, INDENT + 5 + kind_width)


def _remarks(page: Page, step: Step, words: Words, indent: int) -> None:
    """Below a step of the plan: its edit in a few words, what it tells apart, that it only masks."""
    for edit in step.edits[:1]:
        short = edit_text(edit, words)
        more = len(step.edits) - 1
        text = words("report.edit-in", edit=short, place=str(edit.location)) if short else str(edit.location)
        if more:
            text += ", " + words("report.more-places", count=more)
        page.text(text, indent, "dim")
    if step.tells:
        page.text(words("talk.tells", causes=_listed(map(words.cause, step.tells), words)), indent, "dim")
    if step.masks:
        page.text(words("report.masks"), indent, "yellow")


def _step_shown(page: Page, reply: StepShown, words: Words) -> None:
    step = reply.step
    remedy = words.kb.remedies[step.id]
    page.text(words("talk.step", number=reply.number, title=words.remedy(step.id)), 0, "bold")
    if step.cures:
        page.text(words("talk.cures", causes=_listed(map(words.cause, step.cures), words)), INDENT, "dim")
    _how_to(page, step, words, code=True)
    page.text(words("talk.verify", text=remedy.verify.get(words.lang)), INDENT)
    if remedy.harm:
        page.text(words("talk.harm", text=remedy.harm.get(words.lang)), INDENT, "yellow")
    if step.masks:
        page.text(words("report.masks"), INDENT, "yellow")


def _outcome(page: Page, reply: Outcome, words: Words) -> None:
    steps = {"onset": reply.onset, "onset_now": reply.onset_now, "reached": reply.reached}
    args = {name: words("outcome.step", step=step_text(value)) for name, value in steps.items() if value is not None}
    form = f"outcome.{reply.course}"
    if reply.course == "fixed" and {"onset", "reached"} <= args.keys():
        form += "-past"
    if reply.course == "not-fixed" and {"onset", "onset_now"} <= args.keys():
        form += "-moved"
    if reply.course == "too-early" and not {"onset", "reached"} <= args.keys():
        form = "outcome.unclear"
    style = {"fixed": "bold green", "not-fixed": "bold yellow", "new-fault": "bold red"}.get(reply.course, "bold")
    page.text(words(form, before=words.cause(reply.before), now=words.cause(reply.now), **args), 0, style)  # type: ignore[arg-type]


def _guide(page: Page, _: Guide, words: Words) -> None:
    page.text(words("guide.intro"))
    for name in GUIDE:
        label = {"find": "?", "wrong": "x"}.get(name, name)
        page.text(words(f"guide.{name}"), INDENT, label=label, label_width=8)


_SAYERS: dict[type[Any], Callable[[Page, Any, Words], None]] = {
    Sentence: _sentence,
    Understood: _understood,
    FilesRead: _files_read,
    Asking: _asking,
    Picking: _picking,
    Taken: _taken,
    Believed: _believed,
    Reasons: _reasons,
    HowToFind: _how_to_find,
    Grounds: _grounds,
    Flips: _flips,
    Held: _held,
    Disagreement: _disagreement,
    Withdrawn: _withdrawn,
    Result: _result,
    Planned: _planned,
    StepShown: _step_shown,
    Outcome: _outcome,
    Guide: _guide,
}
