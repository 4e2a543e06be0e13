"""The report for an issue or a wiki: tables, fenced diffs, nothing that a log line could turn into markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nandoctor.diagnosis import Diagnosis
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render.layers import summary
from nandoctor.render.layertable import layer_cells, layer_sentence
from nandoctor.render.layout import CauseView, Claim, Report, StepView, build
from nandoctor.render.plot import loss_curve, told_text
from nandoctor.render.text import edit_lines, printable_code
from nandoctor.render.words import Words, decibans, minutes_text, percent
from nandoctor.source import Location, printable

CURVE_WIDTH, CURVE_HEIGHT = 80, 10
# Underscores inside words and lone signs are harmless, and names stay readable in the source.
_SPECIAL = re.compile(r"[\\`*\[\]<|$&]|(?<![^\W_])_|_(?![^\W_])|#(?=\d)|^[#>+-]|~(?=~)")


def render(diagnosis: Diagnosis, kb: KnowledgeBase, *, lang: str = "en", details: bool = False) -> str:
    """The whole report as GitHub Markdown, the verdict first (for who opens the issue) and last (for who scrolls)."""
    words = Words(kb, lang)
    report = build(diagnosis, kb, lang, details=details)
    verdict = escape(report.verdicts[0])
    blocks = [f"## {words('report.title')}", f"**{verdict}**", " · ".join(map(escape, report.files))]
    for run in diagnosis.runs:
        lines = loss_curve(run, CURVE_WIDTH, CURVE_HEIGHT, lang=lang, kb=kb)
        blocks.append(fence("\n".join(lines), "text"))
        if told := told_text(diagnosis, run, lang, kb):
            blocks.append(escape(told))
    blocks += _causes(diagnosis, report, words)
    blocks += _layers(diagnosis, words)
    blocks += _plan(report, words)
    blocks += _rest(report, words)
    blocks.append(f"**{verdict}**")
    lines = "\n\n".join(blocks).replace("\u00a0", " ").split("\n")
    return "\n".join(map(printable, lines)) + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no mention, no link to an issue, one line."""
    text = _SPECIAL.sub(r"\\\g<0>", printable(text.replace("\u00a0", " ")).strip())
    return text.replace("@", "&#64;")


