"""The main screen: the conversation on the left, what is believed on the right, the prompt below."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from nandoctor.consultation import Consultation
from nandoctor.ingest import Inputs
from nandoctor.interview import Ask, AtPlan, Leave, ReadFiles, SaveReport, Turn
from nandoctor.interview.hearing import names
from nandoctor.interview.pending import Choice
from nandoctor.interview.replies import Believed, Planned, Reply, Sentence, StepShown
from nandoctor.render.conclusion import planned_steps
from nandoctor.render.saving import exit_code, write_report
from nandoctor.render.speech import ASKING, choice_text
from nandoctor.render.transcript import Recording
from nandoctor.render.width import cut
from nandoctor.render.words import Words, percent
from nandoctor.source import printable
from nandoctor.tui.messages import LineGiven, ReadingAt, ReadingDone, StepWanted
from nandoctor.tui.screens.folded import FoldedPanel
from nandoctor.tui.screens.help import HelpScreen
from nandoctor.tui.widgets.choices import Choices
from nandoctor.tui.widgets.keyline import Key, KeyLine
from nandoctor.tui.widgets.panel import Panel
from nandoctor.tui.widgets.prompt import Prompt
from nandoctor.tui.widgets.stepcard import StepCard
from nandoctor.tui.widgets.utterance import OwnLine, PlanHead, Utterance

WIDE = 90  # columns from which the side panel has room
FILES_WIDTH = 40  # columns of the top line
TELL_EVERY = 0.1  # seconds between two looks at the progress
REPORT = "save nandoctor-report.md"


class StopReading(Exception):  # noqa: N818 - a wish, not an error
    """The owner does not want to wait."""


class ConsultationScreen(Screen[int]):
    """Owns the widgets; every line goes through the recording, and what comes back is shown."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012
    BINDINGS = [  # noqa: RUF012
        Binding("f1", "help", "Help", id="help"),
        Binding("f2", "side", "Side panel", id="panel"),
        Binding("f3", "ask('why')", "Why", id="why"),
        Binding("f4", "ask('find')", "How do I find out", id="find-out"),
        Binding("f5", "ask('whatif')", "What if", id="what-if"),
        Binding("f6", "ask('plan')", "Plan", id="plan"),
        Binding("ctrl+z", "ask('undo')", "Undo", id="undo", priority=True),
        Binding("ctrl+s", "save", "Save the report", id="save", priority=True),
        Binding("ctrl+y", "copy_reply", "Copy the last reply", id="copy", priority=True),
        Binding("escape", "escape", "Stop, clear", id="escape"),
    ]

    def __init__(self, kept: Recording, file_error: str = "") -> None:
        super().__init__()
        self.kept = kept
        self._file_error = file_error
        self._stop = threading.Event()
        self._reading: Inputs | None = None
        self._last: Utterance | None = None

    @property
    def reading(self) -> bool:
        """Whether files are being read."""
        return self._reading is not None

    @property
    def words(self) -> Words:
        """The texts in the language spoken."""
        return self.kept.words

    def compose(self) -> ComposeResult:  # noqa: D102
        now = self.kept.now
        with Horizontal(id="top"):
            yield Static("nandoctor", id="name", markup=False)
            yield Static("", id="files", markup=False)
            yield Static("", id="first", markup=False)
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                yield VerticalScroll(id="talk", can_focus=True)
                with Horizontal(id="entry"):
                    yield Static(">", id="mark", markup=False)
                    yield Prompt()
            yield Panel(now.consultation, self.words)
        yield KeyLine(self._keys())

    async def on_mount(self) -> None:
        """The opening words."""
        self.query_one("#talk", VerticalScroll).anchor()
        self.query_one(Prompt).focus()
        if self._file_error:
            await self._mount(Static(self.words("say.not-recorded", detail=self._file_error), markup=False))
        await self._show(self.kept.open())

    # --- input

    @on(LineGiven)
    async def _line(self, event: LineGiven) -> None:
        event.stop()
        await self.give(event.line)

    async def give(self, line: str) -> None:
        """Hands a line to the conversation and shows what comes back."""
        prompt = self.query_one(Prompt)
        if self._reading is not None:
            self.notify(self.words("say.still-reading"), markup=False)
            prompt.value = prompt.value or (line if "\n" not in line else "")
            return
        await self._mount(OwnLine(self._as_said(line), lambda n: self.words("report.lines", count=n)))
        await self._show(self.kept.line(line))
        prompt.focus()

    def _as_said(self, line: str) -> str:
        """A key as the answer it stands for."""
        choice = next((c for c in self.kept.now.choices if c.key == line.strip()), None)
        return f"{choice.key}  {choice_text(choice, self.words)}" if choice else line

    @on(StepWanted)
    async def _step_action(self, event: StepWanted) -> None:
        event.stop()
        if event.action == "copy":
            self.app.copy_to_clipboard(event.text)
            self.notify(self.words("ui.copied"), markup=False)
        else:
            await self.give(f"tried {event.remedy} {event.action}")

    async def on_key(self, event: events.Key) -> None:
        """Whoever has the focus, letters go to the prompt."""
        prompt = self.query_one(Prompt)
        if event.is_printable and event.character and self.focused is not prompt and event.key != "space":
            event.stop()
            prompt.focus()
            await prompt._on_key(event)

    # --- what is shown

    async def _show(self, turn: Turn) -> None:
        """The replies as widgets, then the effects."""
        if turn.replies:
            await self._replace_choices(turn)
        await self._refresh_state()
        if isinstance(turn.effect, ReadFiles):
            self._start_reading(turn.effect.inputs, turn.interview.consultation)
        elif isinstance(turn.effect, SaveReport):
            error = write_report(turn.interview, turn.effect)
            await self._show(self.kept.saved(turn.effect.path, error))
        elif isinstance(turn.effect, Leave):
            self.app.exit(exit_code(turn.interview.consultation))

    async def _replace_choices(self, turn: Turn) -> None:
        """The open question stays at the end of the conversation; a plan stays where it is."""
        prompt = self.query_one(Prompt)
        now = turn.interview
        new = self._widgets(turn.replies, now.choices)
        has_own = any(isinstance(widget, Choices) for widget in new)
        if isinstance(now.pending, AtPlan) and not has_own and prompt.choices is not None and prompt.choices.planned:
            await self._mount(*new)
            return
        self.query(".question").remove_class("question")  # with its answers gone, it needs its distance again
        if prompt.choices is not None:
            await prompt.choices.retire()
        if now.choices and not has_own and not isinstance(now.pending, AtPlan):
            new.append(Choices(now.choices, self.words))
        await self._mount(*new)
        prompt.choices = next((w for w in reversed(new) if isinstance(w, Choices)), None)

    def _widgets(self, replies: Sequence[Reply], choices: Sequence[Choice]) -> list[Widget]:
        out: list[Widget] = []
        words = self.words
        held: list[Reply] = []
        for reply in replies:
            if isinstance(reply, StepShown | Planned):
                out += [Utterance(held, words)] if held else []
                held = []
            if isinstance(reply, StepShown):
                out.append(StepCard(reply, words))
            elif isinstance(reply, Planned):
                out.append(PlanHead(reply, words))
                if planned_steps(reply):
                    out.append(Choices(choices, words, reply))
                    out.append(Utterance([Sentence("ui.plan-hint", level="hint")], words))
            elif isinstance(reply, Believed):
                out += [Utterance(held, words)] if held else []
                held = []
                out.append(Utterance([reply], words, "believed"))
            else:
                held.append(reply)
        if held and isinstance(held[-1], ASKING) and choices:
            out += [Utterance(held[:-1], words)] if held[:-1] else []
            out += [Utterance(held[-1:], words, "question"), Choices(choices, words)]
        elif held:
            out.append(Utterance(held, words))
        self._last = next((w for w in reversed(out) if isinstance(w, Utterance)), self._last)
        return out

    async def _mount(self, *widgets: Widget) -> None:
        talk = self.query_one("#talk", VerticalScroll)
        await talk.mount(*widgets)
        talk.anchor()

    async def _refresh_state(self) -> None:
        """Top line, side panel, prompt and keys follow the conversation."""
        now, words = self.kept.now, self.words
        self.query_one("#files", Static).update(cut(", ".join(self._files()), FILES_WIDTH))
        first = ""
        if now.consultation.evidence or now.consultation.remedies_tried:
            cause, probability = now.consultation.belief.ranking[0]
            first = f"{words.cause(cause)} {percent(probability)}"
        self.query_one("#first", Static).update(first)
        self.query_one(Panel).show(now.consultation, words)
        self.query_one(Prompt).placeholder = words(self._placeholder())
        await self.query_one(KeyLine).show(self._keys())

    def _files(self) -> list[str]:
        """The names of what was read: logs, net, solver."""
        held = self.kept.now.consultation.ingested
        paths = list(held.run.files) if held.run else []
        paths += [held.net.file] if held.net and not held.net_in_log else []
        paths += [held.solver.file] if held.solver and not held.solver_in_log else []
        return [printable(path.rsplit("/", 1)[-1]) for path in paths]

    def _placeholder(self) -> str:
        pending = self.kept.now.pending
        if isinstance(pending, AtPlan):
            return "ui.prompt-plan"
        if isinstance(pending, Ask) or self.kept.now.choices:
            return "ui.prompt-question"
        return "ui.prompt-free"

    def _keys(self) -> list[Key]:
        names_ = (("F1", "help", "help"), ("F3", "why", "ask('why')"), ("F4", "find", "ask('find')"),
                  ("^Z", "undo", "ask('undo')"), ("F6", "plan", "ask('plan')"), ("^S", "save", "save"),
                  ("^C", "quit", "app.interrupt"), ("F2", "panel", "side"),
                  ("^P", "commands", "app.command_palette"))  # fmt: skip
        return [Key(key, self.words(f"ui.key-{name}"), action) for key, name, action in names_]

    # --- reading

    def _start_reading(self, inputs: Inputs, consultation: Consultation) -> None:
        self._reading = inputs
        self._stop.clear()
        line = Static("", id="reading", markup=False)
        self.query_one("#talk").mount(line)
        self._show_progress(0, 0)
        self._read(consultation, inputs)

    @work(thread=True, exclusive=True, group="reading", exit_on_error=True)
    def _read(self, consultation: Consultation, inputs: Inputs) -> None:
        """In a thread: touches no widget, only posts."""

        told = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal told
            if self._stop.is_set():
                raise StopReading
            if time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                self.post_message(ReadingAt(done, total))

        try:
            progress(0, 0)
            self.post_message(ReadingDone(consultation.read(inputs, progress)))
        except StopReading:
            self.post_message(ReadingDone(None))

    @on(ReadingAt)
    def _reading_at(self, event: ReadingAt) -> None:
        event.stop()
        self._show_progress(event.done, event.total)

    def _show_progress(self, done: int, total: int) -> None:
        for line in self.query("#reading").results(Static):
            file = ", ".join(map(printable, names(self._reading or Inputs())))
            share = f"{100 * done // total} %" if total else ""
            line.update(f"{self.words('say.reading-part', file=file, percent=share)}   {self.words('ui.esc-stops')}")

    @on(ReadingDone)
    async def _reading_done(self, event: ReadingDone) -> None:
        event.stop()
        await self.query("#reading").remove()
        self._reading = None
        await self._show(self.kept.stop_reading() if event.consultation is None else self.kept.read(event.consultation))

    def stop_reading(self) -> bool:
        """Asks the worker to stop; whether there was one."""
        self._stop.set()
        return self._reading is not None

    # --- actions

    async def action_ask(self, what: str) -> None:
        """One of the requests, by key."""
        await self.give(what)

    def action_help(self) -> None:
        """The help screen."""
        self.app.push_screen(HelpScreen(self.words))

    def action_side(self) -> None:
        """Folds the side panel away, or shows it; on a narrow terminal as a screen of its own."""
        if self.has_class("-narrow"):
            self.app.push_screen(FoldedPanel(self.kept.now.consultation, self.words), self._from_panel)
        else:
            self.toggle_class("-folded")

    def _from_panel(self, line: str | None) -> None:
        if line:
            self.post_message(LineGiven(line))

    def action_save(self) -> None:
        """Puts the request into the prompt, so that the name can be changed."""
        prompt = self.query_one(Prompt)
        prompt.value = REPORT
        prompt.cursor_position = len(REPORT)
        prompt.focus()

    def action_copy_reply(self) -> None:
        """The last reply to the clipboard."""
        if self._last is not None:
            self.app.copy_to_clipboard(self._last.plain_text())
            self.notify(self.words("ui.copied"), markup=False)

    def action_escape(self) -> None:
        """Stops reading; else clears the prompt and goes back to it."""
        if self._reading is not None:
            self._stop.set()
            return
        prompt = self.query_one(Prompt)
        prompt.value = ""
        prompt.focus()

    def action_page(self, by: int) -> None:
        """A page back or forward in the conversation."""
        talk = self.query_one("#talk", VerticalScroll)
        talk.scroll_relative(y=by * max(1, talk.size.height - 2), animate=False)
