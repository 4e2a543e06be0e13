"""The terminal application: one recorded conversation, three themes, and a way out that always works."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from nandoctor.errors import ExitCode
from nandoctor.render.transcript import Recording
from nandoctor.tui.commands import ConsultationCommands
from nandoctor.tui.screens.consultation import ConsultationScreen
from nandoctor.tui.themes import DARK, FALLBACK, PLAIN, THEMES

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class NandoctorApp(App[int]):
    """Holds the recording; the screen shows it."""

    CSS_PATH = Path(__file__).with_name("app.tcss")
    TITLE = "nandoctor"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[type[ConsultationCommands]]] = {ConsultationCommands}  # type: ignore[assignment]
    BINDINGS = [  # noqa: RUF012 - Textual reads a plain list
        Binding("ctrl+c", "interrupt", "Quit", show=False, priority=True, id="quit"),
        Binding("ctrl+q", "interrupt", "Quit", show=False, priority=True, id="quit-too"),
    ]

    def __init__(self, kept: Recording, *, theme: str = DARK, file_error: str = "") -> None:
        plain = theme == PLAIN or bool(os.environ.get("NO_COLOR"))
        super().__init__(ansi_color=True if plain else None)  # else NO_COLOR would turn the terminal's own into black
        self.kept = kept
        self._file_error = file_error
        for known in THEMES:
            self.register_theme(known)
        self.theme = PLAIN if plain else theme

    def get_theme_variable_defaults(self) -> dict[str, str]:  # noqa: D102
        return {**FALLBACK, "border": "#444444"}

    def get_default_screen(self) -> Screen[int]:  # noqa: D102
        return ConsultationScreen(self.kept, self._file_error)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """None of Textual's own: ours are in the language spoken."""
        del screen
        return ()

    def on_mount(self) -> None:
        """A signal ends the program as Ctrl+C does."""
        import asyncio

        gc.freeze()  # knowledge and widgets stay: a full collection amid an answer would cost 25 ms of looking at them
        loop = asyncio.get_running_loop()
        for name in SIGNALS:
            number = getattr(signal, name, None)
            if number is not None:
                try:
                    loop.add_signal_handler(number, self.leave)
                except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                    return

    def use_theme(self, name: str) -> None:
        """Changes the theme; texts are painted anew."""
        self.ansi_color = None
        self.theme = name
        self.refresh_css(animate=False)
        for widget in self.screen.walk_children():
            widget.refresh(layout=True)

    def action_interrupt(self) -> None:
        """Copies what is selected; else leaves at once, with the transcript complete."""
        selected = self.screen.get_selected_text()
        if selected:
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            return
        self.leave()

    def leave(self) -> None:
        """Out, now."""
        for screen in self.screen_stack:
            if isinstance(screen, ConsultationScreen):
                screen.stop_reading()
        self.kept.end(interrupted=True)
        self.exit(ExitCode.INTERRUPTED)
