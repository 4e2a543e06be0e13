"""The command palette: `group: action`, in the language spoken, only what makes sense now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Protocol, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from nandoctor.interview import Ask, AtPlan
from nandoctor.render.transcript import Recording
from nandoctor.tui.messages import LineGiven
from nandoctor.tui.themes import DARK, LIGHT, PLAIN


class Host(Protocol):
    """What the palette needs of the app it is shown in."""

    kept: Recording
    theme: str

    @property
    def no_color(self) -> bool:
        """Whether there are no colours to choose from."""

    def use_theme(self, name: str) -> None:
        """Changes the theme."""


class Command(NamedTuple):
    """A line of the palette."""

    name: str
    run: Callable[[], None]


LANGUAGES = (("en", "English"), ("zh", "中文"), ("ko", "한국어"))
REPORTS = ("nandoctor-report.md", "nandoctor-report.json", "nandoctor-report.html", "nandoctor-report.txt")


class ConsultationCommands(Provider):
    """Everything that can be asked of the program."""

    def _commands(self) -> Iterator[Command]:
        host = cast("Host", self.app)  # Textual makes providers itself, with the screen alone
        words, now = host.kept.words, host.kept.now

        def line(text: str) -> Callable[[], None]:
            return partial(self._give, text)

        if isinstance(now.pending, Ask):
            for name in ("why", "find", "skip"):
                yield Command(words(f"ui.cmd-{name}"), line(name))
            if now.consultation.kb.observations[now.pending.observation].kind == "experiment":
                yield Command(words("ui.cmd-later"), line("later"))
        if now.before is not None:
            yield Command(words("ui.cmd-undo"), line("undo"))
        if now.heard:
            yield Command(words("ui.cmd-wrong"), line("wrong"))
        for name in ("how", "whatif", "evidence"):
            yield Command(words(f"ui.cmd-{name}"), line(name))
        yield Command(words("ui.cmd-fastest"), line("plan fastest"))
        yield Command(words("ui.cmd-diagnostic"), line("plan diagnostic"))
        if isinstance(now.pending, AtPlan):
            yield Command(words("ui.cmd-more"), line("more"))
        for file in REPORTS:
            yield Command(words("ui.cmd-save", file=file), line(f"save {file}"))
        yield Command(words("ui.cmd-redacted", file=REPORTS[0]), line(f"save {REPORTS[0]} redacted"))
        for lang, name in LANGUAGES:
            if lang != now.lang:
                yield Command(words("ui.cmd-language", name=name), line(f"lang {lang}"))
        for theme in (DARK, LIGHT, PLAIN):
            if theme != host.theme and not host.no_color:
                yield Command(words(f"ui.cmd-{theme.removeprefix('nandoctor-')}"), partial(host.use_theme, theme))
        yield Command(words("ui.cmd-panel"), partial(self._act, "side"))
        yield Command(words("ui.cmd-copy"), partial(self._act, "copy_reply"))
        yield Command(words("ui.cmd-help"), partial(self._act, "help"))
        yield Command(words("ui.cmd-quit"), line("quit"))

    def _give(self, text: str) -> None:
        self.screen.post_message(LineGiven(text))

    def _act(self, name: str) -> None:
        self.app.call_later(self.screen.run_action, name)

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for command in self._commands():
            yield DiscoveryHit(command.name, command.run)

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for command in self._commands():
            score = matcher.match(command.name)
            if score > 0:
                yield Hit(score, matcher.highlight(command.name), command.run)
