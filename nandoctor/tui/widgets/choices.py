"""The numbered choices of a question, or the steps of a plan: one key, arrows and Enter, or the mouse."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive

from nandoctor.interview.pending import Choice
from nandoctor.interview.replies import Planned
from nandoctor.render.conclusion import plan_step, planned_steps
from nandoctor.render.page import Page
from nandoctor.render.speech import choice_text
from nandoctor.render.words import Words
from nandoctor.tui.messages import LineGiven
from nandoctor.tui.paint import line_content
from nandoctor.tui.widgets.utterance import MAX_WIDTH, MIN_WIDTH, Laid

LONG = 9  # choices from which two columns save the question from scrolling away


class Choices(Laid):
    """What can be picked now. The prompt passes keys on while it is empty."""

    cursor: reactive[int] = reactive(-1)

    def __init__(self, choices: Sequence[Choice], words: Words, planned: Planned | None = None) -> None:
        super().__init__()
        self.items = tuple(choices)
        self.words = words
        self.planned = planned

    def rows(self, width: int) -> list[Page]:
        """One page for each choice."""
        room = max(MIN_WIDTH, min(width, MAX_WIDTH))
        if self.planned is not None:
            steps = planned_steps(self.planned)
            return [plan_step(number, step, self.words, room) for number, step in enumerate(steps, 1)]
        out = []
        for choice in self.items:
            page = Page(room)
            page.text(choice_text(choice, self.words), 1, label=choice.key, label_width=2)
            out.append(page)
        return out

    def grid(self, width: int) -> list[list[tuple[int, Content]]]:
        """Lines of (row number, cell): one cell a line, or two where the list is long and the labels short."""
        lines = [
            (number, line_content(spans, self.coloured))
            for number, page in enumerate(self.rows(width))
            for spans in page.lines
        ]
        half = min(width, MAX_WIDTH) // 2
        if self.planned or len(lines) < LONG or any(line.cell_length >= half for _, line in lines):
            return [[(number, line.pad_right(max(0, width - line.cell_length)))] for number, line in lines]
        rows = (len(lines) + 1) // 2
        cells = [(number, line.pad_right(max(0, half - line.cell_length))) for number, line in lines]
        return [[cells[i], *cells[i + rows : i + rows + 1]] for i in range(rows)]

    def content(self, width: int) -> Content:
        """All choices, the one under the cursor marked."""
        return Content("\n").join(
            Content("").join(cell.stylize("reverse") if number == self.cursor else cell for number, cell in line)
            for line in self.grid(width)
        )

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: D102
        return len(self.grid(width))

    async def retire(self) -> None:
        """No longer to be picked from. A plan stays to be read; the answers of a question go."""
        self.cursor = -1
        if self.planned is None:
            await self.remove()
        else:
            self.items = ()

    def move(self, by: int) -> None:
        """Moves the mark up or down, round the ends."""
        if self.items:
            start = self.cursor if self.cursor >= 0 else (-1 if by > 0 else 0)
            self.cursor = (start + by) % len(self.items)
            self.call_after_refresh(self._show_cursor)

    def mark(self, key: str) -> None:
        """Marks the choice of a key."""
        self.cursor = next((n for n, choice in enumerate(self.items) if choice.key == key), -1)

    def _show_cursor(self) -> None:
        self.scroll_visible(animate=False, top=False)

    def exact(self, key: str) -> bool:
        """Whether a key alone picks a choice: no other choice's key begins with it."""
        keys = [choice.key for choice in self.items]
        return key in keys and not any(other != key and other.startswith(key) for other in keys)

    @property
    def marked(self) -> Choice | None:
        """The choice under the mark."""
        return self.items[self.cursor] if 0 <= self.cursor < len(self.items) else None

    def _choice_at(self, x: int, y: int) -> int:
        """The row number at a place; -1 for none."""
        grid = self.grid(self.content_size.width)
        if not 0 <= y < len(grid):
            return -1
        for number, cell in grid[y]:
            x -= cell.cell_length
            if x < 0:
                return number
        return -1

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The mark follows the mouse."""
        offset = event.get_content_offset(self)
        if offset is not None:
            self.cursor = self._choice_at(offset.x, offset.y)

    def on_leave(self) -> None:
        """The mark goes with the mouse."""
        self.cursor = -1

    def on_click(self, event: events.Click) -> None:
        """Picks the row."""
        offset = event.get_content_offset(self)
        row = self._choice_at(offset.x, offset.y) if offset is not None else -1
        if 0 <= row < len(self.items):
            event.stop()
            self.post_message(LineGiven(self.items[row].key))