def fence(code: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{code.rstrip()}\n{marks}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table; `right` are the columns aligned to the right. Cells are Markdown already."""
    rule = ["--:" if n in right else "---" for n in range(len(header))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *rows])


def place(places: Sequence[Location], otherwise: str = "") -> str:
    """The first place as code."""
    return f"`{str(places[0]).replace('`', chr(39)).replace('|', '/')}`" if places else escape(otherwise)


# --- the parts


def _causes(diagnosis: Diagnosis, report: Report, words: Words) -> list[str]:
    heading = {"undetermined": "report.candidates", "healthy": "report.why-fine", "benign": "report.why-fine"}
    if not report.causes:
        return []
    blocks = [f"### {words(heading.get(diagnosis.verdict, 'report.causes'))}"]
    rows = [
        [
            str(c.rank),
            f"**{escape(c.title)}**" if c in report.causes else escape(c.title),
            c.band,
            percent(c.probability),
        ]
        for c in (*report.causes, *report.others.shown)
    ]
    blocks.append(table(["", words("report.cause"), "", words("report.probability")], rows, (0, 3)))
    for cause in report.causes:
        if cause.support.shown or cause.against.shown:
            blocks.append(f"#### {cause.rank} {escape(cause.title)}")
            blocks.append(_evidence(cause, words))
    if report.ruled_out:
        blocks.append(f"### {words('report.ruled-out')}")
        blocks.append(
            "\n".join(
                f"- {words.pair(f'**{escape(t)}**', escape(c.text))} {place(c.places, c.origin)}"
                for t, c in report.ruled_out
            )
        )
    if report.contradictions:
        blocks.append(f"### {words('report.contradictions')}")
        blocks.append("\n".join(f"- {escape(text)}" for text in report.contradictions))
    return blocks


def _evidence(cause: CauseView, words: Words) -> str:
    def rows(label: str, claims: Sequence[Claim]) -> list[list[str]]:
        if not claims:
            return [[words(label), words("report.nothing"), "", ""]]
        return [[words(label), escape(c.text), place(c.places, c.origin), decibans(c.decibans)] for c in claims]

    header = ["", words("report.evidence"), words("report.where"), words("report.weight")]
    return table(header, rows("report.for", cause.support.shown) + rows("report.against", cause.against.shown), (3,))


def _layers(diagnosis: Diagnosis, words: Words) -> list[str]:
    blocks = []
    for run in diagnosis.runs:
        found = summary(run.layers)
        if found is None or not found.rows:
            continue
        header, rows = layer_cells(found, run, words)
        cells = [
            [f"**{escape(row.layer)}**" if row.bad else escape(row.layer), *line] for row, line in zip(found.rows, rows)
        ]
        blocks.append(f"### {words(f'report.layers-{found.phase}')}")
        blocks.append(table([words("report.layer"), *header], cells, range(1, len(header) + 1)))
        blocks.append(escape(layer_sentence(found, run, words)))
    return blocks


def _plan(report: Report, words: Words) -> list[str]:
    blocks = []
    if report.plan:
        blocks.append(f"### {words('report.plan')}")
        blocks += [_step(step, words) for step in report.plan]
    if report.later:
        blocks.append(
            words.pair(words("report.then"), words.listed(f"{s.number} {escape(s.title)}" for s in report.later))
        )
    if report.diagnostic:
        blocks.append(f"### {words('report.plan-diagnostic')}")
        blocks.append(
            "\n".join(
                f"{s.number}. {escape(s.title)} ({words('report.minutes-n', minutes=minutes_text(s.minutes))})"
                for s in report.diagnostic
            )
        )
    return blocks


def _step(step: StepView, words: Words) -> str:
    facts = [words("kind." + step.kind)]
    if step.kind == "fix":
        facts.append(words.pair(words("report.success"), percent(step.success)))
    facts.append(words("report.minutes-n", minutes=minutes_text(step.minutes)))
    facts += [words("report.tried")] if step.tried else []
    facts += [words("report.masks")] if step.masks else []
    lines = [f"{step.number}. **{escape(step.title)}** ({words.listed(facts)})"]
    if step.patch or step.edits.shown:
        lines.append(fence(printable_code(step.patch) if step.patch else _edits(step), "diff"))
    lines += list(step.steps)
    if step.snippet:
        lines.append(fence(printable_code(step.snippet), "python" if step.snippet_framework != "Caffe" else ""))
    for label, text in (("tells", escape(words.causes(step.tells))), ("verify", step.verify), ("harm", step.harm)):
        if text:
            lines.append(f"*{words.pair(words('report.' + label), '')}* {text}".replace(" *", "*"))
    return "\n\n".join([lines[0], *("\n".join("   " + row for row in line.split("\n")) for line in lines[1:])])


def _edits(step: StepView) -> str:
    return "\n".join(
        f"@@ {edit.location} @@\n" + "\n".join(f"{sign}{line}" for sign, line in edit_lines(edit))
        for edit in step.edits.shown
    )


def _rest(report: Report, words: Words) -> list[str]:
    blocks = []
    if report.findings.shown:
        blocks.append(f"### {words('report.findings')}")
        blocks.append(
            "\n".join(f"- **{f.word}** {escape(f.text)} {place(f.places)}".rstrip() for f in report.findings.shown)
        )
        if report.findings.more:
            blocks.append(words("report.more", count=report.findings.more))
    if report.unchecked.shown:
        blocks.append(f"### {words('report.unchecked')}")
        blocks.append(
            "\n".join(
                f"- {words.pair(escape(o), escape(b)) if b else escape(o)}" + (f"<br>{escape(h)}" if h else "")
                for o, b, h in report.unchecked.shown
            )
        )
    if report.question:
        blocks.append(f"### {words('report.next')}")
        blocks.append(f"{escape(report.question)}\n\n`{report.answer_option}`")
    return blocks
