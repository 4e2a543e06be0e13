"""The last line: the keys that matter now, in the language spoken; each can be clicked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from nandoctor.render.width import display_width

GAP = 2  # columns between two keys, as in app.tcss


class Key(NamedTuple):
    """A key, what it does in words, and the action behind it."""

    key: str
    label: str
    action: str


class _Hint(Static):
    def __init__(self, key: Key) -> None:
        super().__init__(Content.assemble((key.key, "bold"), (f" {key.label}", "$quiet")), classes="hint")
        self.key = key

    async def on_click(self, event: events.Click) -> None:
        event.stop()
        await self.screen.run_action(self.key.action)


class KeyLine(Horizontal):
    """Keys in order of importance; what does not fit is left out."""

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__(id="keys")
        self.keys = tuple(keys)

    def compose(self) -> ComposeResult:  # noqa: D102
        for key in self.keys:
            yield _Hint(key)

    async def show(self, keys: Sequence[Key]) -> None:
        """Other keys, or another language."""
        if tuple(keys) != self.keys:
            self.keys = tuple(keys)
            await self.recompose()
            self._fit()

    def on_resize(self) -> None:
        """Another width has room for other keys."""
        self._fit()

    def _fit(self) -> None:
        """Leaves out what does not fit whole."""
        used = 0
        for hint, key in zip(self.query(_Hint), self.keys):
            used += display_width(f"{key.key} {key.label}")
            hint.display = used <= self.content_size.width
            used += GAP
