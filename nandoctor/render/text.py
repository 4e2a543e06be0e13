"""The report on a terminal or in a pipe: what it is, how sure, why (with the line), what to do; the verdict last."""

from __future__ import annotations

from collections.abc import Sequence

from nandoctor.diagnosis import Diagnosis, FileEdit
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Run
from nandoctor.readers.series import onset
from nandoctor.render.layout import NONE_OF_THESE, CauseView, Claim, Report, StepView, build
from nandoctor.render.page import NARROW, Page, Style
from nandoctor.render.plot import loss_curve, loss_series, spark, told_text
from nandoctor.render.scale import number
from nandoctor.render.width import cut, display_width, pad, wrap
from nandoctor.render.words import Words, decibans, edit_text, minutes_text, percent, short_names
from nandoctor.source import Location, printable

MIN_WIDTH = 40
MAX_WIDTH = 120  # wider lines are not read, they are followed with a finger
CURVE_HEIGHT = 10
CURVE_HEIGHT_NARROW = 8
BEFORE_SHOWN = 6  # finite values right before the onset
PLACE_SHARE = 0.3  # of the page's width for `file:line`
RIGHT = 5  # `+14`, `91 %` at the right edge
INDENT = 4


def render(
    diagnosis: Diagnosis,
    kb: KnowledgeBase,
    *,
    lang: str = "en",
    width: int = 96,
    colour: bool = False,
    ascii_only: bool = False,
    details: bool = False,
) -> str:
    """The whole report, at most `width` columns wide (code excepted), ending with the verdict and a line end.

    `details` leaves nothing out. `ascii_only` concerns the program's own characters, not the words of a language.
    """
    view = _TextReport(diagnosis, Words(kb, lang), min(max(width, MIN_WIDTH), MAX_WIDTH), ascii_only, details)
    return view.page().render(colour=colour, ascii_only=ascii_only)


