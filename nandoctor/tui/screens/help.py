"""The help: what can be typed, and the keys."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from nandoctor.interview.replies import Guide
from nandoctor.render.page import Page
from nandoctor.render.speech import say
from nandoctor.render.words import Words
from nandoctor.tui.widgets.utterance import Paged

KEYS = (
    ("0-9", "digits"),
    ("↑ ↓ ⏎", "arrows"),
    ("Ctrl+↑ ↓", "history"),
    ("PgUp PgDn", "pages"),
    ("Tab", "focus"),
    ("F1", "help"),
    ("F2", "panel"),
    ("F3", "why"),
    ("F4", "find"),
    ("F5", "whatif"),
    ("F6", "plan"),
    ("Ctrl+Z", "undo"),
    ("Ctrl+S", "save"),
    ("Ctrl+Y", "copy"),
    ("Ctrl+P", "commands"),
    ("Esc", "escape"),
    ("Ctrl+C", "quit"),
)
KEY_WIDTH = 10


class _Text(Paged):
    def __init__(self, words: Words) -> None:
        super().__init__()
        self.words = words

    def page(self, width: int) -> Page:
        page = Page(width)
        say(page, Guide(), self.words)
        page.heading(self.words("ui.keys"))
        for key, name in KEYS:
            page.text(self.words(f"ui.help-{name}"), 2, label=key, label_width=KEY_WIDTH)
        page.blank()
        page.text(self.words("ui.help-privacy"), 0, "dim")
        return page


class HelpScreen(ModalScreen[None]):
    """Any of the usual keys closes it."""

    BINDINGS = [Binding("escape,f1,q,enter", "dismiss", "Close", id="help.close")]  # noqa: RUF012

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.words = words

    def compose(self) -> ComposeResult:  # noqa: D102
        with VerticalScroll(id="help", can_focus=True) as box:
            box.border_title = self.words("ui.help")
            box.border_subtitle = self.words("ui.esc-closes")
            yield _Text(self.words)
