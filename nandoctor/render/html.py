"""The report as one HTML file: no script, nothing loaded from elsewhere, light and dark, readable on paper."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape as html_escape

from nandoctor.diagnosis import Diagnosis
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render.layers import summary
from nandoctor.render.layertable import layer_cells, layer_sentence
from nandoctor.render.layout import CauseView, Claim, Report, StepView, build
from nandoctor.render.plot import loss_curve, told_text
from nandoctor.render.svg import loss_svg
from nandoctor.render.text import edit_lines, printable_code
from nandoctor.render.words import Words, decibans, minutes_text, percent
from nandoctor.source import Location, printable

OPEN_CAUSES = 1  # the first cause lies open, the others unfold
COLOURS = {"fault": "bad", "undetermined": "warn", "healthy": "good", "benign": "good"}

STYLE = """
:root { color-scheme: light dark; --fg:#1b1f24; --dim:#5b6572; --bg:#fff; --box:#f5f7f9; --line:#d5dbe1;
  --bad:#b3261e; --warn:#8a5a00; --good:#1a6b36; --link:#0b5cad; --add:#dff3e4; --del:#fbe3e1; }
@media (prefers-color-scheme: dark) { :root {
  --fg:#dfe4ea; --dim:#98a2ae; --bg:#14181d; --box:#1c2228; --line:#343c45;
  --bad:#ff8a80; --warn:#f2c063; --good:#7fd49a; --link:#7db7f5; --add:#173d24; --del:#4a1f1d; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK KR", sans-serif; color: var(--fg);
  background: var(--bg); max-width: 58rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.35rem; line-height: 1.35; margin: .2rem 0 .3rem; border-left: .4rem solid; padding-left: .7rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
.bad { color: var(--bad); } .warn { color: var(--warn); } .good { color: var(--good); } .dim { color: var(--dim); }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .2rem .5rem; text-align: left; vertical-align: top; }
th { color: var(--dim); font-weight: normal; border-bottom: 1px solid var(--line); }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.place, code, pre { font: .86em/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
.place { color: var(--link); white-space: nowrap; }
@media (max-width: 40rem) { .place { white-space: normal; overflow-wrap: anywhere; } .bar { display: none; } }
pre { background: var(--box); padding: .6rem .8rem; overflow-x: auto; border-radius: .3rem; margin: .4rem 0; }
ins, del { text-decoration: none; display: block; } ins { background: var(--add); } del { background: var(--del); }
details { border-top: 1px solid var(--line); }
summary { display: flex; gap: .8rem; padding: .45rem 0; cursor: pointer; } summary .t { flex: 1; font-weight: 600; }
.bar { width: 8rem; height: .55rem; margin-top: .5rem; background: var(--box); border-radius: .3rem; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--dim); }
.band { min-width: 6rem; text-align: right; } summary .n { min-width: 3.2rem; }
ol.plan { padding-left: 1.4rem; } ol.plan > li { margin-bottom: 1rem; } .facts { color: var(--dim); }
.tag { border: 1px solid; border-radius: .3rem; padding: 0 .35rem; font-size: .85em; white-space: nowrap; }
svg.curve { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--dim); }
svg text.bad { fill: var(--bad); font-weight: 600; } .loss { fill: none; stroke: var(--link); stroke-width: 1.6; }
.grid { stroke: var(--line); stroke-width: .7; } .axis { stroke: var(--dim); } .nan { fill: var(--bad); }
.onset { stroke: var(--bad); stroke-dasharray: 3 3; }
footer { margin-top: 2.5rem; color: var(--dim); font-size: .85rem; }
@media print { details:not([open]) > :not(summary) { display: block; } body { max-width: none; } }
"""


def render(diagnosis: Diagnosis, kb: KnowledgeBase, *, lang: str = "en", details: bool = True) -> str:
    """The whole report as a self-contained page; folded parts need no script."""
    words = Words(kb, lang)
    report = build(diagnosis, kb, lang, details=details)
    verdict = text(report.verdicts[0])
    body = [
        f'<h1 class="{COLOURS[diagnosis.verdict]}">{verdict}</h1>',
        f'<p class="dim">{" · ".join(map(text, report.files))}</p>',
    ]
    for run in diagnosis.runs:
        drawn = loss_svg(run, lang, kb)
        body.append(drawn or "".join(f"<p>{text(line)}</p>" for line in loss_curve(run, 200, 8, lang=lang, kb=kb)))
        if told := told_text(diagnosis, run, lang, kb):
            body.append(f"<p>{text(told)}</p>")
    body += _causes(diagnosis, report, words)
    body += _layers(diagnosis, words)
    body += _plan(report, words)
    body += _rest(report, words)
    body.append(f"<footer>{text(words('report.local', version=_version()))}</footer>")
    head = (
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>nandoctor: {verdict}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    )
    return head + "\n".join(body) + "\n</body>\n</html>\n"


def text(value: str) -> str:
    """Text as HTML, without control characters."""
    return html_escape(printable(value.replace("\u00a0", " ")))


def prose(value: str) -> str:
    """A text of the knowledge base as HTML; its `code` becomes code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(value))


