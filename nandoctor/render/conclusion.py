"""Verdict, reasons, plan and outcome as lines of a page."""

from __future__ import annotations

from collections.abc import Sequence

from nandoctor.diagnosis import Step, Weighed
from nandoctor.interview.replies import Flips, Grounds, Outcome, Planned, Result, StepShown
from nandoctor.render.layout import build
from nandoctor.render.page import NARROW, Page
from nandoctor.render.phrases import evidence_text, listed, source_text
from nandoctor.render.scale import step_text
from nandoctor.render.verdict import verdicts
from nandoctor.render.width import display_width
from nandoctor.render.words import Words, decibans, edit_text, minutes_text, percent, short_names
from nandoctor.source import printable

INDENT = 2
CLAIMS = 6
EDITS_SHOWN = 8  # of a step; the whole patch can be copied and saved
PLACE_SHARE = 0.34  # of the width for `file:line`
WORTH = 0.75  # decibans; less prints as nothing


def grounds(page: Page, reply: Grounds, words: Words) -> None:
    """The evidence for and against one cause."""
    cause = reply.cause
    known = words.kb.causes.get(cause.id)
    title = words.cause(cause.id)
    page.text(
        words("talk.how", cause=title, band=words.band(cause.band), percent=percent(cause.probability)), 0, "bold"
    )
    if known:
        page.text(known.summary.get(words.lang), INDENT)
    every, contrary = cause.by_finding()
    support = [item for item in every if item.decibans >= WORTH]
    against = [item for item in contrary if item.decibans <= -WORTH]
    _claims(page, (support or every)[:CLAIMS], (against or contrary)[:CLAIMS], words)
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


def flips(page: Page, reply: Flips, words: Words) -> None:
    """The answers that would put another cause first."""
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


def result(page: Page, reply: Result, words: Words) -> None:
    """The verdict, and the first causes with what speaks for and against them."""
    page.text(verdicts(reply.diagnosis, words, alone=True)[-1], 0, "bold")
    if reply.brief:
        return
    report = build(reply.diagnosis, words.kb, words.lang)
    shown = {cause.id: cause for cause in reply.diagnosis.causes}
    for view in report.causes:
        page.blank()
        page.row(view.title, percent(view.probability), indent=INDENT, right_width=5, style="bold")
        cause = shown[view.id]
        every, contrary = cause.by_finding()
        support, against = every[: len(view.support.shown)], contrary[: len(view.against.shown)]
        _claims(page, support, against, words)
        if not support and not against:
            page.text(words("report.no-evidence"), INDENT, "dim")
    for cause_title, claim in report.ruled_out:
        page.blank()
        reason = claim.text.rstrip(".。")
        page.text(words("talk.ruled-out", cause=cause_title, reason=reason), INDENT, "dim")
    for text in report.contradictions:
        page.text(text, INDENT, "yellow")


def planned(page: Page, reply: Planned, words: Words) -> None:
    """A plan, one step a row."""
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
            text = words("report.also-places", text=text, more=words("report.more-places", count=more))
        page.text(text, indent, "dim")
    if step.tells:
        page.text(words("talk.tells", causes=listed(map(words.cause, step.tells), words)), indent, "dim")
    if step.masks:
        page.text(words("report.masks"), indent, "yellow")


def how_to(page: Page, step: Step, words: Words, *, code: bool) -> None:
    """What to change: the instructions, the exact edits, and the code if wanted or if there is nothing else."""
    for text in words.instructions(step):
        page.text(text, INDENT, label="·", label_width=1)
    names = short_names(edit.location.file for edit in step.edits)
    for edit in step.edits[:EDITS_SHOWN]:
        place = f"{names[edit.location.file]}:{edit.location.line}"
        if page.width < NARROW:
            page.text(place, INDENT + 2, "cyan")
        lines = [("-", line) for line in edit.removed] + [("+", line) for line in edit.added]
        for number, (sign, line) in enumerate(lines):
            page.change(sign, printable(line), INDENT + 2, place if not number else "", display_width(place))
    if len(step.edits) > EDITS_SHOWN:
        page.text(words("report.more-places", count=len(step.edits) - EDITS_SHOWN), INDENT + 2, "dim")
    if code and step.snippet and not step.edits:
        page.text(words("talk.snippet", framework=words.framework(step.snippet_framework)), INDENT, "dim")
        page.code(step.snippet, INDENT + 2)


def step_shown(page: Page, reply: StepShown, words: Words) -> None:
    """One step in full."""
    step = reply.step
    remedy = words.kb.remedies[step.id]
    page.text(words("talk.step", number=reply.number, title=words.remedy(step.id)), 0, "bold")
    if step.cures:
        page.text(words("talk.cures", causes=listed(map(words.cause, step.cures), words)), INDENT, "dim")
    how_to(page, step, words, code=True)
    page.text(words("talk.verify", text=remedy.verify.get(words.lang)), INDENT)
    if remedy.harm:
        page.text(words("talk.harm", text=remedy.harm.get(words.lang)), INDENT, "yellow")
    if step.masks:
        page.text(words("report.masks"), INDENT, "yellow")


def outcome(page: Page, reply: Outcome, words: Words) -> None:
    """What became of the fault since the last visit."""
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
