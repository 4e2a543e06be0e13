"""The side: what is believed, the loss, the net, the evidence. Shows a consultation; asks nothing of it but views."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive

from nandoctor.consultation import Consultation
from nandoctor.interview.reasons import telling
from nandoctor.render.page import Page
from nandoctor.render.phrases import evidence_text, source_text
from nandoctor.render.plot import loss_curve, loss_series
from nandoctor.render.width import cut, display_width, pad
from nandoctor.render.words import Words, percent, short_names
from nandoctor.source import printable
from nandoctor.tui.messages import LineGiven
from nandoctor.tui.widgets.utterance import Laid, Paged

CAUSES = 7
SHOWN_FROM = 0.01
BAR = 6  # columns
ROOMY = 44  # columns of the panel from which bars are longer
CURVE_HEIGHT = 9
EIGHTHS = " ▏▎▍▌▋▊▉█"
OUTLINE_AROUND = 1  # layers shown before and after a suspicious one
OUTLINE_MOST = 24
EVIDENCE_SHOWN = 40


class Section(Laid):
    """A part of the side panel over one consultation."""

    def __init__(self, consultation: Consultation, words: Words, name: str) -> None:
        super().__init__(id=name, classes="section")
        self.consultation = consultation
        self.words = words
        self.border_title = words(f"ui.{name}")

    def show(self, consultation: Consultation, words: Words) -> None:
        """Shows another state of the consultation."""
        self.consultation, self.words = consultation, words
        self.border_title = words(f"ui.{self.id}")
        self.display = self.has_something()
        self.refresh(layout=True)

    def has_something(self) -> bool:
        """Whether there is anything to show."""
        return True

    def on_mount(self) -> None:
        """Nothing to show: no space taken."""
        self.display = self.has_something()


class Beliefs(Section, can_focus=True):
    """The ranking as bars; a row opens the evidence for it."""

    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("up", "move(-1)", show=False, id="beliefs.up"),
        Binding("down", "move(1)", show=False, id="beliefs.down"),
        Binding("enter", "open", show=False, id="beliefs.open"),
    ]
    cursor: reactive[int] = reactive(-1)

    def __init__(self, consultation: Consultation, words: Words, name: str) -> None:
        super().__init__(consultation, words, name)
        self.before: dict[str, float] = {}

    def show(self, consultation: Consultation, words: Words) -> None:
        """Shows another state, and by how many points each cause moved."""
        if consultation is not self.consultation:
            self.before = self.consultation.belief.marginals if self.consultation.events else {}
        super().show(consultation, words)

    def ranked(self) -> list[tuple[str, float]]:
        """The causes shown."""
        ranking = self.consultation.belief.ranking
        return [(c, p) for n, (c, p) in enumerate(ranking[:CAUSES]) if p >= SHOWN_FROM or n < 3]

    def content(self, width: int) -> Content:  # noqa: D102
        bars = BAR if width < ROOMY else BAR + 4
        room = max(8, width - bars - 11)
        lines = []
        for number, (cause, probability) in enumerate(self.ranked()):
            title = pad(cut(self.words.cause(cause), room), room)
            share = percent(probability).rstrip("% \u00a0").rjust(5)
            change = round(100 * probability) - round(100 * self.before.get(cause, probability))
            moved = (f"{change:+4d}" if change else "    ", "$success" if change > 0 else "$quiet")
            line = Content.assemble(title, " ", (pad(bar(probability, bars), bars), "$bar"), share, " ", moved)
            lines.append(line.stylize("reverse") if number == self.cursor else line)
        return Content("\n").join(lines)

    def action_move(self, by: int) -> None:
        """Moves the mark."""
        self.cursor = (self.cursor + by) % max(len(self.ranked()), 1)

    def action_open(self) -> None:
        """Asks how the marked cause came about."""
        if 0 <= self.cursor < len(self.ranked()):
            self.post_message(LineGiven(f"how {self.ranked()[self.cursor][0]}"))

    def on_click(self, event: events.Click) -> None:
        """The same with the mouse."""
        offset = event.get_content_offset(self)
        if offset is not None and 0 <= offset.y < len(self.ranked()):
            self.post_message(LineGiven(f"how {self.ranked()[offset.y][0]}"))

    def on_blur(self) -> None:
        """No mark without the focus."""
        self.cursor = -1


def bar(share: float, width: int) -> str:
    """A bar of eighths of a column."""
    eighths = round(max(0.0, min(share, 1.0)) * width * 8)
    return "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")


class Curve(Section, Paged):
    """The loss of the run, with the place of the first NaN."""

    def has_something(self) -> bool:  # noqa: D102
        run = self.consultation.ingested.run
        return run is not None and loss_series(run) is not None

    def page(self, width: int) -> Page:  # noqa: D102
        page = Page(width)
        run = self.consultation.ingested.run
        if run is not None:
            for line in loss_curve(run, width, CURVE_HEIGHT, lang=self.words.lang, kb=self.words.kb):
                page.line((cut(line.rstrip(), width), ""))
        return page


class Outline(Section, Paged):
    """The layers of the net, those with a finding marked; long runs of unsuspicious ones are folded."""

    def has_something(self) -> bool:  # noqa: D102
        net = self.consultation.ingested.net
        return net is not None and bool(net.layers)

    def page(self, width: int) -> Page:  # noqa: D102
        page = Page(width)
        net = self.consultation.ingested.net
        if net is None:
            return page
        suspects = self._suspects()
        layers = net.for_phase("TRAIN") or net.layers
        shown = self._shown([layer.name in suspects for layer in layers])
        last = -1
        names = min(max((display_width(layer.name) for layer in layers), default=0), width // 2)
        for number in shown:
            if number > last + 1:
                page.line((self.words("ui.layers-between", count=number - last - 1), "dim"))
            layer, last = layers[number], number
            mark = suspects.get(layer.name, "")
            sign = {"error": "×", "warning": "!", "note": "·"}.get(mark, " ")
            style = {"error": "red", "warning": "yellow"}.get(mark, "")
            name = pad(cut(printable(layer.name), names), names)
            kind = cut(printable(layer.type), max(0, width - names - 3))
            page.line((f"{sign} ", style), (name, style), (f" {kind}", "dim"))  # type: ignore[arg-type]
        if last + 1 < len(layers):
            page.line((self.words("ui.layers-between", count=len(layers) - last - 1), "dim"))
        return page

    def _suspects(self) -> dict[str, str]:
        """Layer name -> the gravest severity found in it, by the places of the findings."""
        net = self.consultation.ingested.net
        found: dict[str, str] = {}
        if net is None:
            return found
        starts = [(layer.location.line, layer.name) for layer in net.layers]
        order = ("error", "warning", "note")
        for finding in self.consultation.ingested.findings:
            for place in finding.locations:
                if place.file != net.file:
                    continue
                owner = max(((line, name) for line, name in starts if line <= place.line), default=None)
                if owner and order.index(finding.severity) < order.index(found.get(owner[1], "note")) + 1:
                    found[owner[1]] = finding.severity
        return found

    @staticmethod
    def _shown(suspicious: list[bool]) -> list[int]:
        if len(suspicious) <= OUTLINE_MOST:
            return list(range(len(suspicious)))
        near = {
            place
            for number, is_suspect in enumerate(suspicious)
            if is_suspect
            for place in range(number - OUTLINE_AROUND, number + OUTLINE_AROUND + 1)
        }
        ends = {0, 1, len(suspicious) - 2, len(suspicious) - 1}
        return sorted(n for n in near | ends if 0 <= n < len(suspicious))[: 2 * OUTLINE_MOST]


class EvidenceList(Section, Paged):
    """Everything held, the most telling first."""

    def has_something(self) -> bool:  # noqa: D102
        return bool(self.consultation.evidence)

    def page(self, width: int) -> Page:  # noqa: D102
        page = Page(width)
        held = telling(self.consultation, self.consultation.evidence)
        names = short_names(place.file for item in held for place in item.locations)
        for item in held[:EVIDENCE_SHOWN]:
            page.text(evidence_text(item, self.words), 0)
            page.text(source_text(item, self.words, names), 2, "cyan")
        if len(held) > EVIDENCE_SHOWN:
            page.text(self.words("report.more", count=len(held) - EVIDENCE_SHOWN), 0, "dim")
        return page


class Panel(VerticalScroll):
    """All sections, one below the other."""

    can_focus = True

    def __init__(self, consultation: Consultation, words: Words, name: str = "panel") -> None:
        super().__init__(id=name)
        self.sections: tuple[Section, ...] = (
            Beliefs(consultation, words, "beliefs"),
            Curve(consultation, words, "curve"),
            Outline(consultation, words, "outline"),
            EvidenceList(consultation, words, "evidence"),
        )

    def compose(self) -> ComposeResult:  # noqa: D102
        yield from self.sections

    def show(self, consultation: Consultation, words: Words) -> None:
        """Shows another state."""
        for section in self.sections:
            section.show(consultation, words)