class _TextReport:
    def __init__(self, diagnosis: Diagnosis, words: Words, width: int, ascii_only: bool, details: bool) -> None:
        self.diagnosis = diagnosis
        self.words = words
        self.ascii_only = ascii_only
        self.details = details
        self.report: Report = build(diagnosis, words.kb, words.lang, details=details)
        self.sheet = Page(width)
        self.told: set[str] = set()  # evidence already shown in full; under the next cause a line is enough
        places = _all_places(self.report)
        limit = int(width * PLACE_SHARE)
        full = max((display_width(str(place)) for place in places), default=0)
        self.names = short_names(place.file for place in places) if full > limit else {}
        texts = [self._place((place,)) for place in places] + _all_origins(self.report)
        self.place_width = min(max(map(display_width, texts), default=0), limit)

    def page(self) -> Page:
        """All sections in the order in which a tired reader needs them."""
        self._header()
        for run in self.diagnosis.runs:
            self._curve(run)
        self._causes()
        self._ruled_out()
        self._contradictions()
        for run in self.diagnosis.runs:
            self._layers(run)
        self._plan()
        self._second_plan()
        self._findings()
        self._unchecked()
        self._question()
        self._verdict()
        return self.sheet

    # --- what was read

    def _header(self) -> None:
        self.sheet.text(" · ".join(("nandoctor", *self.report.files)), style="bold")

    def _curve(self, run: Run) -> None:
        sheet, words = self.sheet, self.words
        sheet.blank()
        others = [r for r in self.diagnosis.runs if r is not run]
        if others:
            sheet.text(", ".join(map(printable, run.files)), indent=1, style="dim")
        if others and onset(run) is None and any(onset(r) for r in others):
            series = loss_series(run)
            line = spark([r.value for r in series.readings] if series else [], 40, ascii_only=self.ascii_only)
            sheet.text(line or words("plot.no-loss"), indent=1)
            return
        height = CURVE_HEIGHT if sheet.width >= NARROW else CURVE_HEIGHT_NARROW
        for line in loss_curve(
            run, sheet.width, height, ascii_only=self.ascii_only, lang=words.lang, kb=words.kb
        ):  # fmt: skip
            sheet.line((line, ""))
        if told := told_text(self.diagnosis, run, words.lang, words.kb):
            sheet.text(told, indent=1)
        found = onset(run)
        if found is None:
            return
        series, reading = found
        before = series.before_nonfinite()[-BEFORE_SHOWN:]
        if len(before) > 1:
            values = "  ".join([*(number(r.value) for r in before), number(reading.value)])
            sheet.line(("  ", ""), (cut(f"{words('plot.before')}  {values}", sheet.width - 2), "dim"))

    def _layers(self, run: Run) -> None:
        if not run.layers:
            return
        from nandoctor.render.layers import summary
        from nandoctor.render.layertable import write_layers

        found = summary(run.layers, rows=100 if self.details else 8)
        if found is None or not found.rows or found.phase not in ("forward", "backward", "update"):
            return
        write_layers(self.sheet, found, run, self.words)

    # --- why

    def _causes(self) -> None:
        report, words, sheet = self.report, self.words, self.sheet
        verdict = self.diagnosis.verdict
        heading = {"undetermined": "report.candidates", "healthy": "report.why-fine", "benign": "report.why-fine"}
        if not report.causes:
            return
        sheet.heading(words(heading.get(verdict, "report.causes")), words("report.weight"))
        for cause in report.causes:
            self._cause(cause)
        if report.others.shown:
            label = "report.also-possible" if verdict in ("healthy", "benign") else "report.also"
            named = [f"{other.title} {percent(other.probability)}" for other in report.others.shown]
            text = words.causes(
                [*named, words("report.more", count=report.others.more)] if report.others.more else named
            )
            sheet.text(words.pair(words(label), text), indent=INDENT, style="dim")

    def _cause(self, cause: CauseView) -> None:
        sheet, words = self.sheet, self.words
        chance = f"{cause.band}  {percent(cause.probability).rjust(6)}"
        room = sheet.width - INDENT - display_width(chance) - 2
        title = cut(cause.title, room)
        style: Style = "bold" if cause.rank == 1 else ""
        gap = " " * (room - display_width(title) + 2)
        sheet.line((f"{cause.rank:>2}  ", "dim"), (title, style), (gap, ""), (chance, style))
        if self.details and cause.summary:
            sheet.text(cause.summary, indent=INDENT, style="dim")
        if not (cause.support.shown or cause.against.shown):
            if self.diagnosis.verdict != "fault" or cause.id == NONE_OF_THESE:
                return
            sheet.text(words("report.no-evidence"), indent=INDENT, style="dim")
            return
        labels = (words("report.for"), words("report.against"))
        label_width = max(map(display_width, labels))
        for label, claims in zip(labels, (cause.support, cause.against)):
            if not claims.shown:
                sheet.text(words("report.nothing"), INDENT, "dim", label, label_width)
            for n, claim in enumerate(claims.shown):
                self._claim(claim, label if not n else "", label_width)
            if claims.more:
                sheet.text(words("report.more", count=claims.more), INDENT, "dim", " ", label_width)

    def _claim(self, claim: Claim, label: str, label_width: int, text: str = "") -> None:
        shown = text or claim.text
        repeated = not self.details and claim.text in self.told
        self.told.add(claim.text)
        self.sheet.row(
            shown,
            decibans(claim.decibans),
            indent=INDENT,
            label=label,
            label_width=label_width,
            place=self._place(claim.places) or claim.origin,
            place_width=self.place_width,
            right_width=RIGHT,
            one_line=repeated,
        )
        if self.details:
            for place in claim.places[1:]:
                self.sheet.text(str(place), INDENT + label_width + 2, "dim")

    def _ruled_out(self) -> None:
        if not self.report.ruled_out:
            return
        self.sheet.heading(self.words("report.ruled-out"))
        for title, claim in self.report.ruled_out:
            self._claim(claim, "", 0, self.words.pair(title, claim.text))

    def _contradictions(self) -> None:
        if self.report.contradictions:
            self.sheet.heading(self.words("report.contradictions"))
        for text in self.report.contradictions:
            self.sheet.text(text, INDENT, "yellow")

    # --- what to do

    def _plan(self) -> None:
        report, words, sheet = self.report, self.words, self.sheet
        if not report.plan:
            if self.diagnosis.verdict == "fault":
                sheet.heading(words("report.plan"))
                sheet.text(words("report.none-planned"), INDENT)
            return
        sheet.heading(words("report.plan"), f"{words('report.success')}  {words('report.minutes')}")
        for step in report.plan:
            self._step(step)
        if report.later:
            names = words.causes(f"{step.number} {step.title}" for step in report.later)
            sheet.text(words.pair(words("report.then"), names), INDENT, "dim")

    def _step(self, step: StepView) -> None:
        sheet, words = self.sheet, self.words
        kinds = {kind: words("kind." + kind) for kind in ("fix", "experiment")}
        kind_width = max(map(display_width, kinds.values()))
        columns = (display_width(words("report.success")), display_width(words("report.minutes")))
        chance = percent(step.success) if step.kind == "fix" or step.success >= 0.005 else ""
        minutes = pad(minutes_text(step.minutes), columns[1], right=True)
        right = f"{pad(chance, max(columns[0], 6), right=True)}  {minutes}"
        narrow = sheet.width < NARROW
        title = words.pair(kinds[step.kind], step.title) if narrow and step.kind == "experiment" else step.title
        inner = INDENT if narrow else INDENT + kind_width + 2
        room = sheet.width - inner - display_width(right) - 2
        style: Style = "dim" if step.tried else "bold" if step.number == 1 else ""
        kind = "" if narrow else pad(kinds[step.kind], kind_width + 2)
        for n, line in enumerate(wrap(title, room)):
            if n:
                sheet.line((" " * inner, ""), (line, style))
                continue
            sheet.line(
                (f"{step.number:>2}  ", "dim"),
                (kind, "yellow" if step.kind == "experiment" else ""),
                (line, style),
                (" " * (room - display_width(line) + 2), ""),
                (right, style),
            )
        remarks = [words("report.tried")] if step.tried else []
        remarks += [words("report.masks")] if step.masks else []
        for remark in remarks:
            sheet.text(remark, inner, "yellow")
        self._edits(step, inner)
        for text in step.steps:
            sheet.text(text, inner)
        if step.snippet:
            sheet.code(printable_code(step.snippet), inner)
        label_width = max(display_width(words(f"report.{name}")) for name in ("verify", "tells"))
        label_width = max(label_width, display_width(words("report.harm"))) if step.harm else label_width
        if step.tells:
            sheet.text(words.causes(step.tells), inner, "", words("report.tells"), label_width)
        if step.verify:
            sheet.text(step.verify, inner, "", words("report.verify"), label_width)
        if step.harm:
            sheet.text(step.harm, inner, "", words("report.harm"), label_width)

    def _edits(self, step: StepView, indent: int) -> None:
        for edit in step.edits.shown:
            place = self._place((edit.location,))
            if self.sheet.width < NARROW:
                self.sheet.text(place, indent, "cyan")
            for n, (sign, line) in enumerate(edit_lines(edit)):
                self.sheet.change(sign, line, indent, place if not n else "", self.place_width)
        if step.edits.more:
            self.sheet.text(self.words("report.more-places", count=step.edits.more), indent, "dim")

    def _second_plan(self) -> None:
        report, words = self.report, self.words
        if not report.diagnostic:
            return
        self.sheet.heading(words("report.plan-diagnostic"))
        for step in report.diagnostic:
            title = words.pair(words("kind.experiment"), step.title) if step.kind == "experiment" else step.title
            minutes = words("report.minutes-n", minutes=minutes_text(step.minutes))
            room = self.sheet.width - INDENT - display_width(minutes) - 2
            self.sheet.line((f"{step.number:>2}  ", "dim"), (pad(cut(title, room), room + 2), ""), (minutes, "dim"))

    # --- the rest

    def _findings(self) -> None:
        report, words, sheet = self.report, self.words, self.sheet
        if not report.findings.shown:
            return
        sheet.heading(words("report.findings"))
        label_width = max(display_width(finding.word) for finding in report.findings.shown)
        for finding in report.findings.shown:
            sheet.row(
                finding.text,
                "",
                indent=INDENT,
                label=finding.word,
                label_width=label_width,
                place=self._place(finding.places),
                place_width=self.place_width,
            )
            for edit in finding.edits[:2]:
                short = edit_text(edit, words)
                if short:
                    sheet.text(short, INDENT + label_width + 2, "green")
        if report.findings.more:
            sheet.text(words("report.more-details", count=report.findings.more), INDENT, "dim")

    def _unchecked(self) -> None:
        report, words, sheet = self.report, self.words, self.sheet
        if not report.unchecked.shown:
            return
        sheet.heading(words("report.unchecked"))
        for observation, because, how in report.unchecked.shown:
            sheet.text(words.pair(observation, because) if because else observation, INDENT)
            if how:
                sheet.text(how, INDENT + 2, "dim")
        if report.unchecked.more:
            sheet.text(words("report.more-details", count=report.unchecked.more), INDENT, "dim")

    def _question(self) -> None:
        report, words, sheet = self.report, self.words, self.sheet
        if not (report.question or report.what_if):
            return
        sheet.heading(words("report.next"))
        if report.question:
            sheet.text(report.question, INDENT)
            sheet.text(report.answer_option.replace("|", " | "), INDENT, "cyan")
        for text in report.what_if:
            sheet.text(text, INDENT, "dim")

    def _verdict(self) -> None:
        sheet = self.sheet
        sheet.blank()
        styles: dict[str, Style] = {"fault": "bold red", "undetermined": "bold yellow"}
        forms = self.report.verdicts
        fitting = next((form for form in forms if display_width(form) <= sheet.width), min(forms, key=display_width))
        sheet.text(fitting, style=styles.get(self.diagnosis.verdict, "bold green"))

    def _place(self, places: Sequence[Location]) -> str:
        if not places:
            return ""
        first = places[0]
        return str(Location(self.names.get(first.file, first.file), first.line))


def edit_lines(edit: FileEdit) -> list[tuple[str, str]]:
    """(`-` or `+`, line) of an edit, safe to print."""
    return [("-", printable(line)) for line in edit.removed] + [("+", printable(line)) for line in edit.added]


def printable_code(code: str) -> str:
    """Code line by line without control characters."""
    return "\n".join(" " * (len(line) - len(line.lstrip())) + printable(line.strip()) for line in code.split("\n"))


def _all_claims(report: Report) -> list[Claim]:
    claims = [claim for cause in report.causes for claim in cause.support.shown + cause.against.shown]
    return claims + [claim for _, claim in report.ruled_out]


def _all_origins(report: Report) -> list[str]:
    """Who said what no line shows: stands where the place would."""
    return [claim.origin for claim in _all_claims(report) if not claim.places]


def _all_places(report: Report) -> list[Location]:
    groups = [claim.places for claim in _all_claims(report)] + [finding.places for finding in report.findings.shown]
    places = [place for group in groups for place in group[:1]]
    return places + [edit.location for step in report.plan for edit in step.edits.shown]
