"""The line at the bottom: words, files, pastes; with a question open and nothing typed, its keys answer at once."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.widgets import Input

from nandoctor.tui.messages import LineGiven
from nandoctor.tui.widgets.choices import Choices

ONE_LINE = 1000  # characters; a longer paste is a text, not a line
HISTORY = 200


class Prompt(Input):
    """Input with history, whole pastes, and the choices of the open question."""

    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("up", "earlier", "Earlier line or choice", show=False, id="prompt.up"),
        Binding("down", "later", "Later line or choice", show=False, id="prompt.down"),
        Binding("ctrl+up", "history(-1)", "Earlier line", show=False, id="prompt.history-back"),
        Binding("ctrl+down", "history(1)", "Later line", show=False, id="prompt.history-forward"),
        Binding("pageup", "screen.page(-1)", "Back", show=False, id="prompt.page-up"),
        Binding("pagedown", "screen.page(1)", "Forward", show=False, id="prompt.page-down"),
    ]

    def __init__(self) -> None:
        super().__init__(id="prompt", select_on_focus=False, compact=True)
        self.lines: list[str] = []
        self.place = 0
        self.draft = ""
        self.choices: Choices | None = None

    def watch_value(self, value: str) -> None:
        """The first digits of a longer number mark the choice they stand for so far."""
        if self.choices is not None and value.isdecimal():
            self.choices.mark(value)

    async def _on_key(self, event: events.Key) -> None:
        """A key of the open question picks its answer if nothing is typed."""
        key = event.character or ""
        if not self.value and self.choices is not None and key and self.choices.exact(key):
            event.stop()
            event.prevent_default()
            self.post_message(LineGiven(key))
            return
        await super()._on_key(event)

    def _on_paste(self, event: events.Paste) -> None:
        """A text of several lines is handed over as it is; one line goes where the cursor is."""
        event.stop()
        event.prevent_default()
        text = event.text
        if "\n" in text.strip() or "\r" in text.strip() or len(text) > ONE_LINE:
            self.post_message(LineGiven((self.value + " " if self.value.strip() else "") + text))
            self.value = ""
        elif text:
            self.replace(text.strip("\r\n"), *self.selection)

    def action_earlier(self) -> None:
        """Up: the choice above, or the line before."""
        if not self.value and self.choices is not None:
            self.choices.move(-1)
        else:
            self.action_history(-1)

    def action_later(self) -> None:
        """Down: the choice below, or the next line."""
        if not self.value and self.choices is not None:
            self.choices.move(1)
        else:
            self.action_history(1)

    def action_history(self, by: int) -> None:
        """Walks through the lines typed before; what was being typed comes back at the end."""
        if self.place == len(self.lines):
            self.draft = self.value
        place = min(max(self.place + by, 0), len(self.lines))
        if place != self.place:
            self.place = place
            self.value = self.lines[place] if place < len(self.lines) else self.draft
            self.cursor_position = len(self.value)

    def remember(self, line: str) -> None:
        """Keeps a line for the history."""
        if line.strip() and "\n" not in line and (not self.lines or self.lines[-1] != line):
            self.lines = [*self.lines, line][-HISTORY:]
        self.place = len(self.lines)
        self.draft = ""

    async def action_submit(self) -> None:
        """Enter: the line; with nothing typed, the marked choice."""
        if self.value.strip():
            line = self.value
            self.value = ""
            self.remember(line)
            self.post_message(LineGiven(line))
        elif self.choices is not None and self.choices.marked is not None:
            self.post_message(LineGiven(self.choices.marked.key))
