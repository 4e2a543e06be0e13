"""The side panel as a screen of its own, for terminals too narrow to show it beside the conversation."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen

from nandoctor.consultation import Consultation
from nandoctor.render.words import Words
from nandoctor.tui.messages import LineGiven
from nandoctor.tui.widgets.panel import Panel


class FoldedPanel(ModalScreen[str]):
    """Gives the line that a click or Enter in it stands for, or "" when it is closed."""

    BINDINGS = [Binding("escape,f2,q", "close", "Close", id="panel.close")]  # noqa: RUF012

    def __init__(self, consultation: Consultation, words: Words) -> None:
        super().__init__()
        self.consultation = consultation
        self.words = words

    def compose(self) -> ComposeResult:  # noqa: D102
        panel = Panel(self.consultation, self.words, "folded")
        panel.border_subtitle = self.words("ui.esc-closes")
        yield panel

    @on(LineGiven)
    def _line(self, event: LineGiven) -> None:
        event.stop()
        self.dismiss(event.line)

    def action_close(self) -> None:
        """Back to the conversation."""
        self.dismiss("")