def place(places: Sequence[Location], otherwise: str = "", *, every: bool = False) -> str:
    """The first place, or all of them."""
    if not places:
        return f'<span class="dim">{text(otherwise)}</span>'
    shown = places if every else places[:1]
    return "<br>".join(f'<span class="place">{text(str(p))}</span>' for p in shown)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; `right` are the columns of numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        made = (f"<{tag}{' class=n' if n in right else ''}>{cell}</{tag}>" for n, cell in enumerate(cells))
        return f"<tr>{''.join(made)}</tr>"

    return "<table>" + line(header, "th") + "".join(line(row, "td") for row in rows) + "</table>"


# --- the parts


def _causes(diagnosis: Diagnosis, report: Report, words: Words) -> list[str]:
    heading = {"undetermined": "report.candidates", "healthy": "report.why-fine", "benign": "report.why-fine"}
    if not report.causes:
        return []
    body = [f"<h2>{text(words(heading.get(diagnosis.verdict, 'report.causes')))}</h2>"]
    body += [_cause(cause, words) for cause in report.causes]
    if report.others.shown:
        named = words.causes(f"{other.title} {percent(other.probability)}" for other in report.others.shown)
        body.append(f'<p class="dim">{text(words.pair(words("report.also"), named))}</p>')
    if report.ruled_out:
        body.append(f"<h2>{text(words('report.ruled-out'))}</h2>")
        rows = [
            [text(title), text(c.text), place(c.places, c.origin), decibans(c.decibans)]
            for title, c in report.ruled_out
        ]
        body.append(table(["", "", text(words("report.where")), text(words("report.weight"))], rows, (3,)))
    if report.contradictions:
        body.append(f"<h2>{text(words('report.contradictions'))}</h2>")
        body += [f'<p class="warn">{text(sentence)}</p>' for sentence in report.contradictions]
    return body


def _cause(cause: CauseView, words: Words) -> str:
    def rows(label: str, claims: Sequence[Claim]) -> list[list[str]]:
        if not claims:
            return [[text(words(label)), f'<span class="dim">{text(words("report.nothing"))}</span>', "", ""]]
        return [
            [text(words(label)), text(c.text), place(c.places, c.origin, every=True), decibans(c.decibans)]
            for c in claims
        ]

    header = ["", text(words("report.evidence")), text(words("report.where")), text(words("report.weight"))]
    chance = round(100 * min(max(cause.probability, 0.0), 1.0))
    opened = " open" if cause.rank <= OPEN_CAUSES else ""
    evidence = rows("report.for", cause.support.shown) + rows("report.against", cause.against.shown)
    return "".join(
        [
            f'<details{opened}><summary><span class="dim">{cause.rank}</span>',
            f'<span class="t">{text(cause.title)}</span><span class="bar"><i style="width:{chance}%"></i></span>',
            f'<span class="band">{text(cause.band)}</span>',
            f'<span class="n">{text(percent(cause.probability))}</span></summary>',
            f"<p>{prose(cause.summary)}</p>" if cause.summary else "",
            table(header, evidence, (3,)) if evidence else "",
            "</details>",
        ]
    )


