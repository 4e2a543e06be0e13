"""What was said: by the program, as a page laid out anew for every width; by the owner, as typed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from textual.app import RenderResult
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from nandoctor.interview.replies import Planned, Reply
from nandoctor.render.conclusion import plan_head
from nandoctor.render.page import Page
from nandoctor.render.speech import speak
from nandoctor.render.width import cut, wrap
from nandoctor.render.words import Words
from nandoctor.source import printable
from nandoctor.tui.paint import page_content
from nandoctor.tui.themes import PLAIN

MIN_WIDTH = 24
MAX_WIDTH = 110  # longer lines are hard to follow
PASTED_LINES = 3  # of a pasted text that stay visible


class Laid(Widget):
    """A widget whose text is made for its width, and made again when width or theme change."""

    ALLOW_SELECT = True

    @abstractmethod
    def content(self, width: int) -> Content:
        """The text for a width, as Textual's content."""

    @property
    def coloured(self) -> bool:
        """Whether the theme has colours."""
        return self.app.theme != PLAIN

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: D102
        return self.content(width).get_height(self.styles.get_rules(), width) if width > 0 else 1

    def render(self) -> RenderResult:  # noqa: D102
        width = self.content_size.width
        return self.content(width) if width > 0 else Content("")


class Paged(Laid):
    """One whose text is a page."""

    @abstractmethod
    def page(self, width: int) -> Page:
        """The text for a width."""

    def content(self, width: int) -> Content:  # noqa: D102
        return page_content(self.page(max(MIN_WIDTH, min(width, MAX_WIDTH))), self.coloured)


class Utterance(Paged):
    """Replies of the program."""

    def __init__(self, replies: Sequence[Reply], words: Words, classes: str = "") -> None:
        super().__init__(classes=classes)
        self.replies = tuple(replies)
        self.words = words

    def page(self, width: int) -> Page:  # noqa: D102
        return speak(self.replies, (), self.words, width, hints=False)

    def plain_text(self) -> str:
        """The text without colours, for the clipboard."""
        return self.page(96).render(colour=False, ascii_only=False)


class OwnLine(Paged):
    """What the owner said; of a paste the first lines."""

    def __init__(self, line: str, more: Callable[[int], str]) -> None:
        super().__init__()
        self.line = line
        self.more = more

    def page(self, width: int) -> Page:  # noqa: D102
        page = Page(width)
        lines = self.line.strip("\r\n").splitlines() or [""]
        if len(lines) == 1:
            for text in wrap(printable(lines[0]), width - 2):
                page.line((text, ""))
            return page
        for text in lines[:PASTED_LINES]:
            page.line((cut(printable(text), width - 2), ""))
        if len(lines) > PASTED_LINES:
            page.line((self.more(len(lines)), "dim"))
        return page


class PlanHead(Paged):
    """Title and column heads of a plan, or that there is none."""

    def __init__(self, planned: Planned, words: Words) -> None:
        super().__init__()
        self.planned = planned
        self.words = words

    def page(self, width: int) -> Page:  # noqa: D102
        page = Page(width)
        plan_head(page, self.planned, self.words)
        return page
