"""A step of the plan in full, with what can be done with it."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from nandoctor.interview.replies import StepShown
from nandoctor.render.words import Words
from nandoctor.tui.messages import StepWanted
from nandoctor.tui.widgets.utterance import Utterance


class Act(Static, can_focus=True):
    """A word that does something when clicked, or with Enter."""

    BINDINGS = [Binding("enter,space", "act", show=False, id="act.do")]  # noqa: RUF012

    def __init__(self, label: str, action: str, remedy: str, text: str = "") -> None:
        super().__init__(label, markup=False, classes="act")
        self.action = action
        self.remedy = remedy
        self.text = text

    def action_act(self) -> None:
        """Does it."""
        self.post_message(StepWanted(self.action, self.remedy, self.text))

    def on_click(self, event: events.Click) -> None:
        """Does it."""
        event.stop()
        self.action_act()


class StepCard(Vertical):
    """The step's text and its actions."""

    def __init__(self, shown: StepShown, words: Words) -> None:
        super().__init__(classes="card")
        self.shown = shown
        self.words = words

    def compose(self) -> ComposeResult:  # noqa: D102
        step = self.shown.step
        yield Utterance([self.shown], self.words)
        with Horizontal(classes="acts"):
            if step.patch:
                yield Act(self.words("ui.copy-patch"), "copy", step.id, step.patch)
            elif step.snippet:
                yield Act(self.words("ui.copy-code"), "copy", step.id, step.snippet)
            yield Act(self.words("choice.helped"), "helped", step.id)
            yield Act(self.words("choice.no-help"), "no", step.id)