def _layers(diagnosis: Diagnosis, words: Words) -> list[str]:
    body = []
    for run in diagnosis.runs:
        found = summary(run.layers, rows=16)
        if found is None or not found.rows:
            continue
        header, cells = layer_cells(found, run, words)
        rows = [
            [f'<b class="bad">{text(row.layer)}</b>' if row.bad else text(row.layer), *map(text, line)]
            for row, line in zip(found.rows, cells)
        ]
        body.append(f"<h2>{text(words(f'report.layers-{found.phase}'))}</h2>")
        body.append(table([text(words("report.layer")), *map(text, header)], rows, range(1, len(header) + 1)))
        body.append(f"<p>{text(layer_sentence(found, run, words))}</p>")
    return body


def _plan(report: Report, words: Words) -> list[str]:
    body = []
    if report.plan:
        body.append(f'<h2>{text(words("report.plan"))}</h2><ol class="plan">')
        body += [_step(step, words) for step in report.plan]
        body.append("</ol>")
    if report.diagnostic:
        body.append(f"<h2>{text(words('report.plan-diagnostic'))}</h2><ol>")
        for step in report.diagnostic:
            minutes = text(words("report.minutes-n", minutes=minutes_text(step.minutes)))
            body.append(f'<li>{text(step.title)} <span class="dim">{minutes}</span></li>')
        body.append("</ol>")
    return body


def _step(step: StepView, words: Words) -> str:
    facts = [words.pair(words("report.success"), percent(step.success))] if step.kind == "fix" else []
    facts.append(words("report.minutes-n", minutes=minutes_text(step.minutes)))
    tags = [words("kind.experiment")] if step.kind == "experiment" else []
    tags += [words("report.tried")] if step.tried else []
    tags += [words("report.masks")] if step.masks else []
    out = [f'<li><b>{text(step.title)}</b> <span class="facts">{text(words.listed(facts))}</span>']
    out += [f' <span class="tag warn">{text(tag)}</span>' for tag in tags]
    for edit in step.edits.shown:
        lines = "".join(
            f"<{'ins' if s == '+' else 'del'}>{s} {text(line)}</{'ins' if s == '+' else 'del'}>"
            for s, line in edit_lines(edit)
        )
        out.append(f'<div class="place">{text(str(edit.location))}</div><pre>{lines}</pre>')
    if step.steps:
        out.append("<ul>" + "".join(f"<li>{prose(item)}</li>" for item in step.steps) + "</ul>")
    if step.snippet:
        out.append(f"<pre>{html_escape(printable_code(step.snippet).rstrip())}</pre>")
    if step.patch:
        out.append(
            f"<details><summary>{text(words('report.patch'))}</summary>"
            f"<pre>{html_escape(printable_code(step.patch).rstrip())}</pre></details>"
        )
    for label, value in (("tells", words.causes(step.tells)), ("verify", step.verify), ("harm", step.harm)):
        if value:
            out.append(
                f'<div><span class="dim">{text(words.pair(words("report." + label), ""))}</span> {prose(value)}</div>'
            )
    return "".join(out) + "</li>"


def _rest(report: Report, words: Words) -> list[str]:
    body = []
    if report.findings.shown:
        body.append(f"<h2>{text(words('report.findings'))}</h2>")
        kinds = {"error": "bad", "warning": "warn", "note": "dim"}
        body.append(
            table(
                ["", "", text(words("report.where"))],
                [
                    [f'<span class="{kinds[f.severity]}">{text(f.word)}</span>', text(f.text), place(f.places)]
                    for f in report.findings.shown
                ],
            )
        )
    if report.unchecked.shown:
        body.append(f"<h2>{text(words('report.unchecked'))}</h2><ul>")
        for observation, because, how in report.unchecked.shown:
            more = f'<br><span class="dim">{prose(how)}</span>' if how else ""
            body.append(f"<li>{text(words.pair(observation, because) if because else observation)}{more}</li>")
        body.append("</ul>")
    if report.question:
        body.append(
            f"<h2>{text(words('report.next'))}</h2><p>{text(report.question)}<br><code>{text(report.answer_option)}</code></p>"
        )
    body += [f'<p class="dim">{text(sentence)}</p>' for sentence in report.what_if]
    return body


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("nandoctor")
    except PackageNotFoundError:
        return ""
